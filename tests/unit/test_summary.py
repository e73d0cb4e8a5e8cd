"""Tables and lines that people are shown."""

from __future__ import annotations

import pytest

from credfresh import summary
from credfresh.cli.status import PUBLIC
from credfresh.statuses import ProfileStatus


def status(
    name: str = "production", *, left: float = 1800.0, error: str | None = None
) -> ProfileStatus:
    """Return the status of a one-hour session with so much left."""
    return ProfileStatus(
        profile=name,
        state="fresh",
        role_arn="arn:aws:iam::111111111111:role/deploy",
        expiration=1_800_000_000.0,
        seconds_left=left,
        lifetime=3600.0,
        renew_in=663.0,
        consecutive_failures=0,
        access_key_id="ASIAFAKE000000000000",
        last_error=error,
        hint=None,
    )


def test_a_hint_is_given_once_for_all_profiles_that_need_it() -> None:
    """The most urgent comes first, and thousands of profiles make a few lines."""
    wanting = [
        {"profile": f"p{n}", "state": "late", "seconds_left": n, "hint": f"mend {n % 9}"}
        for n in range(1000)
    ]
    alone = {"profile": "x\x1b", "state": "missing", "seconds_left": 0, "hint": "make\x1b it"}
    well = {"profile": "y", "state": "fresh", "seconds_left": 9, "hint": None}
    lines = summary.advice([*wanting, well, alone])

    assert ["x\ufffd: make\ufffd it", "p0, p9, p18 …: mend 0", "p1, p10, p19 …: mend 1"] == lines[
        :3
    ]
    assert 5 == len(lines)
    assert [] == summary.advice([well])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (663, "11m03s"), (3600, "1h00m"), (7500, "2h05m")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """They are seconds, then minutes with seconds, then hours with minutes."""
    assert text == summary.duration(seconds)


@pytest.mark.parametrize(
    ("left", "blocks"), [(0, 0), (1, 1), (1800, 10), (3600, 20), (9999, 20), (10**400, 20), (-5, 0)]
)
def test_the_bar_shows_the_share_of_life(left: float, blocks: int) -> None:
    """Any life shows at least one block, none shows none, and no number is too large."""
    assert "█" * blocks + "░" * (20 - blocks) == summary.bar(left, 3600)


def test_the_table_is_aligned_and_names_errors() -> None:
    """Every row starts its columns where the header does."""
    lines = summary.table(
        [status("dev").as_json(), status("production", error="AccessDenied: no").as_json()]
    ).split("\n")

    assert 3 == len(lines)
    column = lines[0].index("LAST ERROR")
    assert "AccessDenied: no" == lines[2][column:]
    assert lines[1].startswith("dev         fresh")


def test_without_profiles_only_the_header_stands() -> None:
    """An empty table is not an error."""
    assert summary.table([]).startswith("PROFILE")


def test_the_table_is_coloured_only_on_request() -> None:
    """No escape sequence goes into a pipe."""
    assert "\x1b" not in summary.table([status().as_json()])
    assert "\x1b[32m" in summary.table([status().as_json()], colour=True)


def test_a_state_that_only_a_later_daemon_knows_is_shown_as_it_is() -> None:
    """Such a state may come within version 1 of the protocol, and counts as urgent."""
    later = status("later").as_json() | {"state": "paused"}
    shown = summary.table([status().as_json(), later, later], colour=True, height=3)
    assert "later" in shown
    assert "paused" in shown


def test_one_line_counts_and_names_the_next() -> None:
    """The service manager is shown how many are fresh and what comes next."""
    profiles = [("dev", "fresh", 663.0), ("staging", "fresh", 61.0), ("production", "late", 90.0)]

    assert "2/3 fresh, next staging in 1m01s" == summary.one_line(profiles)  # type: ignore[arg-type] # literals
    assert "0/0 fresh" == summary.one_line([])


def test_a_line_is_cut_to_the_width_of_the_terminal() -> None:
    """A long error ends in an ellipsis instead of a second line."""
    drawn = summary.table([status(error="x" * 200).as_json()], width=80)

    assert [80 if "…" in line else len(line) for line in drawn.split("\n")] == [
        len(line) for line in drawn.split("\n")
    ]
    assert drawn.endswith("x…")


def test_an_error_is_shown_in_a_terminal_of_the_usual_width() -> None:
    """Where errors have no room, the bar goes, then the guarantee; the code stays to be read."""
    error = "AccessDenied: User: arn:aws:iam::111111111111:user/ci is not authorized"
    failing = [status("preproduction").as_json(), status("production", error=error).as_json()]
    header, well, ill = summary.table(failing, width=80).split("\n")

    assert ill[header.index("LAST ERROR") :].startswith("AccessDenied: User: ")
    assert "█" not in well
    assert "NEXT RENEWAL" in header
    assert "█" in summary.table(failing, width=200)
    assert "█" in summary.table(failing[:1], width=80)


@pytest.mark.parametrize("error", [None, "AccessDenied: no"])
def test_a_long_name_leaves_room_for_the_state_in_a_narrow_terminal(error: str | None) -> None:
    """Where colours are not wanted, the state is nowhere else."""
    long = status("a-long-name-of-an-environment-in-production", error=error).as_json()

    assert (
        summary.table([long], width=40)
        .split("\n")[1]
        .startswith("a-long-name-of-an-e…  fresh  30m00s")
    )
    assert long["profile"] in summary.table([long], width=140)
    assert "a-long-name-of-an-environ" in summary.table([long], width=100)


def test_with_more_profiles_than_lines_the_most_urgent_are_shown() -> None:
    """Expired profiles come first, then late ones, then those with the least life left."""
    profiles = [status(f"p{n}", left=60.0 * n).as_json() for n in range(1, 101)]
    profiles[70]["state"], profiles[80]["state"] = "late", "expired"

    lines = summary.table(profiles, height=6).split("\n")

    assert ["p81", "p71", "p1", "p2"] == [line.split()[0] for line in lines[1:5]]
    assert "… and 96 more" == lines[5]
    assert 101 == len(summary.table(profiles, height=101 + 1).split("\n"))


def test_escape_sequences_in_texts_of_others_are_shown_not_obeyed() -> None:
    """An escape sequence in an error text is shown, not carried out."""
    drawn = summary.table([status(error="no\x1b]0;title\x07\nline").as_json()])

    assert 2 == len(drawn.split("\n"))
    assert drawn.isprintable() or "\x1b" not in drawn


def test_the_json_of_a_profile_begins_with_the_public_keys() -> None:
    """Times are RFC 3339 in UTC, seconds are whole, what is not known is null."""
    shape = status().as_json()

    assert list(PUBLIC) == list(shape)[: len(PUBLIC)]
    assert {key: shape[key] for key in PUBLIC} == {
        "profile": "production",
        "state": "fresh",
        "expiration": "2027-01-15T08:00:00Z",
        "seconds_left": 1800,
        "renew_at": None,
        "guarantee_s": None,
        "consecutive_failures": 0,
        "access_key_id": "ASIAFAKE000000000000",
        "role_arn": "arn:aws:iam::111111111111:role/deploy",
        "last_error": None,
    }
