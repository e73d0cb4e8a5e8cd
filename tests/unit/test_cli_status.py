"""Looking at the status again and again."""

from __future__ import annotations

from typing import Any

import pytest

from credfresh.cli import status
from credfresh.cli.asking import Whereabouts
from credfresh.errors import ControlCode, ControlError

SHOWN: dict[str, Any] = {"from": "daemon", "profiles": []}
WHERE = Whereabouts("/nowhere", None)


def refusing(code: ControlCode) -> Any:
    """Return a function that asks for the status and is refused."""

    def ask(_: Whereabouts) -> dict[str, Any]:
        raise ControlError(code, "refused")

    return ask


def test_watch_keeps_what_it_shows_while_the_daemon_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is busy for a moment: that is no reason to stop watching."""
    monkeypatch.setattr(status, "_report", refusing(ControlCode.BUSY))

    assert SHOWN is status._again(WHERE, SHOWN)


def test_any_other_refusal_ends_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown before is not shown as if it were new."""
    monkeypatch.setattr(status, "_report", refusing(ControlCode.NOT_ALLOWED))

    with pytest.raises(ControlError, match="refused"):
        status._again(WHERE, SHOWN)
