"""Exit statuses of all commands (those above 63 are from sysexits.h)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from credfresh.errors import (
    AlreadyRunningError,
    ConfigError,
    ControlCode,
    ControlError,
    CredfreshError,
    NotAllowedError,
)


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


OF_CONTROL: Mapping[ControlCode, Exit] = {
    ControlCode.NO_DAEMON: Exit.UNAVAILABLE,
    ControlCode.BAD_ANSWER: Exit.UNAVAILABLE,
    ControlCode.UNSUPPORTED_VERSION: Exit.UNAVAILABLE,
    ControlCode.ANOTHER_DAEMON: Exit.UNAVAILABLE,
    ControlCode.STOPPING: Exit.UNAVAILABLE,
    ControlCode.BUSY: Exit.UNAVAILABLE,
    ControlCode.NOT_ALLOWED: Exit.NOT_ALLOWED,
    ControlCode.UNKNOWN_PROFILE: Exit.USAGE,
}
"""The exit status for a code of the control socket; for any other it is FAILED."""


def status_of(error: CredfreshError) -> Exit:
    """Return the exit status of a command that ended with this error."""
    match error:
        case ConfigError():
            return Exit.CONFIG
        case AlreadyRunningError():
            return Exit.ALREADY_RUNNING
        case NotAllowedError():
            return Exit.NOT_ALLOWED
        case ControlError():
            return OF_CONTROL.get(error.code, Exit.FAILED)
        case _:
            return Exit.FAILED
