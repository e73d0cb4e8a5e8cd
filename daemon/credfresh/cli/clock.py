"""The one clock of all commands."""

from __future__ import annotations

import time

from credfresh.model import Instant


def clock() -> Instant:
    """Return this moment on CLOCK_REALTIME and CLOCK_BOOTTIME."""
    return Instant(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))  # noqa: TID251 - the maker
