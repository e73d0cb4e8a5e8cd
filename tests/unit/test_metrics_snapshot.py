"""Snapshots that the main thread hands out, taken from a daemon without threads."""

from __future__ import annotations

from dataclasses import replace

from credfresh.errors import Mend, Problem, PublishError
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk
from credfresh.life.reloader import Reload
from credfresh.metrics.snapshot import Snapshot, take, unfold
from credfresh.publication import Refusal
from credfresh.publisher import Published
from fakes import Unguarded, failure, profile, settings
from simulation import Simulation


def of(sim: Simulation) -> Desk:
    """Return the desk of a simulated daemon."""
    return Desk(
        settings=sim.settings,
        supervisor=sim.supervisor,
        agenda=Agenda(),
        clock=sim.clock,
        post=lambda errand: errand.run(),
        guard=Unguarded(),
    )


def taken(sim: Simulation) -> Snapshot:
    """Take a snapshot."""
    return unfold(take(of(sim), {"written": 1}, None))


def simulate(*names: str) -> Simulation:
    """Return a simulation of these profiles, started."""
    sim = Simulation(settings(*(profile(name) for name in names)))
    sim.start()
    return sim


def test_a_snapshot_has_every_profile_from_the_start() -> None:
    """Before the first answer each profile is missing, without expiration or success."""
    sim = Simulation(settings(profile("a"), profile("b")), hold=True)
    sim.start()

    shot = taken(sim)

    assert ["a", "b"] == [one.profile.name for one in shot.profiles]
    assert {("missing", None, None, 0)} == {
        (one.state, one.expiration, one.last_success, sum(one.results)) for one in shot.profiles
    }
    assert not shot.ready
    assert shot.reloaded


def test_attempts_are_counted_by_result() -> None:
    """A snapshot has successes, failures of each kind, and the failures in a row since when."""
    sim = simulate("a")
    began = sim.clock().wall
    sim.run(1900, step=10)
    sim.provider.fault = lambda _: failure(mend=Mend.THROTTLE)
    sim.run(1900, step=10)

    [one] = taken(sim).profiles

    assert 2 == one.results[0]
    assert one.failures == one.results[2] > 3
    assert one.failing_since is not None
    assert began + 1900 < one.failing_since < began + 3800
    assert ("InternalFailure", "InternalFailure was answered") == (one.trouble or ("", ""))[:2]


def test_a_recovery_ends_the_failure() -> None:
    """After a success the failures before it are no longer told, but the counts stay."""
    sim = Simulation(settings(profile("a")))
    sim.provider.fault = lambda _: failure()
    sim.start()
    sim.run(30)
    sim.provider.fault = lambda _: None
    sim.run(120)

    [one] = taken(sim).profiles

    assert (0, None, None) == (one.failures, one.failing_since, one.trouble)
    assert one.results[1] > 0
    assert "fresh" == one.state


def test_credentials_granted_for_another_request_are_late() -> None:
    """`status` says so too: a reload names another role, and STS refuses it."""
    sim = simulate("a")
    sim.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    other = replace(profile("a"), role_arn="arn:aws:iam::222222222222:role/other")
    sim.supervisor.reload(settings(other))
    sim.run(10)

    [one] = taken(sim).profiles

    [told] = sim.supervisor.roster.statuses(sim.clock())
    assert "late" == one.state == told.state


def test_a_profile_that_could_not_be_written_says_why() -> None:
    """The hint is told as well: nothing else on the page says why a profile is late."""
    sim = simulate("a")
    path = sim.settings.target.path
    full = PublishError("no room", path=path, step="write", code="ENOSPC", hint="make room")
    sim.supervisor.handle(Published({path: full}, landed={}, took=0.0))

    [one] = taken(sim).profiles

    assert ("ENOSPC", "no room", "make room") == one.trouble


def test_a_profile_that_was_withdrawn_by_hand_counts_as_not_enabled() -> None:
    """It is not in the snapshot, so it raises no alert."""
    sim = simulate("a", "b")

    sim.supervisor.withdraw(["a"])

    assert ["b"] == [one.profile.name for one in taken(sim).profiles]


def test_a_refused_profile_has_nothing_published() -> None:
    """Otherwise its credentials would look valid while somebody else's stand in their place."""
    sim = simulate("a")
    sim.supervisor.roster["a"].refusal = Refusal("a", "foreign", "somebody's", "adopt: true")

    [one] = taken(sim).profiles

    assert ("refused", None, 0.0) == (one.state, one.expiration, one.seconds_left)


def test_an_alarm_that_does_not_ring_is_lag() -> None:
    """Lag is how long ago the most belated alarm should have rung."""
    sim = simulate("a")
    assert 0 == taken(sim).lag

    due = sim.supervisor.roster["a"].due
    sim.clock.advance(due.boot - sim.clock().boot + 42)

    assert 42 == round(taken(sim).lag)


def test_the_clock_skew_is_that_of_the_newest_answer() -> None:
    """What was off before the clock was set right is off no more."""
    sim = simulate("a", "b", "c")
    for name, skew, age in (("a", 300.0, 900.0), ("b", 2.0, 10.0), ("c", None, 0.0)):
        entry = sim.supervisor.roster[name]
        assert entry.grant is not None
        sent = replace(sim.clock(), boot=sim.clock().boot - age)
        entry.grant = replace(entry.grant, skew=skew, sent_at=sent)

    assert 2.0 == taken(sim).skew


def test_a_refused_reload_is_remembered() -> None:
    """It is remembered until a reload is accepted."""
    sim = simulate("a")
    desk = of(sim)
    desk.last_reload = Reload(problems=(Problem("c.yaml", 1, 1, "", "is not valid"),))

    assert not unfold(take(desk, {}, None)).reloaded
    desk.last_reload = Reload()
    assert unfold(take(desk, {}, None)).reloaded


def test_no_secret_is_in_a_snapshot() -> None:
    """Neither a secret key nor a token leaves the main thread."""
    sim = simulate("a")

    text = "".join(str(field) for field in taken(sim).profiles[0])

    assert "fake-secret" not in text
    assert "fake-token" not in text
