"""Who may write now, who keeps the file for life, and who has it open: the only door to fcntl.

Three kinds of lock, none of them on a name that readers open:

- the write lock, flock(2) on `<file>.lock`, is for the moment of a write. flock(1) and other
  writers of the file take the same one. It is good manners and no protection: a writer that holds
  it for ever delays us, and stops nothing.
- the life lock, flock(2) on `<file>.credfresh`, says which daemon keeps the file.
- a watch is a read lease (fcntl(2), F_SETLEASE) on a file that we are about to replace. The
  kernel grants it only while nobody has the file open for writing, and then makes whoever opens it
  for writing wait until the lease is given back: so it tells for certain whether a writer that
  takes no lock is at work. It needs a file of our own (or CAP_LEASE) on a file system with leases;
  elsewhere we do without.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import signal
import stat
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from credfresh.disk.paths import Place, trusted_owner
from credfresh.disk.steps import failure
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.values import dataclass

Pause = Callable[[float], object]
"""Waits that many seconds."""

_SIDE_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_POLL = 0.01
_MOST_NOTE = 4096
_UNUSABLE = {errno.ELOOP, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENXIO}


@dataclass(frozen=True, slots=True)
class Blocked:
    """The write lock was not to be had."""

    waited: float
    """Seconds; 0 where what stands there cannot be locked at all."""
    holder: int | None
    """The process that holds it, where the kernel tells."""


class WriteLock:
    """The write lock of one place, taken by `take` and given back by `close`."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def take(self, place: Place, patience: float, pause: Pause) -> Blocked | None:
        """Wait for the lock for at most `patience` seconds; None when it is ours.

        Raises:
            OSError: its file cannot be made.
        """
        waited = 0.0
        while True:
            try:
                descriptor = os.open(
                    f"{place.name}.lock", _SIDE_FILE, 0o600, dir_fd=place.directory
                )
            except OSError as error:
                if error.errno in _UNUSABLE:
                    return Blocked(0.0, None)
                raise
            with contextlib.ExitStack() as opened:
                opened.callback(os.close, descriptor)
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return Blocked(0.0, None)
                while not _flock(descriptor):
                    if waited >= patience:
                        return Blocked(waited, _holder(descriptor))
                    pause(_POLL)
                    waited += _POLL
                # One removed while we waited does not count: another may hold its successor.
                if stands(descriptor, f"{place.name}.lock", place.directory):
                    opened.pop_all()
                    self._descriptor = descriptor
                    return None

    def close(self) -> None:
        """Give the lock back, if it is ours."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class LifeLock:
    """Our claim to one file, or to the directory that a key of the configuration names.

    It lasts until it is closed. Its file tells people who we are, and may hold a `note` that
    outlives us; only the lock itself counts.
    """

    found: str
    """What the claimant before us wrote there: a line about itself, then its note."""

    def __init__(self, place: Place, instance: str, *, directory_key: str | None = None) -> None:
        """Claim a file, or all of its directory.

        Raises:
            AlreadyRunningError: somebody else keeps it.
            PublishError: the claim cannot be made.
        """
        self.path = place.path
        self._directory_key = directory_key
        self._name = _life_name(place)
        self._who = f"pid={os.getpid()} instance={instance}\n"
        try:
            self._descriptor, self.found = self._claim(place)
        except OSError as error:
            raise failure(f"{place.path}.credfresh", "claim", error) from error
        self.note(self.found.partition("\n")[2])

    def _claim(self, place: Place) -> tuple[int, str]:
        while True:
            descriptor = os.open(self._name, _SIDE_FILE, 0o600, dir_fd=place.directory)
            with contextlib.ExitStack() as opened:  # what stays open keeps us out ourselves
                opened.callback(os.close, descriptor)
                info = os.fstat(descriptor)
                if not stat.S_ISREG(info.st_mode) or not trusted_owner(info.st_uid):
                    raise PublishError(
                        f"{place.path}.credfresh: not a file of ours (uid {info.st_uid})",
                        path=place.path,
                        step="claim",
                        code="planted",
                        hint="remove it, and keep the file where nobody else may create files",
                    )
                free = _flock(descriptor)
                said = os.pread(descriptor, _MOST_NOTE, 0).decode("ascii", "replace")
                if not free:
                    raise self._taken(place, said.partition("\n")[0] or "unknown")
                if stands(descriptor, self._name, place.directory):
                    opened.pop_all()
                    return descriptor, said

    def _taken(self, place: Place, holder: str) -> AlreadyRunningError:
        if self._directory_key is None:
            return AlreadyRunningError(place.path, holder=holder)
        return AlreadyRunningError(
            place.folder, holder=holder, keeps="keeps this directory", key=self._directory_key
        )

    def covers(self, place: Place) -> bool:
        """Say whether the claim still stands, and for this place."""
        named = self._name == _life_name(place)
        return named and stands(self._descriptor, self._name, place.directory)

    def note(self, text: str) -> None:
        """Leave a note for whoever claims the file after us. A full disk is no reason to fail."""
        self.noted = text
        content = f"{self._who}{text}".encode()
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))

    def close(self) -> None:
        """Give the claim up. The file stays: to remove it would race with the next claimant."""
        os.close(self._descriptor)


class Watch(Enum):
    """The answer to `watch`."""

    KEPT = "kept"  # nobody has the file open for writing, nor can without our knowing
    BUSY = "busy"  # somebody has
    BLIND = "blind"  # it cannot be known here


def watch(descriptor: int) -> Watch:
    """Keep watch over a file that is open for reading, until `unwatch` or its close.

    A writer that comes meanwhile waits in open(2), for at most /proc/sys/fs/lease-break-time.
    """
    try:
        # The signal by which the kernel tells of a writer is SIGIO, which kills, unless another
        # is named; SIGURG is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Watch.BUSY if error.errno == errno.EAGAIN else Watch.BLIND
    return Watch.KEPT


def disturbed(descriptor: int) -> bool:
    """Say whether a writer has come to a file that we watch (it waits for `unwatch`)."""
    return fcntl.fcntl(descriptor, fcntl.F_GETLEASE) != fcntl.F_RDLCK


def unwatch(descriptor: int) -> None:
    """Let writers have the file."""
    with contextlib.suppress(OSError):  # EAGAIN: there was no watch
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def stands(descriptor: int, name: str, directory: int) -> bool:
    """Say whether a name in a directory leads to this open file."""
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _life_name(place: Place) -> str:
    return f"{place.name}.credfresh"


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int | None:
    """Return the process that holds a flock, from /proc/locks (proc_locks(5))."""
    info = os.fstat(descriptor)
    file = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    try:
        locks = Path("/proc/locks").read_text("ascii")
    except OSError:
        return None
    # "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"; a process of another namespace has no
    # positive number, and a "->" before the kind is one that waits.
    held = re.search(rf"^\d+: FLOCK +\S+ +\S+ +(\d+) {file} ", locks, re.MULTILINE)
    return int(held[1]) or None if held else None
