"""Opening files that people name, without waiting, and knowing them again.

A FIFO in the place of a file would make us wait for ever.
"""

from __future__ import annotations

import errno
import os
import stat


def only_regular(path: str, flags: int) -> int:
    """Open a regular file without waiting, and nothing else: an opener for `open`.

    Raises:
        OSError: the file cannot be opened, or is not regular; `strerror` says which.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    number, what = errno.EINVAL, "Not a regular file"
    if stat.S_ISDIR(mode):
        number, what = errno.EISDIR, os.strerror(errno.EISDIR)
    raise OSError(number, what, path)


def must_be_regular(path: str) -> None:
    """Refuse, for a library that opens files by name, a file that it would wait for or fail at.

    Raises:
        OSError: the file cannot be opened, or is not regular; `strerror` says which.
    """
    os.close(only_regular(path, os.O_RDONLY | os.O_CLOEXEC))


Version = tuple[int, ...]
"""A value that differs between versions of a file."""


def version_of(path: str) -> Version | None:
    """Return the version of the file at `path`; None while there is no file."""
    try:
        return version(os.stat(path))  # noqa: PTH116 - called all the time: no Path to build
    except OSError:
        return None


def version(found: os.stat_result) -> Version:
    """Return the version of a file of which this was `found`.

    The change time is part of it: a chmod may make a file readable.
    """
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
