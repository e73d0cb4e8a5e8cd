"""Forbids core files of this process, whose memory holds keys (I5)."""

from __future__ import annotations

import ctypes

_SET_DUMPABLE = 4  # PR_SET_DUMPABLE of linux/prctl.h


def forbid() -> bool:
    """Make this process leave no core file, whatever its limits; say whether the kernel agreed.

    Other processes of the same user can then neither attach to it nor read its memory (prctl(2)).
    Programs that it starts are not affected.
    """
    return bool(ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0) == 0)
