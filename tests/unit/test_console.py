"""Events as people watch them on a terminal: each line has been looked at."""

from __future__ import annotations

import re

import pytest

from credfresh.logs.console import ConsoleRenderer

STAMP = "2026-11-24T20:35:32.486Z"


def lines(level: str, event: str, *, colours: bool = False, **fields: object) -> list[str]:
    """Return the lines of an event as the console shows them."""
    given = {"timestamp": STAMP, "level": level, "event": event, **fields}
    return ConsoleRenderer(colours=colours)(None, level, given).split("\n")


def test_a_renewal_is_one_line_that_says_the_times_first() -> None:
    """It has the profile without its key, times of today without their date, and ids last."""
    [line] = lines(
        "info",
        "credentials_renewed",
        profile="production",
        role_arn="arn:aws:iam::111111111111:role/x",
        access_key_id="ASIAEXAMPLE",
        expiration="2026-11-24T21:35:32Z",
        renew_at="2026-11-24T21:03:11Z",
        lifetime_s=3600,
    )

    assert line == (
        "20:35:32 · credentials_renewed    production       expiration=21:35:32 renew_at=21:03:11"
        " lifetime_s=3600 access_key_id=ASIAEXAMPLE role_arn=arn:aws:iam::111111111111:role/x"
    )


def test_error_and_hint_stand_on_lines_of_their_own() -> None:
    """Error and hint get lines of their own, in the order in which they are read."""
    assert [
        "20:35:32 ✕ publish_failed         path=/run/x step=sync code=ENOSPC",
        "             error  the disk is full",
        "             hint   make room",
    ] == lines(
        "error",
        "publish_failed",
        hint="make room",
        path="/run/x",
        step="sync",
        code="ENOSPC",
        error="the disk is full",
    )


def test_a_time_of_another_day_keeps_its_date() -> None:
    """Around midnight no time can be taken for one of today."""
    [line] = lines("error", "profile_expired", expiration="2026-11-23T23:59:59Z")

    assert line.endswith("expiration=2026-11-23T23:59:59")


def test_ambiguous_values_are_quoted() -> None:
    """Text with spaces and empty text are quoted; true is spelt as in the configuration."""
    [line] = lines("info", "x", path="a b", hint_less="", clean=True, none=[])

    assert line.endswith('path="a b" hint_less="" clean=true none=[]')


def test_the_frames_of_an_error_stand_one_below_the_other() -> None:
    """The innermost place is the last, as in a traceback."""
    _, *below = lines("error", "unexpected_error", frames=["a:1 f", "b:2 g"])

    assert ["a:1 f", "b:2 g"] == [line.split("frames ")[1] for line in below]


@pytest.mark.parametrize(
    ("level", "event", "colour"),
    [
        ("error", "publish_failed", "\x1b[1;31m"),
        ("warning", "lock_held", "\x1b[33m"),
        ("info", "credentials_renewed", "\x1b[32m"),
        ("info", "endpoint_recovered", "\x1b[32m"),
    ],
)
def test_lines_are_coloured_by_how_it_went(level: str, event: str, colour: str) -> None:
    """Errors are red, warnings yellow, successes green; the sign says the same without colour."""
    [line] = lines(level, event, colours=True)

    assert colour in line
    assert line.endswith("\x1b[0m")


def test_without_colours_there_is_no_escape() -> None:
    """Output into a pipe is plain text."""
    assert not re.search("\x1b", "".join(lines("error", "x", profile="p", error="e", hint="h")))
