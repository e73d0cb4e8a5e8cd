"""The status says what readers find, not what we would like them to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from credfresh.errors import Mend, PublishError
from credfresh.life.entry import OVERDUE
from credfresh.publication import Outcomes, PublishReport, Refusal
from credfresh.publisher import Published
from credfresh.settings import Profile
from credfresh.statuses import ProfileStatus
from fakes import failure, grant, profile, settings
from simulation import Simulation
from twins import with_twin


def started(*profiles: Profile) -> Simulation:
    """Return a simulation in which all is published."""
    sim = Simulation(settings(*profiles))
    sim.start()
    sim.run(60)
    return sim


def published(sim: Simulation, outcomes: Outcomes) -> ProfileStatus:
    """Let a publish end with these outcomes; return the status of the first profile."""
    sim.supervisor.handle(Published(outcomes, {}, 0.001))
    return sim.supervisor.roster.statuses(sim.clock())[0]


def failed(path: str, code: str, step: str = "read") -> PublishError:
    """Return why a file could not be written."""
    return PublishError(f"{path}: {code}", path=path, step=step, code=code, hint="mend it")


@pytest.mark.parametrize(
    ("code", "step"),
    [("ENOENT", "resolve"), ("ENOTDIR", "resolve"), ("ELOOP", "resolve"), ("not_a_file", "read"),
     ("claimed", "claim")],
)  # fmt: skip
def test_where_no_reader_finds_the_file_the_profile_is_missing(code: str, step: str) -> None:
    """A directory may stand in its place or be gone, or another daemon may keep the file."""
    one = profile()
    sim = started(one)
    path = one.target.path

    told = published(sim, {path: failed(path, code, step)})
    assert ("missing", 0.0, None) == (told.state, told.seconds_left, told.expiration)
    assert told.last_error is not None
    assert code in told.last_error
    assert "mend it" == told.hint
    assert not sim.supervisor.roster.settled(sim.clock(), fresh=True)
    told = published(sim, {path: PublishReport(written=True)})
    assert ("fresh", None) == (told.state, told.last_error)


@pytest.mark.parametrize(
    ("step", "code"), [("write", "ENOSPC"), ("claim", "ENOSPC"), ("claim", "ELOOP")]
)
def test_a_file_that_cannot_be_written_still_has_its_readers(step: str, code: str) -> None:
    """A full disk takes nothing from what stands: the profile is fresh, and the error is told.

    The same holds for trouble with the lock file of the claim, which lies beside it.
    """
    one = profile()
    sim = started(one)

    told = published(sim, {one.target.path: failed(one.target.path, code, step)})
    assert "fresh" == told.state
    assert told.seconds_left > 3500
    assert code in (told.last_error or "")


MOVED = pytest.mark.parametrize(
    "moved",
    [profile(path="/run/other/credentials"), replace(profile(), section="other")],
    ids=["file", "section"],
)


@MOVED
def test_a_profile_that_stands_only_in_its_old_place_is_missing(moved: Profile) -> None:
    """After a reload to a place that cannot be written, its readers find nothing until it can."""
    one = profile()
    sim = started(one)
    sim.disk_full = True
    sim.supervisor.reload(settings(moved))
    sim.run(5)

    [told] = sim.supervisor.roster.statuses(sim.clock())
    assert ("missing", 0.0, None) == (told.state, told.seconds_left, told.access_key_id)
    sim.disk_full = False
    sim.run(5)
    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())


@MOVED
def test_a_late_report_of_the_old_place_says_nothing_of_the_new_one(moved: Profile) -> None:
    """The publisher was writing to the old place while the reload moved the profile."""
    one = profile()
    sim = Simulation(settings(one))
    sim.disk_full = True
    sim.start()
    landed = dict(sim.outlet.unreported)
    sim.supervisor.reload(settings(moved))
    sim.supervisor.handle(Published({one.target.path: PublishReport(written=True)}, landed, 0.001))

    assert "missing" == sim.supervisor.roster["production"].state(sim.clock())


@MOVED
def test_a_profile_that_stood_at_the_start_is_missing_in_its_new_place(moved: Profile) -> None:
    """The same holds if nothing could be written since the start."""
    one = profile()
    sim = Simulation(settings(one))
    sim.disk_full = True
    sim.start({one.name: grant(one, sim.clock())})
    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())
    sim.supervisor.reload(settings(moved))

    assert "missing" == sim.supervisor.roster["production"].state(sim.clock())


@MOVED
def test_a_profile_to_be_withdrawn_from_its_old_place_is_missing_in_the_new_one(
    moved: Profile,
) -> None:
    """The disk was full, and the reload that moves the profile brings it back without keys."""
    one = profile()
    sim = started(one)
    sim.disk_full = True
    sim.supervisor.withdraw([one.name])
    sim.provider.fault = lambda _: failure()
    sim.supervisor.reload(settings(moved))
    sim.disk_full = False
    sim.run(5)

    assert "missing" == sim.supervisor.roster["production"].state(sim.clock())


@MOVED
def test_a_refusal_counts_only_for_the_place_that_it_was_about(moved: Profile) -> None:
    """Who moves the profile out of the way of somebody's section learns what is wrong now."""
    one = profile()
    sim = started(one)
    refusal = Refusal("production", "taken", "somebody's keys", "remove them")
    refused = PublishReport(written=False, refused=(refusal,))
    assert "refused" == published(sim, {one.target.path: refused}).state
    sim.disk_full = True
    sim.supervisor.reload(settings(moved))

    path = moved.target.path
    told = published(sim, {path: failed(path, "ENOSPC", "write")})
    assert ("missing", f"{path}: ENOSPC") == (told.state, told.last_error)


def test_a_refusal_outlives_a_reload_that_leaves_its_place() -> None:
    """Nothing is known yet of what stands there now, and until then it is somebody's section."""
    one = profile()
    sim = started(one)
    refusal = Refusal("production", "taken", "somebody's keys", "remove them")
    refused = PublishReport(written=False, refused=(refusal,))
    sim.supervisor.handle(Published({one.target.path: refused}, {}, 0.001))
    sim.disk_full = True
    sim.supervisor.reload(settings(profile(duration=7200)))
    sim.settle()

    assert "refused" == sim.supervisor.roster["production"].state(sim.clock())


def test_of_several_troubles_the_one_to_mend_first_is_told() -> None:
    """No renewal helps while somebody's section stands there, and no disk while STS refuses."""
    one = profile()
    sim = started(one)
    sim.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    sim.supervisor.renew("production")
    sim.run(5)
    path = one.target.path
    refusal = Refusal("production", "foreign", "somebody's section", "adopt: true")

    told = published(sim, {path: failed(path, "ENOSPC", "write")})
    assert "AccessDenied: AccessDenied was answered" == told.last_error
    told = published(sim, {path: PublishReport(written=False, refused=(refusal,))})
    assert "somebody's section" == told.last_error


def test_another_file_s_trouble_is_not_this_profile_s() -> None:
    """Each profile is judged by the file that it is published to."""
    one, other = profile("a"), profile("b", path="/run/other/credentials")
    sim = started(one, other)
    gone = failed(other.target.path, "ENOENT")

    told = published(sim, {one.target.path: PublishReport(written=False), gone.path: gone})
    assert ("fresh", None) == (told.state, told.last_error)
    assert "missing" == sim.supervisor.roster["b"].state(sim.clock())


@pytest.mark.parametrize("place", ["directory", "path"])
def test_a_twin_that_cannot_be_written_makes_its_profile_late(place: str, tmp_path: Path) -> None:
    """Readers of the section are served, and readers of the twin are not."""
    one = with_twin(tmp_path / "process")
    sim = started(one)
    assert one.twin is not None
    where = str(getattr(one.twin, place))

    report = PublishReport(written=False)
    told = published(sim, {one.target.path: report, where: failed(where, "ENOENT")})
    assert ("late", 0) == (told.state, told.consecutive_failures)
    assert "ENOENT" in (told.last_error or "")
    assert "fresh" == published(sim, {one.target.path: report}).state


def test_a_profile_whose_twin_stands_only_in_its_old_place_is_late(tmp_path: Path) -> None:
    """After a reload with another `process_dir`, readers of the twin there find nothing yet."""
    sim = started(with_twin(tmp_path / "old"))
    sim.disk_full = True
    sim.supervisor.reload(settings(with_twin(tmp_path / "new")))
    sim.run(5)

    assert "late" == sim.supervisor.roster["production"].state(sim.clock())
    sim.disk_full = False
    sim.run(5)
    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())


WHO_MENDS = pytest.mark.parametrize(
    ("code", "human"),
    [("EROFS", True), ("EACCES", True), ("foreign", True), ("ENOSPC", False), ("ENOENT", False)],
)


@WHO_MENDS
@pytest.mark.parametrize("place", ["directory", "path"])
def test_a_failing_twin_holds_up_the_start_unless_a_human_must_mend_it(
    place: str, code: str, *, human: bool, tmp_path: Path
) -> None:
    """The profile is late; it waits for a human where rights or mounts must change."""
    one = with_twin(tmp_path / "process")
    sim = started(one)
    where = str(getattr(one.twin, place))

    told = published(
        sim, {one.target.path: PublishReport(written=False), where: failed(where, code)}
    )
    roster = sim.supervisor.roster
    assert "late" == told.state
    assert human is roster.settled(sim.clock())
    assert not roster.settled(sim.clock(), fresh=True)


@WHO_MENDS
def test_a_closed_file_holds_up_the_start_until_there_is_something_to_write(
    code: str, *, human: bool
) -> None:
    """The start waits for a renewal first: the twin, or another path, may be open to it."""
    one = profile()
    closed = {one.target.path: failed(one.target.path, code, "create")}
    sim = Simulation(settings(one), hold=True)
    sim.disk_full = True
    sim.start()
    roster = sim.supervisor.roster
    assert "missing" == published(sim, closed).state
    assert not roster.settled(sim.clock())

    sim.workers.release()
    sim.settle()
    assert "missing" == published(sim, closed).state
    assert human is roster.settled(sim.clock())


def test_a_closed_twin_hides_no_renewal_that_is_overdue(tmp_path: Path) -> None:
    """An outage of STS is transient and holds up the start, whatever else a human must mend."""
    one = with_twin(tmp_path / "process")
    sim = started(one)
    sim.provider.fault = lambda _: failure()
    sim.run(2400, step=10)
    where = one.twin.directory if one.twin else ""

    published(sim, {one.target.path: PublishReport(written=False), where: failed(where, "EROFS")})
    assert not sim.supervisor.roster.settled(sim.clock())


def test_a_closed_twin_hides_no_request_that_is_still_to_be_granted(tmp_path: Path) -> None:
    """A reload asks for something else while STS is out: that holds up the start as well."""
    one = with_twin(tmp_path / "process")
    sim = started(one)
    sim.provider.fault = lambda _: failure()
    sim.supervisor.reload(settings(replace(one, duration=7200)))
    sim.run(5)
    where = one.twin.directory if one.twin else ""

    published(sim, {one.target.path: PublishReport(written=False), where: failed(where, "EROFS")})
    assert not sim.supervisor.roster.settled(sim.clock())


def test_a_renewal_on_its_way_makes_its_profile_late_after_a_minute_and_no_sooner() -> None:
    """Each renewal takes a moment, and may wait for others or be tried again."""
    sim = started(profile())
    entry = sim.supervisor.roster["production"]
    sim.workers.count = 0
    sim.clock.advance(entry.due.boot - sim.clock().boot)
    sim.run(OVERDUE - 1)
    assert "fresh" == entry.state(sim.clock())

    sim.run(2)
    assert "late" == entry.state(sim.clock())


def test_a_profile_published_with_keys_of_its_old_role_is_late() -> None:
    """The keys are valid, but are not what the configuration asks for."""
    one = profile()
    sim = started(one)
    sim.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    other = replace(one, role_arn="arn:aws:iam::111111111111:role/other")
    sim.supervisor.reload(settings(other))
    sim.run(30)

    [told] = sim.supervisor.roster.statuses(sim.clock())
    assert "late" == told.state
    assert told.last_error == "AccessDenied: AccessDenied was answered"
    sim.provider.fault = lambda _: None
    sim.run(300)
    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())


def test_credentials_that_expire_before_their_write_are_removed() -> None:
    """With `on_expired: remove` they go, however long the disk was full and STS out."""
    sim = started(profile(on_expired="remove"))
    sim.run(1800, step=10)
    sim.disk_full = True
    sim.supervisor.renew("production")
    sim.run(10)
    sim.provider.fault = lambda _: failure()
    sim.run(7200, step=10)
    sim.disk_full = False
    sim.run(20)

    last = sim.outlet.published["production"]
    assert last is not None
    assert last.withdraw
    assert "missing" == sim.supervisor.roster["production"].state(sim.clock())
