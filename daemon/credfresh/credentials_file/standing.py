"""Reads the file that stands under a name, while nobody is writing it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import NamedTuple

from credfresh.disk.locks import Pause, Watch, unwatch, watch
from credfresh.disk.paths import Place
from credfresh.regular import Identity, identity

STEP = 0.005
"""Seconds between two looks at a file that somebody is writing."""

PATIENCE = 2.0
"""Seconds that a rival is given to finish."""

LARGEST = 1 << 28
"""The largest file that is read, in bytes. More would be somebody's mistake, and exhaust the
daemon's memory."""

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Version(NamedTuple):
    """What tells one content of a file from another, under whatever name; mtime in ns."""

    inode: int = 0
    size: int = 0
    mtime: int = 0


def version(info: os.stat_result) -> Version:
    """Return the version of a file."""
    return Version(info.st_ino, info.st_size, info.st_mtime_ns)


class Patience:
    """What is left of the time that rivals are given, in steps."""

    def __init__(self, pause: Pause, seconds: float = PATIENCE) -> None:
        self._pause = pause
        self._steps = round(seconds / STEP)

    def step(self) -> bool:
        """Wait a little; False when there is no time left."""
        if self._steps <= 0:
            return False
        self._steps -= 1
        self._pause(STEP)
        return True


@dataclass(slots=True)
class Standing:
    """What stands under the name: a file open for reading, and its bytes."""

    descriptor: int
    info: os.stat_result
    data: bytes = field(repr=False)
    busy: bool
    """Somebody has it open for writing, and did not finish in time."""
    was_read: bool
    """Whether the bytes were read, or compared, just now; otherwise they are the known ones."""
    handed_on: bool = False

    def close(self) -> None:
        """Let go of it, unless it lives on as `Replaced`."""
        if not self.handed_on:
            os.close(self.descriptor)


def look(place: Place, known: tuple[Identity, bytes] | None, patience: Patience) -> Standing | None:
    """Read the file as it is while nobody writes it; None when there is none.

    If its identity is that of `known`, the known bytes are taken without reading: the comparison at
    the swap finds out if that was wrong.

    Raises:
        OSError: it cannot be read.
    """
    while True:
        try:
            descriptor = os.open(place.name, READ, dir_fd=place.directory)
        except FileNotFoundError:
            return None
        try:
            busy = watch(descriptor) is Watch.BUSY
            unwatch(descriptor)
            before = os.fstat(descriptor)
            taken = known is not None and known[0] == identity(before)
            data = known[1] if known is not None and taken else read(descriptor)
            after = os.fstat(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        quiet = identity(before) == identity(after) and len(data) == after.st_size and not busy
        if quiet or not patience.step():
            return Standing(descriptor, after, data, busy, not taken)
        os.close(descriptor)


def read(descriptor: int) -> bytes:
    """Return the bytes of an open file, without those appended while it is read.

    A writer that appends faster than we read would keep us here for ever.

    Raises:
        OSError: they cannot be read, or are too many (EFBIG).
    """
    size = os.fstat(descriptor).st_size
    if size > LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    parts = []
    at = 0
    while chunk := os.pread(descriptor, size - at, at):
        parts.append(chunk)
        at += len(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)
