"""No core file: the memory of this process holds keys (I5)."""

from __future__ import annotations

try:
    import ctypes
except (ImportError, MemoryError):  # where no memory may be made executable the import can fail
    _prctl = None
else:
    _prctl = ctypes.CDLL(None).prctl

_SET_DUMPABLE = 4  # PR_SET_DUMPABLE of linux/prctl.h


def forbid() -> bool:
    """Make this process leave no core file, whatever its limits; say whether the kernel agreed.

    Others of the same user cannot attach to it or read its memory either (prctl(2)). A program
    that it starts is not concerned.
    """
    return _prctl is not None and bool(_prctl(_SET_DUMPABLE, 0, 0, 0, 0) == 0)
