"""Reads the three keys of a configuration that the client commands need, and checks no others.

A job waits for such a command at its beginning, so the keys are read without pydantic and, in the
usual spellings, without PyYAML too (whose import takes half as long as all else that the command
does). Whether the file is valid is not checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from credfresh.config.surroundings import control_socket
from credfresh.errors import ConfigError, Problem
from credfresh.regular import only_regular

MOST_BYTES = 8 * 1024 * 1024
"""The largest file read (that of `decoding`)."""

_KEYS = {"control": "socket", "credentials_file": "path", "instance": None}
"""Each key at the top, and the key wanted within it; None if its value is the word wanted."""

_CHUNK = re.compile(
    rb"^(control|credentials_file|instance)[ \t]*:(.*\n(?:[ \t#\r].*\n|\n)*)", re.MULTILINE
)
_WORD = r"""("[A-Za-z0-9_./ @:-]*"|'[A-Za-z0-9_./ @:-]*'|[A-Za-z0-9_./][A-Za-z0-9_./@-]*)"""
_END = r"[ \t]*(?: #.*)?\r?\n"
_LINE = re.compile(rf"([ \t]+)([a-z_]+):[ \t]+{_WORD}{_END}")
_FLOW = re.compile(rf"[ \t]*\{{(.*)\}}{_END}")
_PAIR = re.compile(rf"[ \t]*([a-z_]+):[ \t]+{_WORD}[ \t]*")
_ALONE = re.compile(rf"[ \t]+{_WORD}{_END}((?:[ \t]*(?:#.*)?\r?\n)*)")
_SKIPPED = re.compile(r"[ \t]*(?:#.*)?\r?\n")


class Excerpt(NamedTuple):
    """Where the control socket and the credentials file are, and what the daemon is called.

    None where the file does not say.
    """

    socket: str | None = None
    credentials_file: str | None = None
    instance: str | None = None


def excerpt(path: str, environment: Mapping[str, str]) -> Excerpt:
    """Read the three keys of the configuration at `path`.

    `environment` is that of this process: it says where the socket is if the file does not.

    Raises:
        ConfigError: the file cannot be read, or is no YAML.
    """
    try:
        with open(path, "rb", opener=only_regular) as file:
            data = file.read(MOST_BYTES)
    except OSError as error:
        reason = f"cannot be read: {str(error.strerror).lower()}"
        hint = "name another, or none: --socket and AWS_SHARED_CREDENTIALS_FILE are enough"
        raise ConfigError((Problem(path, 0, 0, "", reason, hint),)) from None
    found = _usual(data + b"\n")
    if found is None:
        found = _whole(data, path)
    socket = found["control"] or control_socket(environment)
    return Excerpt(socket, found["credentials_file"], found["instance"])


def _usual(data: bytes) -> dict[str, str | None] | None:
    """Return the words of a file in the usual spelling; None for any other."""
    first = re.search(rb"^[^#\s].*$", data, re.MULTILINE)
    if first is None or not re.match(rb"[a-z_]+[ \t]*:", first[0]):
        return None
    found: dict[str, str | None] = dict.fromkeys(_KEYS)
    for chunk in _CHUNK.finditer(data):
        key = chunk[1].decode()
        wanted = _KEYS[key]
        try:
            text = chunk[2].decode()
            found[key] = _word(text) if wanted is None else _pairs(text).get(wanted)
        except (ValueError, UnicodeDecodeError):
            return None
    return found


def _word(text: str) -> str:
    """Return a plain word.

    Raises:
        ValueError: it is spelt in another way.
    """
    if alone := _ALONE.fullmatch(text):
        return alone[1].strip("\"'")
    raise ValueError(text)


def _pairs(text: str) -> dict[str, str]:
    """Return a mapping of plain words, in lines or in one pair of braces.

    Raises:
        ValueError: it is spelt in another way.
    """
    pairs = []
    if flow := _FLOW.match(text):
        inner = flow[1].strip()
        matches = [_PAIR.fullmatch(part) for part in inner.split(",")] if inner else []
        pairs = [(m[1], m[2]) for m in matches if m]
        rest = text[flow.end() :]
        if len(pairs) != len(matches):
            raise ValueError(text)
    else:
        blank = _SKIPPED.match(text)
        rest = text[blank.end() :] if blank else text
        indents = set()
        while line := _LINE.match(rest) or _SKIPPED.match(rest):
            if line.re is _LINE:
                indents.add(line[1])
                pairs.append((line[2], line[3]))
            rest = rest[line.end() :]
        if len(indents) > 1 or blank is None:
            raise ValueError(text)
    while skipped := _SKIPPED.match(rest):
        rest = rest[skipped.end() :]
    if rest or len(dict(pairs)) != len(pairs):
        raise ValueError(text)
    return {key: word.strip("\"'") for key, word in pairs}


def _whole(data: bytes, path: str) -> dict[str, str | None]:
    """Return the words of any file that is YAML at all."""
    from credfresh.config import document  # noqa: PLC0415 - PyYAML is slow to import
    from credfresh.config.findings import Findings  # noqa: PLC0415 - the same

    read = document.read(data, Findings(path)).data
    found: dict[str, str | None] = {}
    for key, wanted in _KEYS.items():
        value = read.get(key)
        if wanted is not None:
            value = value.get(wanted) if isinstance(value, dict) else None
        found[key] = value if isinstance(value, str) else None
    return found
