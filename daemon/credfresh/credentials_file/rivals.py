"""Writers that take no lock: seen before they are overtaken, and undone by no write of ours.

`look` reads a file when nobody is writing it. `swap` puts a new file in its place, and `confirm`
makes sure that what it replaced is what was read: else the swap is undone, and the caller looks
again. What was replaced is kept as `Replaced` until it is certain, or has been looked at twice,
that nobody wrote into it after all.
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from credfresh.disk import atomic
from credfresh.disk.atomic import Temporary
from credfresh.disk.locks import Pause, Watch, disturbed, stands, unwatch, watch
from credfresh.disk.paths import Place
from credfresh.disk.steps import Steps

STEP = 0.005
"""Seconds between two looks at a file that somebody is writing."""

PATIENCE = 2.0
"""Seconds that a rival is given to finish."""

LARGEST = 1 << 28
"""Bytes of a file that we take in: a hundred times what ten thousand profiles need would be a
mistake of somebody's, and the end of the daemon's memory."""

Identity = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime in ns: while they are the same, so is the content, but for
writes within one tick of the file system's clock (up to 10 ms)."""

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def identity(info: os.stat_result) -> Identity:
    """Return what tells one state of a file from another."""
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


class Version(NamedTuple):
    """What tells one content of a file from another, whatever it is called; mtime in ns."""

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


class OvertakenError(Exception):
    """A rival wrote while we did. All is as the rival would have it: look again.

    `left` is what still holds a write of a rival's that the standing file lacks.
    """

    def __init__(self, left: Replaced | None = None) -> None:
        super().__init__()
        self.left = left


@dataclass(slots=True)
class Standing:
    """What stands under the name: a file open for reading, and its bytes."""

    descriptor: int
    info: os.stat_result
    data: bytes = field(repr=False)
    busy: bool
    """Somebody has it open for writing and would not finish."""
    was_read: bool
    """Whether the bytes were read, or compared, just now, not taken for known."""
    handed_on: bool = False

    def close(self) -> None:
        """Let go of it, unless it lives on as `Replaced`."""
        if not self.handed_on:
            os.close(self.descriptor)


@dataclass(slots=True, eq=False)
class Replaced:
    """A file that we replaced."""

    descriptor: int
    name: str | None
    """Its temporary name; None where it has none any more."""
    expected: bytes | None = field(repr=False)
    """What was in it when we replaced it; None: something else than is now."""
    put: bytes = field(repr=False)
    """What we put in its place; nothing where that is not known any more."""
    was: Version
    """How it was when `expected` was in it."""
    successor: Version
    """How what we put in its place was then; of size 0 where that differs by more than ours."""
    watched: bool = False
    busy: bool = False
    """Somebody had it open for writing when we last looked."""
    certain: bool = False
    """Nobody had, and nobody can any more: what was read then is the last of it."""
    seen: tuple[bytes, Version] | None = field(default=None, repr=False)
    """What a rival has made of it, not yet taken over."""

    @property
    def base(self) -> bytes:
        """What a rival started from."""
        return self.put if self.expected is None else self.expected

    def altered(self, patience: Patience) -> bool:
        """Say whether somebody wrote into it; whoever is at it may finish first."""
        if self.watched and not disturbed(self.descriptor):
            self.certain = True
            return False
        unwatch(self.descriptor)
        while (answer := watch(self.descriptor)) is Watch.BUSY and patience.step():
            pass
        self.busy = answer is Watch.BUSY
        self.certain = answer is Watch.KEPT
        same = self.expected is not None and atomic.holds(self.descriptor, self.expected)
        self.watched = same and self.certain
        return not same

    def taken_over(self) -> None:
        """What was seen in it stands on disk now."""
        if self.seen is not None:
            self.expected, self.was = self.seen
            self.seen, self.successor = None, Version()

    def drop(self, directory: int) -> None:
        """Take it away for good."""
        os.close(self.descriptor)
        if self.name is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.name, dir_fd=directory)


def look(place: Place, known: tuple[Identity, bytes] | None, patience: Patience) -> Standing | None:
    """Read the file as it is while nobody writes it; None when there is none.

    Where it looks like `known`, the bytes that are known are taken without reading them: the
    comparison at the swap finds out if that was wrong.

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
    """Return all the bytes of an open file.

    Raises:
        OSError: they cannot be read, or are too many (EFBIG).
    """
    size = os.fstat(descriptor).st_size
    if size > LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    parts = []
    at = 0
    while chunk := os.pread(descriptor, max(size - at, 0) + 1, at):
        parts.append(chunk)
        at += len(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def swap(
    place: Place,
    temporary: Temporary,
    standing: Standing | None,
    data: bytes,
    successor: Version,
    *,
    steps: Steps,
) -> Replaced | None:
    """Put a finished temporary with `data` under the name; return what it replaced.

    Raises:
        OvertakenError: a rival was quicker; nothing was done.
        PublishError: the system refused it.
    """
    with steps("swap"):
        if standing is None:
            try:
                atomic.fill(place.directory, temporary.name, place.name)
            except FileExistsError:
                raise OvertakenError from None
            temporary.named = False
            return None
        watched = _still(place, standing)
        try:
            exchanged = atomic.exchange(place.directory, temporary.name, place.name)
            if not exchanged:
                atomic.replace(place.directory, temporary.name, place.name)
        except FileNotFoundError:
            raise OvertakenError from None
    temporary.named = False
    name = temporary.name if exchanged else None
    was = version(standing.info)
    return Replaced(standing.descriptor, name, standing.data, data, was, successor, watched)


def confirm(place: Place, temporary: Temporary, replaced: Replaced | None, steps: Steps) -> None:
    """Make sure that what was replaced is what had been read; else undo the swap.

    Raises:
        OvertakenError: it was not; the swap is undone.
        PublishError: the system would not tell; the swap stands.
    """
    with steps("compare"):
        if replaced is None or replaced.name is None or _as_read(place, replaced):
            return
        atomic.exchange(place.directory, replaced.name, place.name)
        before = version(os.fstat(temporary.descriptor))
        mine = stands(temporary.descriptor, replaced.name, place.directory)
        if mine and atomic.holds(temporary.descriptor, replaced.put):
            raise OvertakenError(_undone(place, temporary, replaced, before))
        # Somebody wrote into ours in these microseconds: that is the newer, and stays.
        atomic.exchange(place.directory, replaced.name, place.name)
        left = os.open(replaced.name, READ, dir_fd=place.directory)
        raise OvertakenError(replace(replaced, descriptor=left, watched=False))


def _undone(
    place: Place, temporary: Temporary, replaced: Replaced, was: Version
) -> Replaced | None:
    """Return ours as one that was replaced: who opened it while it stood may write into it yet."""
    temporary.named = True
    if replaced.name is None:
        return None
    try:
        descriptor = os.open(replaced.name, READ, dir_fd=place.directory)
    except OSError:
        return None
    temporary.named = False
    mine = replaced.put
    return Replaced(descriptor, replaced.name, mine, mine, was, Version())


def _still(place: Place, standing: Standing) -> bool:
    """Make sure, as far as can be, that the file is as it was read; say whether we watch it."""
    answer = watch(standing.descriptor)
    if answer is Watch.BUSY and not standing.busy:
        raise OvertakenError
    same = stands(standing.descriptor, place.name, place.directory)
    if not same or not atomic.holds(standing.descriptor, standing.data):
        raise OvertakenError
    return answer is Watch.KEPT


def _as_read(place: Place, replaced: Replaced) -> bool:
    """Say whether the temporary name leads to the file, and the bytes, that were read."""
    if replaced.name is None:
        return False
    if not stands(replaced.descriptor, replaced.name, place.directory):
        return False
    if replaced.watched:
        return not disturbed(replaced.descriptor)
    return replaced.expected is None or atomic.holds(replaced.descriptor, replaced.expected)
