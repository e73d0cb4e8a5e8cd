"""Exit statuses: one table for all commands (the numbers above 63 are sysexits.h's)."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit status says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    UNAVAILABLE = 69
    ALREADY_RUNNING = 75
    NOT_ALLOWED = 77
    CONFIG = 78
