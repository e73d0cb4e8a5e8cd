"""Every profile is always armed, queued or in flight, and renewed ahead of expiration."""

from __future__ import annotations

import itertools

import pytest

from credfresh import policy
from credfresh.errors import Mend
from credfresh.life.entry import Phase
from credfresh.model import Instant, rfc3339
from credfresh.settings import RenewBefore
from fakes import failure, grant, profile, settings
from simulation import simulate


def test_a_cold_start_renews_at_once() -> None:
    """A profile with nothing on disk is renewed and published, urgently, right away."""
    sim = simulate()

    sim.start()

    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())
    assert True in sim.outlet.urgent
    assert ["credentials_renewed"] == [n for n in sim.log.names() if n.startswith("cred")]


def test_a_session_is_renewed_about_half_way() -> None:
    """A one-hour session is renewed between 42 % and 48 % of its life."""
    sim = simulate()
    sim.start()

    sim.run(0.42 * 3600)
    assert 1 == len(sim.provider.calls)
    sim.run(0.06 * 3600)
    assert 2 == len(sim.provider.calls)


def test_readers_always_find_renew_before_while_sts_is_healthy() -> None:
    """Over a day the published life never falls below half a session."""
    sim = simulate(profile("a"), profile("b", duration=7200))
    sim.start()

    least = {"a": 9e9, "b": 9e9}
    for _ in range(1440):
        sim.run(60, step=60)
        least = {n: min(life, sim.life_left(n)) for n, life in least.items()}

    assert least["a"] >= 1800 - 60
    assert least["b"] >= 3600 - 60


def test_standing_credentials_that_fit_cost_no_call() -> None:
    """A warm restart renews at the time that was planned before it."""
    sim = simulate()
    issued = Instant(sim.clock().wall - 600, sim.clock().boot - 600)
    standing = grant(profile(), issued)

    sim.start({"production": standing})
    sim.run(60)

    assert [] == sim.provider.calls
    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())
    assert policy.plan(standing, profile().renew_before).renew_at == (
        sim.supervisor.roster["production"].due
    )


def test_standing_credentials_for_another_request_are_renewed_now() -> None:
    """The old credentials are not taken for the new request, but stay until it is granted."""
    sim = simulate(profile(duration=3600))
    standing = grant(profile(duration=7200), sim.clock())
    sim.provider.fault = lambda _: failure()

    sim.start({"production": standing})

    assert 1 == len(sim.provider.calls)
    published = sim.outlet.published["production"]
    assert published is not None
    assert standing == published.grant


def test_a_failure_keeps_the_last_good_credentials_and_tries_again() -> None:
    """The published credentials stay, and the next attempt comes after the policy's delay."""
    sim = simulate()
    sim.start()
    first = sim.supervisor.roster["production"].published
    sim.provider.fault = lambda _: failure()

    sim.run(2000)

    entry = sim.supervisor.roster["production"]
    assert first is entry.published
    assert entry.failures > 3
    assert Phase.ARMED is entry.phase


def test_the_less_life_is_left_the_sooner_a_failed_attempt_is_repeated() -> None:
    """The next one comes within a tenth of what is left, and within a minute in any case."""
    sim = simulate()
    sim.roll = 0.999
    sim.start()
    [(_, began)] = sim.provider.calls
    sim.provider.fault = lambda _: failure()
    sim.run(3600)

    boots = [boot for _, boot in sim.provider.calls[1:]]
    assert len(boots) > 50
    for one, following in itertools.pairwise(boots):
        left = began + 3600 - one
        assert following - one <= max(1.0, min(left / 10, policy.CAP)) + 1


def test_a_throttled_attempt_is_repeated_when_sts_says() -> None:
    """Also where chance would have repeated it sooner."""
    sim = simulate()
    sim.provider.fault = lambda _: failure("Throttling", mend=Mend.THROTTLE, retry_after=40.0)
    sim.start()
    sim.run(39)
    assert 1 == len(sim.provider.calls)

    sim.run(2)
    assert 2 == len(sim.provider.calls)


def test_only_what_readers_wait_for_is_published_at_once() -> None:
    """They wait where all has expired; a renewal ahead of that is written with others."""
    sim = simulate()
    sim.start()
    sim.outlet.urgent.clear()
    sim.run(1800)
    assert [False] == sim.outlet.urgent
    sim.provider.fault = lambda _: failure()
    sim.run(3600, step=5)
    sim.provider.fault = lambda _: None
    sim.run(70)

    assert [False, True] == sim.outlet.urgent


def test_only_the_change_of_state_is_told() -> None:
    """An outage of many attempts is one renewal_failed and one renewal_recovered."""
    sim = simulate()
    sim.start()
    sim.provider.fault = lambda _: failure()
    sim.run(2000)
    sim.provider.fault = lambda _: None
    sim.run(120)

    assert 1 == sim.log.names().count("renewal_failed")
    [told] = sim.log.of("renewal_recovered")
    assert len(sim.provider.calls) - 2 == told["failures"]


def test_a_profile_fails_since_the_first_of_its_failures() -> None:
    """A success ends it, and the next failure is the first again."""
    sim = simulate()
    sim.provider.fault = lambda _: failure()
    sim.start()
    entry, first = sim.supervisor.roster["production"], sim.clock()
    sim.run(200)
    assert entry.failures > 3
    assert first == entry.failing_since

    sim.provider.fault = lambda _: None
    sim.run(61)
    assert entry.failing_since is None


def test_a_failure_says_how_long_what_is_published_lasts() -> None:
    """The line alone says how urgent it is; a first attempt leaves nothing to expire."""
    sim = simulate()
    sim.provider.fault = lambda _: failure()
    sim.start()
    sim.provider.fault = lambda _: None
    sim.run(120)
    stands = sim.supervisor.roster["production"].published
    assert stands is not None
    sim.provider.fault = lambda _: failure()
    sim.run(2000)

    first, later = sim.log.of("renewal_failed")
    assert None is first["expiration"]
    assert rfc3339(stands.credentials.expiration) == later["expiration"]


def test_all_profiles_are_tried_once_every_due_attempt_has_ended() -> None:
    """`once` ends then, without waiting for profiles that need no renewal."""
    sim = simulate(profile("a"), profile("b"), profile("fresh"), hold=True)
    sim.start({"fresh": grant(profile("fresh"), sim.clock())})
    first, second = sim.workers.held.values()
    assert not sim.supervisor.roster.tried(sim.clock())
    first()
    sim.settle()
    assert not sim.supervisor.roster.tried(sim.clock())
    second()
    sim.settle()

    assert sim.supervisor.roster.tried(sim.clock())


@pytest.mark.parametrize("what", ["withdrawn", "changed", "gone"])
def test_an_answer_that_is_dropped_counts_for_the_floor(what: str) -> None:
    """The next attempt, however it comes about, starts no sooner than a second after it (I6)."""
    sim = simulate(hold=True)
    sim.start()
    [running] = sim.workers.held.values()
    if what == "withdrawn":
        sim.supervisor.withdraw(["production"])
    elif what == "changed":
        sim.supervisor.reload(settings(profile(duration=7200)))
    else:
        sim.supervisor.reload(settings(profile("other")))
    running()
    while sim.inbox:
        sim.supervisor.handle(sim.inbox.popleft())
    sim.supervisor.reload(settings(profile(duration=7200)))
    sim.supervisor.renew("production")
    sim.run(policy.FLOOR - 0.1, step=0.1)
    assert 1 == sim.workers.started

    sim.run(0.2, step=0.1)
    assert 2 == sim.workers.started


def test_a_much_shorter_grant_is_a_success_told_once() -> None:
    """It is published and renewed on what was granted, with one warning."""
    sim = simulate()
    sim.provider.lifetime = 900
    sim.start()
    sim.run(3600)

    assert 1 == sim.log.names().count("grant_shortened")
    assert 7 <= len(sim.provider.calls) <= 9


def test_grants_that_are_shortened_again_are_told_again() -> None:
    """The role lasted as long as asked in between: somebody has changed it twice."""
    sim = simulate()
    for sim.provider.lifetime in (900, 3600, 900):
        if not sim.provider.calls:
            sim.start()
        sim.supervisor.renew("production")
        sim.run(2)

    assert 2 == sim.log.names().count("grant_shortened")


def test_a_clamped_renew_before_is_told_with_both_figures() -> None:
    """It has what was wished and what became of it, like the notice about a configuration."""
    sim = simulate(profile(renew_before=RenewBefore(share=None, seconds=3000.0)))
    sim.provider.lifetime = 1800
    sim.start()

    [told] = sim.log.of("renew_before_clamped")
    assert (1800, 3000, 1440) == (told["granted_s"], told["renew_before_s"], told["clamped_s"])


def test_draining_starts_no_attempt_and_takes_those_that_end() -> None:
    """After drain no attempt starts, and one in flight may still bring its credentials home."""
    sim = simulate(hold=True)
    sim.start()
    assert 1 == sim.supervisor.in_flight

    sim.supervisor.drain()
    sim.workers.release()
    sim.settle()
    sim.run(7200, step=60)

    assert 0 == sim.supervisor.in_flight
    assert 1 == len(sim.provider.calls)
    assert sim.supervisor.roster["production"].grant is not None


def test_attempts_are_counted_by_result() -> None:
    """Every attempt is a success, or a failure by who can mend it."""
    sim = simulate()
    ends = [
        failure("AccessDenied", mend=Mend.HUMAN),
        failure("Throttling", mend=Mend.THROTTLE),
        failure(),
        None,
    ]
    sim.provider.fault = lambda _: ends.pop(0)
    sim.start()
    sim.run(400)

    entry = sim.supervisor.roster["production"]
    assert {"needs_human": 1, "throttled": 1, "transient": 1, "success": 1} == entry.results
    assert 4 == entry.attempts
