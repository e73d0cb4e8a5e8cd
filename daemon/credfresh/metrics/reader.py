"""Reads what really stands in the credentials files, as their readers do."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from credfresh.regular import Identity, identity, only_regular
from credfresh.splice import mark

MOST_BYTES = 64 << 20
"""A larger file is not read: 10,000 profiles of ours need less."""

GRAIN = 1.0
"""Seconds after a file's last change; from then on, equal times prove that it is unchanged."""

_SECTION = re.compile(rb"^\[([^\[\]\r\n]+)\]", re.MULTILINE)
_EXPIRES = re.compile(rb" expires=([0-9TZ:-]{20}) ")


class PublishedKey(NamedTuple):
    """What one section of ours holds."""

    access_key_id: str
    expires: float


Sections = Mapping[str, PublishedKey]
"""Our proven sections of one file, by name."""


class Reader:
    """Looks at files, and reads one again only when it may have changed. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Identity, Sections]] = {}

    def sections(self, path: str, instance: str, wall: float) -> Sections | None:
        """Return the sections of `instance` in the file now; None if it cannot be read.

        `wall` is the present time of the wall clock.
        """
        with self._lock:
            try:
                with open(path, "rb", opener=only_regular) as file:
                    return self._read(path, file, instance, wall)
            except OSError:
                self._known.pop(path, None)
                return None

    def _read(self, path: str, file: BinaryIO, instance: str, wall: float) -> Sections | None:
        info = os.fstat(file.fileno())
        if info.st_size > MOST_BYTES:
            return None
        now, known = identity(info), self._known.get(path)
        if known is not None and known[0] == now:
            return known[1]
        found = MappingProxyType(scan(file.read(MOST_BYTES), instance))
        if wall - info.st_ctime > GRAIN:
            self._known[path] = (now, found)
        return found


def stands(path: str) -> bool:
    """Say whether there is a regular file that is not empty."""
    try:
        info = os.stat(path)  # noqa: PTH116 - ten thousand of them, and no Path for each
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_size > 0


def scan(data: bytes, instance: str) -> dict[str, PublishedKey]:
    """Return the sections of `instance` whose sum is right, if they are the first of their name."""
    headers = list(_SECTION.finditer(data))
    ends = [header.start() for header in headers[1:]] + [len(data)]
    found: dict[str, PublishedKey] = {}
    seen: set[bytes] = set()
    for header, end in zip(headers, ends, strict=False):
        name = header[1]
        held = None if name in seen else _held(data, header.start(), end, instance)
        seen.add(name)
        if held is not None:
            found[name.decode("utf-8", "replace")] = held
    return found


def _held(data: bytes, start: int, end: int, instance: str) -> PublishedKey | None:
    block = mark.find(data, start, end)
    expires = _EXPIRES.search(data, start, end)
    if block is None or expires is None or block.instance != instance:
        return None
    try:
        return PublishedKey(block.key, datetime.fromisoformat(expires[1].decode()).timestamp())
    except ValueError:
        return None
