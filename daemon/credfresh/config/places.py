"""Accepts words that name a place on disk, and who may use it: paths, sockets, modes, accounts."""

from __future__ import annotations

import re

from credfresh import twin
from credfresh.config.words import RefusedError, length_within, text

MOST_SOCKET_PATH = 107
"""Bytes in the name of a unix socket; unix(7): sun_path has 108, one for the NUL."""


def path(value: object) -> str:
    """Accept the absolute path of a file."""
    word = text(value)
    _absolute(word)
    if re.search(r"\$\{?[A-Za-z_]", word):
        raise RefusedError("must not hold a variable", hint="`$` is not expanded: write it out")
    if not word.isprintable():
        raise RefusedError("must not contain control characters")
    if word.endswith(("/", "/.", "/..")):
        raise RefusedError("must name a file, not a directory")
    if len(word.encode()) > 4095:  # noqa: PLR2004  # PATH_MAX, less its NUL
        raise RefusedError("is longer than a path can be", got="")
    return word


def _absolute(word: str) -> None:
    if word.startswith("/"):
        return
    expanded = word[0] if word[0] in "~$" else None
    hint = f"`{expanded}` is not expanded: write it out" if expanded else "begin it with `/`"
    raise RefusedError("must be an absolute path", hint=hint)


def directory(value: object) -> str:
    """Accept the absolute path of a directory that every SDK can hand to /bin/cat.

    Some SDKs run the command in a shell, some split it at spaces, some know no quotes. The path
    stands in environment files, too.
    """
    word = text(value)
    _absolute(word)
    word = word.rstrip("/")
    if not word:
        raise RefusedError("must be a directory of its own", hint="/run/credfresh/process")
    if not twin.PATH.fullmatch(word):
        raise RefusedError(
            "must consist of letters, digits and `/ . _ -`",
            hint="SDKs hand it to /bin/cat, some through a shell, some without quotes",
        )
    length_within(word, 2, 1024)
    return word


def socket_path(value: object) -> str:
    """Accept the absolute path of a unix socket (unix(7): 107 bytes and a NUL)."""
    word = path(value)
    if len(word.encode()) > MOST_SOCKET_PATH:
        raise RefusedError(f"must have at most {MOST_SOCKET_PATH} bytes: it names a socket")
    return word


def mode(value: object) -> int:
    """Accept three octal digits, with or without a leading 0 or 0o: `0640`, `640`, `0o640`."""
    match = re.fullmatch(r"(?:0o?)?([0-7]{3})", text(value))
    if match is None:
        raise RefusedError("must be an octal file mode", hint='write it as "0600" or "0640"')
    bits = int(match[1], 8)
    if bits & 0o111:
        raise RefusedError("must not be executable", hint='write it as "0600" or "0640"')
    if bits & 0o002:
        raise RefusedError("must not be writable by everybody", hint='"0644" at the most')
    if bits & 0o600 != 0o600:  # noqa: PLR2004  # owner read and write
        raise RefusedError("must let the owner read and write", hint='"0600" at the least')
    return bits


def socket_mode(value: object) -> int:
    """Accept who may connect: `0600`, `0660` or `0666` (to connect is to write, unix(7))."""
    match = re.fullmatch(r"(?:0o?)?(600|660|666)", text(value))
    if match is None:
        raise RefusedError("must be 0600, 0660 or 0666", hint="0660 with a `group` lets jobs ask")
    return int(match[1], 8)


def account(value: object) -> str:
    """Accept the name or number of a user or group; whether it exists shows at the first write."""
    word = text(value)
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.@-]{0,254}\$?|[0-9]{1,10}", word):
        return word
    raise RefusedError("must be the name or number of a user or group")
