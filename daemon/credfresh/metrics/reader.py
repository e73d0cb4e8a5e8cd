"""Reads what really stands in the credentials files, as their readers do."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from credfresh.splice import mark

MOST_BYTES = 64 << 20
"""A larger file is not read: 10,000 profiles of ours need less."""

GRAIN = 1.0
"""Seconds after a file's last change; from then on, equal times prove that it is unchanged."""

_SECTION = re.compile(rb"^\[([^\[\]\r\n]+)\]", re.MULTILINE)
_EXPIRES = re.compile(rb" expires=([0-9TZ:-]{20}) ")


class Held(NamedTuple):
    """What one section of ours holds."""

    access_key_id: str
    expires: float


Sections = Mapping[str, Held]
"""Our proven sections of one file, by name."""

_Identity = tuple[int, ...]


class Reader:
    """Looks at files, and reads one again only when it may have changed. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Identity, Sections]] = {}

    def sections(self, path: str, instance: str, wall: float) -> Sections | None:
        """Return the sections of `instance` in the file now; None if it cannot be read.

        `wall` is the present time of the wall clock.
        """
        with self._lock:
            try:
                # Not blocking: to open a fifo in its place would block for ever.
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                self._known.pop(path, None)
                return None
            try:
                info = os.fstat(descriptor)
                if not stat.S_ISREG(info.st_mode) or info.st_size > MOST_BYTES:
                    return None
                return self._read(path, descriptor, info, instance, wall)
            except OSError:
                return None
            finally:
                os.close(descriptor)

    def _read(
        self, path: str, descriptor: int, info: os.stat_result, instance: str, wall: float
    ) -> Sections:
        identity = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        known = self._known.get(path)
        if known is not None and known[0] == identity:
            return known[1]
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            found = MappingProxyType(scan(file.read(MOST_BYTES), instance))
        if wall - info.st_ctime > GRAIN:
            self._known[path] = (identity, found)
        return found


def stands(path: str) -> bool:
    """Say whether there is a regular file that is not empty."""
    try:
        info = os.stat(path)  # noqa: PTH116 - ten thousand of them, and no Path for each
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_size > 0


def scan(data: bytes, instance: str) -> dict[str, Held]:
    """Return the sections of `instance` whose sum is right, if they are the first of their name."""
    headers = list(_SECTION.finditer(data))
    ends = [header.start() for header in headers[1:]] + [len(data)]
    found: dict[str, Held] = {}
    seen: set[bytes] = set()
    for header, end in zip(headers, ends, strict=False):
        name = header[1]
        held = None if name in seen else _held(data, header.start(), end, instance)
        seen.add(name)
        if held is not None:
            found[name.decode("utf-8", "replace")] = held
    return found


def _held(data: bytes, start: int, end: int, instance: str) -> Held | None:
    block = mark.find(data, start, end)
    expires = _EXPIRES.search(data, start, end)
    if block is None or expires is None or block.instance != instance:
        return None
    try:
        return Held(block.key, datetime.fromisoformat(expires[1].decode()).timestamp())
    except ValueError:
        return None
