"""Opening what people name: a FIFO in the place of a file would make us wait for ever."""

from __future__ import annotations

import errno
import os
import stat


def only_regular(path: str, flags: int) -> int:
    """Open a regular file without waiting, and nothing else: an opener for `open`.

    Raises:
        OSError: it cannot be opened, or is something else, which `strerror` says.
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
