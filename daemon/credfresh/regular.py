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


Identity = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime in ns: while they are the same, so is the content, but for
writes within one tick of the file system's clock (up to 10 ms). A chmod changes it too: it may make
a file readable."""


def identity(info: os.stat_result) -> Identity:
    """Return what tells one state of a file from another."""
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def identity_at(path: str) -> Identity | None:
    """Return the identity of the file at `path`; None while there is no file."""
    try:
        return identity(os.stat(path))  # noqa: PTH116 - called all the time: no Path to build
    except OSError:
        return None
