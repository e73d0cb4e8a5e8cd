"""What fails, hangs or waits at one endpoint or source does not concern other profiles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credfresh import policy
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.life.admission import Lane
from credfresh.life.entry import Phase
from credfresh.life.ports import Due, Finished
from credfresh.life.roster import Roster
from credfresh.settings import Profile, StsLimits
from fakes import FakeClock, failure, grant, profile, settings
from simulation import simulate


@pytest.mark.parametrize(
    ("one", "lane"),
    [
        (profile(), Lane("sts.eu-west-1", "default")),
        (replace(profile(), fips=True), Lane("sts-fips.eu-west-1", "default")),
        (profile(source="ci"), Lane("sts.eu-west-1", "ci")),
        (profile(endpoint_url="http://own"), Lane("http://own", "default")),
        (profile(source_profile="parent"), Lane("sts.eu-west-1", "profile parent")),
    ],
)
def test_an_attempt_fails_with_the_endpoint_that_it_asks_and_the_keys_that_it_uses(
    one: Profile, lane: Lane
) -> None:
    """A profile's own endpoint goes before the region's, and its parent's keys before a source."""
    assert lane == Roster().add(one, FakeClock()()).lane


def test_an_endpoint_that_is_down_is_told_once_for_all_its_profiles() -> None:
    """Ten profiles of one dead endpoint are one event, and one when it is back."""
    sim = simulate(*(profile(f"p{n}") for n in range(10)))
    sim.provider.fault = lambda _: failure("ConnectionError", scope=Scope.ENDPOINT)
    sim.start()
    sim.run(600)
    sim.provider.fault = lambda _: None
    sim.run(120)

    assert 1 == sim.log.names().count("endpoint_failed")
    assert 1 == sim.log.names().count("endpoint_recovered")
    assert 0 == sim.log.names().count("renewal_failed")
    assert 10 == sim.log.names().count("credentials_renewed")


def test_an_attempt_past_its_deadline_is_given_up_and_its_late_answer_dropped() -> None:
    """After 60 s in flight the attempt has failed, its worker is replaced, its answer ignored."""
    sim = simulate(hold=True)
    sim.start()
    late = dict(sim.workers.held)
    ticket = next(iter(late))

    sim.run(75)

    assert ticket not in sim.workers.held
    entry = sim.supervisor.roster["production"]
    assert entry.failures >= 1
    sim.supervisor.handle(Finished(ticket, grant(profile(), sim.clock())))
    assert entry.grant is None
    assert "attempt_abandoned" in sim.log.names()


def test_no_attempt_is_in_flight_for_more_than_the_limit() -> None:
    """All attempts hang for an hour; each is given up by a beat within 60 s of its own start."""
    profiles = [profile(f"p{n}") for n in range(5)]
    sim = simulate(*profiles, hold=True, sts=StsLimits(calls_per_second=0.3))
    sim.start()

    for _ in range(3600):
        sim.run(1)
        for entry in sim.supervisor.roster:
            if entry.phase is Phase.IN_FLIGHT and entry.started is not None:
                assert sim.clock().boot - entry.started.boot <= policy.ATTEMPT_LIMIT


def test_a_source_failure_holds_back_the_other_profiles_of_the_source() -> None:
    """While a source is broken one attempt at a time probes it."""
    sim = simulate(*(profile(f"p{n}", source="ci") for n in range(20)))
    broken = RenewalError("no", code="source_missing", mend=Mend.TIME, scope=Scope.SOURCE)
    sim.provider.fault = lambda _: broken
    sim.start()
    sim.run(300)

    assert 1 == sim.log.names().count("source_failed")
    sim.provider.fault = lambda _: None
    sim.run(65)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
    assert 1 == sim.log.names().count("source_recovered")


def test_all_profiles_of_a_source_recover_with_it() -> None:
    """They succeed within seconds of the first, not when their own five minutes have passed."""
    names = [f"team-{number}" for number in range(12)]
    sim = simulate(*map(profile, names))
    sim.roll = 0.9
    sim.start()
    broken = failure("source_failed", mend=Mend.HUMAN, scope=Scope.SOURCE)
    sim.provider.fault = lambda _: broken
    for name in names:
        sim.supervisor.renew(name)
        sim.run(11)
    sim.run(240)
    sim.provider.fault = lambda _: None
    while not sim.log.of("source_recovered"):
        sim.run(1)
    sim.run(2)

    assert [0] * 12 == [entry.failures for entry in sim.supervisor.roster]


def test_profiles_of_another_source_keep_the_time_of_their_next_attempt() -> None:
    """A profile that fails with another source keeps the time of its own next attempt."""
    sim = simulate(profile("a", source="one"), profile("b", source="two"))
    sim.roll = 0.9
    sim.start()
    broken = failure("source_failed", mend=Mend.HUMAN, scope=Scope.SOURCE)
    sim.provider.fault = lambda _: broken
    sim.supervisor.renew("a")
    sim.supervisor.renew("b")
    sim.run(1)
    sim.provider.fault = lambda name: broken if name == "b" else None
    due = sim.supervisor.roster["b"].due
    sim.supervisor.renew("a")
    sim.run(5)

    assert 1 == len(sim.log.of("source_recovered"))
    assert due.boot <= sim.supervisor.roster["b"].due.boot


def test_a_source_that_recovers_starts_no_second_attempt_of_a_profile_in_flight() -> None:
    """Each endpoint has a probe of its own, and the first success ends the wait of all others."""
    sim = simulate(profile("a"), profile("b", endpoint_url="http://other"))
    sim.provider.fault = lambda _: failure("NoKeys", scope=Scope.SOURCE)
    sim.start()
    sim.provider.fault = lambda _: None
    sim.workers.hold = True
    sim.run(5)
    first, _ = sim.workers.held.values()
    started = sim.workers.started
    first()
    sim.run(5)

    assert 1 == len(sim.log.of("source_recovered"))
    assert (1, started) == (sim.supervisor.in_flight, sim.workers.started)


def test_credentials_of_another_hub_do_not_prove_the_source_well() -> None:
    """A hub whose keys are revoked and that follows another one is not told to be well."""
    sim = simulate(*(profile(f"p{n}", source="ci") for n in range(3)))
    broken = RenewalError("no", code="source_missing", mend=Mend.TIME, scope=Scope.SOURCE)
    sim.provider.fault = lambda _: broken
    sim.start()
    sim.run(60)
    sim.provider.fault = lambda _: None
    sim.provider.from_another_hub = True
    sim.run(120)

    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
    assert 0 == sim.log.names().count("source_recovered")
    sim.provider.from_another_hub = False
    sim.workers.hold = True
    for n in range(3):
        sim.supervisor.renew(f"p{n}")
    sim.run(5)
    assert 1 == sim.supervisor.in_flight, "it is still probed"
    sim.workers.hold = False
    sim.workers.release()
    sim.run(5)
    assert 1 == sim.log.names().count("source_recovered")


def test_an_attempt_past_its_deadline_that_no_beat_has_ended_is_overdue() -> None:
    """Inside its deadline an attempt is no cause for worry; past it, the beats have stopped."""
    sim = simulate(hold=True)
    sim.start()
    sim.clock.advance(policy.ATTEMPT_LIMIT)
    assert not sim.supervisor.overdue()
    sim.clock.advance(60)
    assert sim.supervisor.overdue()

    sim.supervisor.beat()

    assert not sim.supervisor.overdue()


def test_a_source_that_hangs_is_not_held_against_its_endpoint() -> None:
    """While one source's keys never come, the profiles of another renew at the same endpoint."""
    stuck = [profile(f"s{n}", source="stuck") for n in range(30)]
    sim = simulate(*stuck, profile("well", source="ci"))
    sim.provider.hang = lambda name: Scope.SOURCE if name.startswith("s") else None
    sim.start()

    sim.run(600)

    assert "fresh" == sim.supervisor.roster["well"].state(sim.clock())
    assert ["stuck"] == [e["source"] for e in sim.log.of("source_failed")]
    assert [] == sim.log.of("endpoint_failed")


def test_threads_that_hang_for_ever_never_stop_another_endpoint() -> None:
    """After hours of hung attempts at one endpoint the other still gets its workers."""
    drips = [profile(f"d{n}", endpoint_url="https://drip") for n in range(30)]
    sim = simulate(*drips, profile("well", duration=900))
    sim.workers.keep_hung = True
    sim.provider.hang = lambda name: Scope.ENDPOINT if name.startswith("d") else None
    sim.start()

    sim.run(4 * 3600, step=5)

    assert 0 == sim.log.names().count("profile_expired")
    assert "fresh" == sim.supervisor.roster["well"].state(sim.clock())
    assert 16 == len(sim.workers.hung)

    sim.provider.hang = lambda _: None
    sim.workers.end_hung()
    sim.run(75)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_pump_names_no_next_start_while_no_worker_is_free() -> None:
    """The main loop sleeps until an attempt ends, and does not spin."""
    sim = simulate(*(profile(f"p{n}") for n in range(20)), hold=True)
    sim.start()
    sim.run(1, step=0.1)

    assert 16 == sim.supervisor.in_flight
    assert sim.supervisor.pump() is None


def test_without_threads_an_attempt_fails_and_the_next_one_is_armed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the limit of tasks an attempt fails like any other, and a later one succeeds."""
    sim = simulate()

    def refuse(_ticket: int, _job: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(sim.workers, "start", refuse)
        sim.start()
    entry = sim.supervisor.roster["production"]
    assert (Phase.ARMED, 0) == (entry.phase, sim.supervisor.in_flight)
    assert ["NoThread"] == [fields["code"] for fields in sim.log.of("renewal_failed")]

    sim.run(policy.CAP)
    assert "fresh" == entry.state(sim.clock())


def test_an_attempt_without_a_thread_that_a_suspend_overtakes_fails_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host sleeps before its failure is heard: no thread of its source counts as hung."""
    one, other = profile("one", source="a"), profile("other", source="b")
    sim = simulate(one, other, sts=StsLimits(max_concurrency=1))

    def refuse(_ticket: int, _job: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(sim.workers, "start", refuse)
        sim.supervisor.start({})
        sim.supervisor.handle(Due("one"))
        sim.supervisor.pump()
        sim.clock.advance(policy.ATTEMPT_LIMIT)
        sim.supervisor.beat()

    sim.run(policy.CAP)
    assert 0 == sim.supervisor.in_flight
    assert "fresh" == sim.supervisor.roster["one"].state(sim.clock())


def test_each_time_all_threads_hang_is_told_once() -> None:
    """It is told with how many profiles wait; that it is over is not an event."""
    sim = simulate(*(profile(f"p{n}") for n in range(6)), sts=StsLimits(max_concurrency=2))
    sim.workers.keep_hung = True
    sim.provider.hang = lambda _: Scope.ENDPOINT
    sim.start()
    sim.run(600)
    assert 4 == len(sim.workers.hung)
    [told] = sim.log.of("workers_exhausted")
    assert told["waiting"]

    sim.provider.hang = lambda _: None
    sim.workers.end_hung()
    sim.run(75)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
    assert 1 == len(sim.log.of("workers_exhausted"))

    sim.provider.hang = lambda _: Scope.ENDPOINT
    sim.run(3600)
    assert 2 == len(sim.log.of("workers_exhausted"))


def test_after_a_suspend_what_still_has_life_goes_before_what_has_expired() -> None:
    """One call in time keeps it valid; what has expired is no worse off a little later."""
    gone = [profile(f"gone{n}", duration=900) for n in range(20)]
    sim = simulate(*gone, profile("alive", duration=1800), sts=StsLimits(calls_per_second=1))
    sim.start()
    sim.run(30)
    before = len(sim.provider.calls)
    sim.clock.advance(1750)
    sim.run(2)

    assert "alive" in [name for name, _ in sim.provider.calls[before:]]


def test_many_new_profiles_let_no_other_expire() -> None:
    """A reload after a suspend brings more of them than the rate allows in the life that is left.

    Whoever reads a new profile has to wait anyway; whoever reads another one does not.
    """
    limits = StsLimits(calls_per_second=1)
    sim = simulate(profile("old"), sts=limits)
    sim.start()
    sim.clock.advance(3550)
    new = [profile(f"new{n}") for n in range(100)]
    sim.supervisor.reload(settings(*new, profile("old"), sts=limits))
    sim.run(120)

    assert [] == sim.log.of("profile_expired")
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
