"""A directory of our own, and the files that only we write there.

Nobody else may write here, so a plain rename puts a file in place: unlike the shared credentials
file, these have no rivals.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field, replace

from credfresh.disk import atomic, writing
from credfresh.disk.access import Access
from credfresh.disk.atomic import Attributes
from credfresh.disk.paths import Place, resolved
from credfresh.disk.steps import Steps
from credfresh.errors import PublishError
from credfresh.regular import Identity, identity
from credfresh.settings import FileTarget
from credfresh.values import dataclass

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

MOST = 1 << 26
"""Bytes that are read of one file: fifty times the largest of ours with ten thousand profiles. What
is longer is not ours, and must not use up the daemon's memory."""


@contextmanager
def entered(folder: FileTarget, name: str, steps: Steps) -> Iterator[Place]:
    """Enter the directory `folder.path`, creating it if it is missing; `name` is a file in it.

    A new directory gets the mode of its files with x for each r, and those to whom `folder.mode`
    gives an x may search it; owner and group are those of `folder`. A standing one is left as it
    is. A link under `name` is not followed: it would lead all that is kept here elsewhere.

    Raises:
        PublishError: it cannot be made or entered, or others could put something into it.
    """
    with contextlib.ExitStack() as stack:
        path = f"{folder.path}/{name}"
        try:
            place = stack.enter_context(resolved(path, follow_last=False))
        except PublishError as error:
            if error.code != "ENOENT":
                raise
            _make(folder, steps)
            place = stack.enter_context(resolved(path, follow_last=False))
        yield place


def beside(place: Place, name: str) -> Place:
    """Return the place of another name in the same directory."""
    return replace(place, name=name)


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it stands."""

    data: bytes = field(repr=False)
    info: os.stat_result


def read(place: Place, steps: Steps, *, most: int = MOST) -> Found | None:
    """Return a file's bytes, at most one more than `most`, and its stat(2); None without a file.

    Raises:
        PublishError: it cannot be read, or is no regular file.
    """
    with steps("read"):
        try:
            descriptor = os.open(place.name, _READ, dir_fd=place.directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # O_NOFOLLOW: a link, not a circle of them
                raise _no_file(place) from error
            raise
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise _no_file(place)
            return Found(os.read(descriptor, min(info.st_size, most) + 1), info)
        finally:
            os.close(descriptor)


def _no_file(place: Place) -> PublishError:
    return PublishError(
        f"{place.path}: not a regular file",
        path=place.path,
        step="read",
        code="not_a_file",
        hint="remove it: this directory is for credfresh alone",
    )


def identity_at(place: Place) -> Identity | None:
    """Return the identity of the file at a place; None while there is none."""
    try:
        return identity(os.stat(place.name, dir_fd=place.directory, follow_symlinks=False))
    except FileNotFoundError:
        return None


def put(
    place: Place, data: bytes, attributes: Attributes, steps: Steps, *, durable: bool = True
) -> os.stat_result:
    """Put bytes in the place of a file, whole.

    The caller makes the rename durable (fsync of the directory), once for many files. A file that
    is not `durable` may be empty after a power cut: the next start must be able to mend it.

    Raises:
        PublishError: it could not be done; the old file stands.
    """
    temporary = writing.prepare(place, data, attributes, steps, durable=durable)
    try:
        with steps("swap"):
            atomic.replace(place.directory, temporary.name, place.name)
            temporary.named = False
            return os.fstat(temporary.descriptor)
    finally:
        temporary.drop()


def remove(place: Place, steps: Steps) -> bool:
    """Take a file away; say whether there was one.

    Raises:
        PublishError: it stays.
    """
    with steps("remove"):
        try:
            os.unlink(place.name, dir_fd=place.directory)
        except FileNotFoundError:
            return False
    return True


def mode_for(files: int) -> int:
    """Return the mode of a directory for files of this mode: x for each r, no w but the owner's."""
    readers = files & 0o444
    return 0o200 | readers | readers >> 2 | files & 0o111


def _make(folder: FileTarget, steps: Steps) -> None:
    with resolved(folder.path) as place:
        with steps("create"), contextlib.suppress(FileExistsError):
            os.mkdir(place.name, 0o700, dir_fd=place.directory)
        try:
            with steps("attributes"):
                _open_up(folder, place)
        except BaseException:
            with contextlib.suppress(OSError):  # else the next try leaves it as it stands: closed
                os.rmdir(place.name, dir_fd=place.directory)
            raise


def _open_up(folder: FileTarget, place: Place) -> None:
    descriptor = os.open(place.name, _DIRECTORY, dir_fd=place.directory)
    try:
        wanted = Access(folder).attributes(None)
        # Where the directory above chooses the group of what is made there, so does this one.
        chooses = os.fstat(descriptor).st_mode & stat.S_ISGID
        atomic.set_attributes(descriptor, replace(wanted, mode=mode_for(folder.mode) | chooses))
    finally:
        os.close(descriptor)
