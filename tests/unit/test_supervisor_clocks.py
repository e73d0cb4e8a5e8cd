"""Lost alarms, dead schedulers and clock steps neither delay renewals nor multiply them."""

from __future__ import annotations

import itertools

import pytest

from credfresh import policy
from credfresh.errors import Scope
from credfresh.life.entry import Phase
from credfresh.life.ports import Due
from credfresh.life.schedule import ROUND
from credfresh.life.supervisor import BEAT
from fakes import failure, profile
from simulation import simulate


def test_a_clock_that_is_wrong_is_told_once_until_it_has_been_right() -> None:
    """It is told when it is off by more than five minutes; signatures fail at fifteen."""
    sim = simulate(profile("a"), profile("b"))
    for sim.provider.skew in (300.0, -301.0, -400.0, None, 301.0):
        if not sim.provider.calls:
            sim.start()
        for name in ("a", "b"):
            sim.supervisor.renew(name)
        sim.run(2)

    assert [-301.0, 301.0] == [e["skew_s"] for e in sim.log.of("clock_skewed")]


def test_a_lost_alarm_is_set_again() -> None:
    """When the scheduler forgets an alarm, the next round of beats arms it again and says so."""
    sim = simulate()
    sim.start()
    sim.timers.lose(*sim.timers.at)

    sim.run(ROUND + BEAT)

    assert sim.timers.armed("production")
    assert ["production"] == [e["profile"] for e in sim.log.of("profile_orphaned")]


def test_an_alarm_that_rings_during_a_beat_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beat has read the clock before, and its message waits until the beat is over."""
    sim = simulate()
    sim.start()
    sim.clock.advance(sim.supervisor.roster["production"].due.boot - sim.clock().boot - 0.01)
    armed = sim.timers.armed

    def late(key: str) -> bool:
        sim.clock.advance(0.02)  # the main thread had to wait for a processor
        sim.inbox.extend(Due(rung) for rung in sim.timers.ringing(sim.clock().wall))
        return armed(key)

    monkeypatch.setattr(sim.timers, "armed", late)
    sim.beat()

    assert [] == sim.log.of("profile_orphaned")
    assert 2 == len(sim.provider.calls)


def test_an_alarm_that_rang_before_the_clock_was_set_back_starts_nothing() -> None:
    """What is due by neither clock any more is armed again, once and for its own time."""
    sim = simulate()
    sim.start()
    sim.run(10)
    due = sim.supervisor.roster["production"].due
    sim.clock.step(7200)
    [rung] = sim.timers.ringing(sim.clock().wall)
    sim.clock.step(-7200)
    sim.supervisor.handle(Due(rung))
    sim.settle()

    assert 1 == len(sim.provider.calls)
    assert due.wall == pytest.approx(sim.timers.at["production"], abs=1e-4)


def test_an_attempt_that_is_asked_for_too_early_is_armed_for_the_end_of_the_floor() -> None:
    """Until then nobody is woken for it (I6)."""
    sim = simulate()
    sim.start()
    sim.clock.advance(0.25)
    sim.supervisor.renew("production")
    sim.settle()

    over = sim.clock().wall + policy.FLOOR - 0.25
    assert over == pytest.approx(sim.timers.at["production"], abs=1e-4)


def test_an_alarm_that_never_rings_delays_a_renewal_by_one_beat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a scheduler that is dead, the beat alone keeps every profile renewed."""
    sim = simulate()
    sim.start()
    sim.run(1)
    due = sim.supervisor.roster["production"].due.boot
    monkeypatch.setattr(sim.timers, "ringing", lambda _wall: [])  # a dead scheduler

    sim.run(1800)

    assert 2 == len(sim.provider.calls)
    assert due <= sim.provider.calls[1][1] <= due + BEAT + 1


def test_with_a_dead_scheduler_a_retry_is_late_by_one_beat_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A retry that comes due before the next round is taken by the next beat."""
    sim = simulate()
    sim.start()
    sim.run(100)
    monkeypatch.setattr(sim.timers, "ringing", lambda _wall: [])
    sim.provider.fault = lambda _: failure("Down", scope=Scope.ENDPOINT)
    sim.supervisor.renew("production")
    sim.run(1)
    due = sim.supervisor.roster["production"].due.boot
    sim.run(30)

    assert 3 <= len(sim.provider.calls)
    assert sim.provider.calls[2][1] <= due + BEAT + 1


@pytest.mark.parametrize("step", [7200, -7200])
def test_with_a_dead_scheduler_a_step_of_the_clock_is_seen_within_a_beat(
    monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """A profile that is due by the stepped clock is taken by the beat that sees the step."""
    sim = simulate()
    sim.start()
    sim.run(100)
    monkeypatch.setattr(sim.timers, "ringing", lambda _wall: [])
    calls = len(sim.provider.calls)
    due = sim.supervisor.roster["production"].due

    sim.clock.step(step)
    sim.run(BEAT + 1)

    assert sim.clock().reached(due) == (len(sim.provider.calls) > calls)


@pytest.mark.parametrize("step", [7200, -7200, 90 * 86400, -90 * 86400])
def test_a_step_of_the_wall_clock_neither_delays_nor_storms(step: float) -> None:
    """After a step either way, renewals keep their pace by the clock that cannot be stepped."""
    sim = simulate()
    sim.start()
    sim.clock.step(step)

    sim.run(86400, step=5)

    boots = [boot for _, boot in sim.provider.calls]
    gaps = [later - earlier for earlier, later in itertools.pairwise(boots)]
    assert max(gaps) <= 0.48 * 3600 + 10
    assert min(gaps[1:]) >= 0.42 * 3600
    assert 1 == sim.log.names().count("clock_jumped")


def test_a_wild_clock_causes_no_hot_loop() -> None:
    """The wall clock steps back and forth every second, and attempts still keep the floor."""
    sim = simulate()
    sim.start()
    for n in range(600):
        sim.clock.step(4000 if n % 2 else -4000)
        sim.run(0.25, step=0.05)

    boots = [boot for _, boot in sim.provider.calls]
    assert all(b - a >= policy.FLOOR for a, b in itertools.pairwise(boots))


def test_an_absurdly_short_grant_causes_no_hot_loop() -> None:
    """Grants of a tenth of a second are renewed no faster than the floor allows."""
    sim = simulate()
    sim.provider.lifetime = 0.1
    sim.start()
    sim.run(60, step=0.05)

    boots = [boot for _, boot in sim.provider.calls]
    assert 30 <= len(boots) <= 61
    assert all(b - a >= policy.FLOOR - 1e-6 for a, b in itertools.pairwise(boots))


def test_a_month_by_the_minute_with_outages() -> None:
    """Over 30 days with troubles each day, nothing expires and all stay armed.

    Each day has an outage of 28 minutes, two less than half a session, and 20 minutes in which
    calls hang; every few hours the scheduler loses an alarm.
    """
    names = ("dev", "preprod", "prod")
    sim = simulate(profile("dev"), profile("preprod", duration=7200), profile("prod"))
    sim.start()
    for minute in range(30 * 24 * 60):
        down = minute % 1440 in range(600, 628)
        sim.provider.fault = (lambda _: failure(scope=Scope.ENDPOINT)) if down else (lambda _: None)
        hangs = Scope.ENDPOINT if minute % 1440 in range(900, 920) else None
        sim.provider.hang = {"prod": hangs}.get
        if minute % 200 == 0:
            sim.timers.lose(names[minute // 200 % 3])
        sim.clock.advance(60)
        sim.settle()
        for entry in sim.supervisor.roster:
            assert entry.life_left(sim.clock()) > 0
            assert entry.phase is Phase.IN_FLIGHT or sim.timers.armed(entry.profile.name)

    assert len(sim.provider.calls) > 3 * 30 * 24
    assert 0 == sim.log.names().count("profile_expired")
