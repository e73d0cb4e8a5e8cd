"""Exit statuses of all commands (those above 63 are from sysexits.h)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from credfresh.errors import AlreadyRunningError, ConfigError, ControlError, CredfreshError


class Exit(IntEnum):
    """What a command's exit status says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    NOT_FRESH = 4
    NOT_REACHED = 5
    UNAVAILABLE = 69
    ALREADY_RUNNING = 75
    NOT_ALLOWED = 77
    CONFIG = 78


OF_CONTROL: Mapping[str, Exit] = {
    "no_daemon": Exit.UNAVAILABLE,
    "another_daemon": Exit.UNAVAILABLE,
    "stopping": Exit.UNAVAILABLE,
    "busy": Exit.UNAVAILABLE,
    "not_allowed": Exit.NOT_ALLOWED,
    "unknown_profile": Exit.USAGE,
}
"""The exit status for a code of the control socket; for any other it is FAILED."""


def status_of(error: CredfreshError) -> Exit:
    """Return the exit status of a command that ended with this error."""
    match error:
        case ConfigError():
            return Exit.CONFIG
        case AlreadyRunningError():
            return Exit.ALREADY_RUNNING
        case ControlError():
            return OF_CONTROL.get(error.code, Exit.FAILED)
        case _:
            return Exit.FAILED
