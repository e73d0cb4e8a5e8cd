"""Reads the file of a web identity token. No message ever repeats its content."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial

from credfresh.errors import CredfreshError, Mend

LEAST = 4
"""Characters of the shortest token that STS takes.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

MOST = 64 << 10
"""Bytes that are read at most: STS takes 20000 characters."""

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a directory",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_WRITE_IT = "what keeps the token must write it there, the bare token as text: look at that"


class UnusableTokenError(CredfreshError):
    """The file is not regular, or holds no token."""

    def __init__(self, message: str, *, mend: Mend, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.mend = mend


def token_loader(path: str) -> Callable[[], str]:
    """Return what reads a token. botocore's own waits for a FIFO, and sends an empty token."""
    return partial(token_in, path)


def token_in(path: str) -> str:
    """Return the token in the file at `path`.

    Raises:
        OSError: the file cannot be read.
        UnusableTokenError: it is no regular file, or its content is no token.
    """
    _must_be_regular(path, os.stat(path).st_mode)  # noqa: PTH116 - beside fstat
    with open(path, "rb", opener=_not_waiting) as file:
        _must_be_regular(path, os.fstat(file.fileno()).st_mode)
        content = file.read(MOST + 1)
    # Without an exception, which would hold the bytes.
    text = content.decode("utf-8", "replace")
    if not text.strip():
        # Time may mend it: it may have been emptied to be written anew.
        raise UnusableTokenError(f"{path} is empty", mend=Mend.TIME, hint=_WRITE_IT)
    if "\ufffd" in text or not all(c.isprintable() or c.isspace() for c in text):
        raise UnusableTokenError(f"{path} is not text", mend=Mend.HUMAN, hint=_WRITE_IT)
    if len(content) > MOST:
        what = f"{path} holds more than {MOST} bytes, and no token is that long"
        raise UnusableTokenError(what, mend=Mend.HUMAN, hint=_WRITE_IT)
    if len(text) < LEAST:
        what = f"{path} holds fewer than {LEAST} characters, and no token is that short"
        raise UnusableTokenError(what, mend=Mend.TIME, hint=_WRITE_IT)
    return text


def _not_waiting(path: str, flags: int) -> int:
    """Open without waiting: a FIFO may have taken the file's place, and never have a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _must_be_regular(path: str, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    raise UnusableTokenError(
        f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a regular file",
        mend=Mend.HUMAN,
        hint="token_file must name a regular file, which is read anew for every call",
    )
