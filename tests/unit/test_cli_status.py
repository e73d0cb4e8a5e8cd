"""Looking at the status again and again."""

from __future__ import annotations

from typing import Any

import pytest

from credfresh.cli import status
from credfresh.cli.asking import Whereabouts
from credfresh.errors import ControlCode, ControlError
from credfresh.statuses import ProfileStatus

SHOWN = status.Report("daemon", [])
WHERE = Whereabouts("/nowhere", None)


def refusing(code: ControlCode) -> Any:
    """Return a function that asks for the status and is refused."""

    def ask(_: Whereabouts) -> status.Report:
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


def test_watch_says_below_the_table_why_it_shows_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line is cut to the screen, since a wrapped one would scroll the table away."""
    monkeypatch.setattr(status, "_size", lambda: (30, 8))
    profile = ProfileStatus("dev", "fresh", "arn", 9.5, 8.5, 7.5, 6.5, 0, None, None, None)
    shown = status.Report("file", [profile.as_json()] * 9, "/run/x: no daemon answers (refused)")
    status._show_screen(shown)
    lines = capsys.readouterr().out.replace("\x1b[K", "").split("\n")

    assert ["", "/run/x: no daemon answers (re…"] == lines[-3:-1]
    assert 8 == len(lines)
