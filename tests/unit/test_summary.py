"""What people are shown."""

from __future__ import annotations

import pytest

from credfresh import summary
from credfresh.roster import ProfileStatus
from fakes import profile, settings
from simulation import Simulation


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (663, "11m03s"), (3600, "1h00m"), (7500, "2h05m")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """Seconds, then minutes with seconds, then hours with minutes."""
    assert text == summary.duration(seconds)


@pytest.mark.parametrize(
    ("left", "blocks"), [(0, 0), (1, 1), (1800, 10), (3600, 20), (9999, 20), (-5, 0)]
)
def test_the_bar_shows_the_share_of_life(left: float, blocks: int) -> None:
    """Any life shows at least one block, and none shows none."""
    assert "█" * blocks + "░" * (20 - blocks) == summary.bar(left, 3600)


def test_the_table_is_aligned_and_names_errors() -> None:
    """Every row starts its columns where the header does."""
    lines = summary.table([status("dev"), status("production", error="AccessDenied: no")]).split(
        "\n"
    )

    assert 3 == len(lines)
    column = lines[0].index("LAST ERROR")
    assert "AccessDenied: no" == lines[2][column:]
    assert lines[1].startswith("dev         fresh")


def test_without_profiles_only_the_header_stands() -> None:
    """An empty table is not an error."""
    assert summary.table([]).startswith("PROFILE")


def test_colour_only_where_asked() -> None:
    """Escape sequences reach no pipe."""
    assert "\x1b" not in summary.table([status()])
    assert "\x1b[32m" in summary.table([status()], colour=True)


def test_one_line_counts_and_names_the_next() -> None:
    """The service manager is shown how many are fresh and what comes next."""
    sim = Simulation(settings(profile("dev"), profile("production", duration=7200)))
    sim.start()

    assert summary.one_line(sim.supervisor.roster, sim.clock()).startswith(
        "2/2 fresh, next dev in 2"
    )
