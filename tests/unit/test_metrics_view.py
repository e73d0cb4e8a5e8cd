"""The verdict goes by what stands on disk, whatever the daemon believes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credfresh.metrics.reader import PublishedKey, Sections
from credfresh.metrics.view import View, judge
from credfresh.settings import FileTarget, Twin
from credfresh.statuses import State
from fakes import EPOCH
from views import figures, snapshot

KEY = "ASIAFAKE000000000000"
EXPIRES = EPOCH + 2400


def judged(sections: Sections | None, state: State = "fresh") -> View:
    """Judge the profile `production`, of which the file holds `sections`."""
    return judge(snapshot(figures("production", state)), lambda _path: sections)


def test_a_profile_that_stands_as_published_keeps_its_state() -> None:
    """If the file holds the key that was published, the daemon's own judgement counts."""
    view = judged({"production": PublishedKey(KEY, EXPIRES)})

    assert view.healthy
    assert "fresh" == view.profiles[0].state
    assert {"fresh": 1, "late": 0, "expired": 0, "missing": 0, "refused": 0} == view.counts


@pytest.mark.parametrize("sections", [None, {}, {"other": PublishedKey(KEY, EXPIRES)}])
def test_without_its_section_on_disk_a_profile_is_missing(sections: Sections | None) -> None:
    """The file may be gone, empty, or hold others: readers get nothing, and the view says so."""
    view = judged(sections)

    assert not view.healthy
    assert ("missing", 0.0) == (view.profiles[0].state, view.profiles[0].seconds_left)


def test_a_file_that_is_newer_than_the_snapshot_is_no_trouble() -> None:
    """A publish between the snapshot and the look at the file raises no alarm."""
    view = judged({"production": PublishedKey("ASIANEWER00000000000", EXPIRES + 1200)})

    assert view.healthy
    assert "fresh" == view.profiles[0].state


def test_a_file_of_the_same_second_is_no_older_one() -> None:
    """Its times are rounded down: keys that were renewed meanwhile may seem to end before ours."""
    view = judged({"production": PublishedKey("ASIANEWER00000000000", EXPIRES - 0.9)})

    assert "fresh" == view.profiles[0].state


def test_an_older_version_put_back_counts_with_its_own_expiration() -> None:
    """A copy of yesterday's file is judged by what it says, not by what we published."""
    late = judged({"production": PublishedKey("ASIAOLDER00000000000", EPOCH + 60)})
    dead = judged({"production": PublishedKey("ASIAOLDER00000000000", EPOCH - 60)})

    assert ("late", 60.0) == (late.profiles[0].state, late.profiles[0].seconds_left)
    assert "expired" == dead.profiles[0].state
    assert not dead.healthy


@pytest.mark.parametrize("state", ["expired", "missing", "refused"])
def test_an_expired_missing_or_refused_profile_is_unhealthy(state: State) -> None:
    """Whatever stands in the file, an expired, missing or refused profile is unhealthy."""
    view = judged({"production": PublishedKey(KEY, EXPIRES)}, state)

    assert not view.healthy
    assert [state] == [one.state for one in view.unhealthy()]


def test_a_late_profile_is_healthy() -> None:
    """A profile past its renewal has credentials that work: no reader is harmed yet."""
    assert judged({"production": PublishedKey(KEY, EXPIRES)}, "late").healthy


def test_a_file_of_many_profiles_is_looked_at_once() -> None:
    """Ten profiles of one file cost one look."""
    looks: list[str] = []

    def sections(path: str) -> Sections:
        looks.append(path)
        return {}

    judge(snapshot(*(figures(f"p{n}") for n in range(10))), sections)

    assert ["/run/credfresh/credentials"] == looks


def test_a_profile_whose_twin_is_gone_is_missing() -> None:
    """A profile that is published in two places is judged by the worse."""
    one = figures("production")
    twin = Twin("/run/credfresh/process", "production", FileTarget("/run/credfresh/process"))
    one = one._replace(profile=replace(one.profile, twin=twin))
    held = {"production": PublishedKey(KEY, EXPIRES)}

    lost = judge(snapshot(one), lambda _path: held, lambda path: path != twin.path)
    kept = judge(snapshot(one), lambda _path: held, lambda path: path == twin.path)

    assert ["missing"] == [each.state for each in lost.profiles]
    assert kept.healthy
