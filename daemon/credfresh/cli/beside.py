"""The work of `once` where a daemon keeps the file: that daemon is asked to do it."""

from __future__ import annotations

from typing import Any

from credfresh.control.client import ask
from credfresh.control.protocol import MOST_TIMEOUT, Renew, Status
from credfresh.errors import ControlError
from credfresh.events import Emit
from credfresh.settings import Settings


def renew_due(settings: Settings, emit: Emit) -> bool | None:
    """Let the daemon of the same instance renew what is not fresh; say whether all are then.

    None: it is no daemon of ours that keeps the file, or it cannot be asked.

    Raises:
        ControlError: it is ours, and does not let us ask.
    """
    if settings.control is None:
        return None
    path = settings.control.socket
    try:
        before = ask(path, Status())
    except ControlError:
        return None
    if before["instance"] != settings.instance:
        return None
    # What was withdrawn by hand has no next renewal; only who names it brings it back.
    due = [p["profile"] for p in _not_fresh(before) if p["renew_at"] is not None]
    if due:
        ask(path, Renew(tuple(due)), patience=MOST_TIMEOUT)
    after = ask(path, Status()) if due else before
    failed = [p["profile"] for p in _not_fresh(after)]
    # A profile that the daemon does not know: the configuration has changed since it read it.
    known = {profile["profile"] for profile in after["profiles"]}
    failed += [name for name in settings.profiles if name not in known]
    emit("daemon_asked", path=path, profiles=len(due), failed=" ".join(failed) or None)
    return not failed


def _not_fresh(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [profile for profile in report["profiles"] if profile["state"] != "fresh"]
