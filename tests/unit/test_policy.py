"""The renewal policy: when to renew, when to try again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credfresh import policy
from credfresh.errors import Mend
from credfresh.model import Instant, Upstream
from credfresh.settings import RenewBefore, Rhythm
from fakes import EPOCH, grant, profile

NOW = Instant(EPOCH, 1000.0)
KEYS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=16, max_size=16).map("ASIA".__add__)
LIFETIMES = st.floats(1, 43200)


def rhythm(salt: str) -> Rhythm:
    """Return the rhythm of a daemon with three profiles and the default rate."""
    needed = policy.calls_needed({(3600, RenewBefore()): 3})
    return policy.rhythm(salt, shortest=3600, busy=needed / 50.0)


def test_by_default_a_grant_is_renewed_at_half_its_life_less_the_jitter() -> None:
    """A one-hour grant is renewed between 43 % and 48 % of its life."""
    made = policy.plan(grant(profile(), NOW, lifetime=3600), RenewBefore())

    assert 0.43 * 3600 <= made.renew_at.boot - NOW.boot <= 0.48 * 3600
    assert 1800 == made.renew_before
    assert not made.clamped


def test_both_clocks_carry_the_same_deadline() -> None:
    """The renewal time lies equally far ahead on the wall clock and on the boot clock."""
    made = policy.plan(grant(profile(), NOW, lifetime=3600), RenewBefore())

    assert made.renew_at.wall - NOW.wall == pytest.approx(made.renew_at.boot - NOW.boot)


def test_renew_before_is_clamped_to_four_fifths_of_what_was_granted() -> None:
    """A renew_before that is longer than a short grant does not make it renew without end."""
    made = policy.plan(grant(profile(), NOW, lifetime=900), RenewBefore(None, 1200))

    assert made.clamped
    assert 720 == made.renew_before
    assert made.renew_at.boot > NOW.boot + 0.1 * 900


@given(KEYS, LIFETIMES)
def test_jitter_stays_within_its_bounds(key: str, lifetime: float) -> None:
    """The jitter is between 2 % and 7 % of the lifetime."""
    assert 0.02 * lifetime <= policy.jitter(key, lifetime) <= 0.07 * lifetime


def test_the_same_key_id_always_gives_the_same_jitter() -> None:
    """The same key id gives the same jitter, in this process and in every other."""
    assert policy.jitter("ASIAFAKE000000000000", 3600) == pytest.approx(244.6069, abs=1e-3)


def test_jitter_spreads_renewals_over_most_of_its_width() -> None:
    """A thousand grants made together are renewed over most of the jitter's width."""
    drawn = sorted(policy.jitter(f"ASIA{n:016d}", 3600) for n in range(1000))

    assert drawn[950] - drawn[50] > 0.8 * 0.05 * 3600


def test_first_retry_comes_within_two_seconds() -> None:
    """The ceiling of the delay starts at twice the floor."""
    assert 1.0 == policy.retry_delay(1, Mend.TIME, 3600, 0.0)
    assert 2.0 == pytest.approx(policy.retry_delay(1, Mend.TIME, 3600, 0.999999), abs=1e-3)


@pytest.mark.parametrize(
    ("mend", "life_left", "cap"),
    [
        (Mend.TIME, 3600, 60),
        (Mend.TIME, 300, 30),
        (Mend.TIME, 5, 1),
        (Mend.TIME, 0, 60),
        (Mend.THROTTLE, 100, 10),
        (Mend.HUMAN, 3600, 300),
        (Mend.HUMAN, 5, 300),
        (Mend.HUMAN, 0, 300),
    ],
)
def test_the_cap_depends_on_who_can_mend_it_and_on_the_life_left(
    mend: Mend, life_left: float, cap: float
) -> None:
    """The less life is left, the sooner it is tried again; a human is given five minutes."""
    assert cap == policy.retry_cap(mend, life_left)
    assert cap == pytest.approx(policy.retry_delay(40, mend, life_left, 0.9999999), rel=1e-3)


@given(
    st.integers(1, 10_000),
    st.sampled_from(Mend),
    st.floats(0, 43200),
    st.floats(0, 1, exclude_max=True),
    st.none() | st.floats(0, 1e6),
)
def test_delays_keep_floor_and_cap(
    failures: int, mend: Mend, life: float, roll: float, asked: float | None
) -> None:
    """Whatever came before and whatever the server asks, a delay is >= 1 s and <= the cap."""
    delay = policy.retry_delay(failures, mend, life, roll, asked)

    assert 1.0 <= delay <= policy.retry_cap(mend, life)


def test_what_the_server_asks_is_honoured_within_the_cap() -> None:
    """Retry-After lengthens a delay, up to the cap."""
    assert 20 == policy.retry_delay(1, Mend.THROTTLE, 3600, 0.0, retry_after=20)
    assert 60 == policy.retry_delay(1, Mend.THROTTLE, 3600, 0.0, retry_after=7200)


def test_a_grant_below_nine_tenths_of_what_was_asked_is_much_shorter() -> None:
    """A grant of nine tenths of what was asked is not remarkable."""
    assert policy.much_shorter(grant(profile(duration=3600), NOW, lifetime=900))
    assert not policy.much_shorter(grant(profile(duration=3600), NOW, lifetime=3599))


RHYTHMS = st.builds(Rhythm, st.floats(0, policy.LONGEST_STEP), st.floats(0.01, 512))


@given(KEYS, LIFETIMES, st.floats(0, 1e6), RHYTHMS)
def test_jitter_keeps_its_bounds_with_any_rhythm(
    key: str, lifetime: float, since: float, rhythm: Rhythm
) -> None:
    """Every grant is renewed 2 % to 7 % of its life ahead of `renew_before`."""
    made = policy.plan(
        grant(profile(), NOW + since, lifetime=lifetime, key=key), RenewBefore(), rhythm
    )

    early = 0.5 * lifetime - (made.renew_at.boot - NOW.boot - since)

    assert 0.02 * lifetime - 1e-5 <= early <= 0.07 * lifetime + 1e-5


def test_jitter_keeps_its_bounds_wherever_the_shared_moments_lie() -> None:
    """The nearest of them may be earlier or later than the bounds; then it is the next one."""
    grants = [grant(profile(), NOW, lifetime=3600.0, key=f"ASIA{n:016d}") for n in range(20)]
    for one, phase in product(grants, range(0, 512, 8)):
        made = policy.plan(one, RenewBefore(), Rhythm(float(phase), 512.0))

        early = 1800 - (made.renew_at.boot - NOW.boot)

        assert 72 <= early <= 252


def test_many_grants_are_renewed_together() -> None:
    """Ten thousand renewals make two bursts, although STS rounds them to different seconds."""
    moments = {
        policy.plan(
            grant(profile(), NOW, lifetime=3599.0 + n % 3, key=f"ASIA{n:016d}"), RenewBefore()
        ).renew_at.wall
        for n in range(10_000)
    }

    assert len(moments) <= 2


def test_two_daemons_do_not_renew_together() -> None:
    """Each has a rhythm of its own; otherwise a fleet would ask STS at the same moments."""
    granted = grant(profile(), NOW)
    moments = {
        policy.plan(granted, RenewBefore(), rhythm(f"host-{n}")).renew_at.wall for n in range(100)
    }

    assert len(moments) == 100
    assert max(moments) - min(moments) > 0.03 * 3600


def test_with_few_calls_a_second_bursts_lie_close() -> None:
    """At no moment are more renewed than the calls of 18 seconds can do."""
    profiles = 1000
    needed = policy.calls_needed({(3600, RenewBefore()): profiles})
    found = policy.rhythm("host", shortest=3600, busy=needed / 1.0)
    moments = Counter(
        policy.plan(
            grant(profile(), NOW + n * 1.6, key=f"ASIA{n:016d}"), RenewBefore(), found
        ).renew_at.wall
        for n in range(profiles)
    )

    assert max(moments.values()) <= 18


def test_a_restart_draws_no_other_moment() -> None:
    """Whole seconds are kept in the file, so the same grant is read back a little older."""
    close = Rhythm(longest=4.0)
    for n in range(100):
        key = f"ASIA{n:016d}"
        before, after = (
            policy.plan(grant(profile(), NOW + late, key=key), RenewBefore(), close).renew_at
            for late in (0.9, 0.0)
        )
        assert abs(before.wall - after.wall) <= close.longest


def test_hosts_that_follow_one_hub_do_not_ask_together() -> None:
    """They hold the same grant, and each host's name spreads what it asks for."""
    leader = grant(profile(), NOW)
    moments = [
        policy.plan(
            replace(leader, upstream=Upstream(1600.0, f"host-{n}")), RenewBefore()
        ).renew_at.boot
        for n in range(100)
    ]

    low, high = policy.FOLLOWS
    assert max(moments) - min(moments) > 0.8 * (high - low) * 3600


@given(KEYS, LIFETIMES, RHYTHMS)
def test_a_follower_asks_before_its_hubs_jitter_is_used_up(
    key: str, lifetime: float, rhythm: Rhythm
) -> None:
    """Readers of what a follower publishes find `renew_before` of life, here half of it."""
    leader = grant(profile(), NOW, lifetime=lifetime, key=key)
    renews_after = policy.plan(leader, RenewBefore()).renew_at.boot - NOW.boot
    follower = replace(leader, upstream=Upstream(renews_after=renews_after, salt="host"))

    made = policy.plan(follower, RenewBefore(), rhythm)
    asks_after = made.renew_at.boot - NOW.boot

    assert lifetime - asks_after == pytest.approx(made.renew_before, abs=1e-5)
    assert renews_after + 0.005 * lifetime - 1e-5 <= asks_after <= 0.5 * lifetime + 1e-5


def test_a_follower_asks_at_expiration_at_the_latest() -> None:
    """Whoever it follows may say what he likes."""
    leader = grant(profile(), NOW, lifetime=3600.0)
    follower = replace(leader, upstream=Upstream(renews_after=86_400.0, salt="host"))

    assert leader.expires_at == policy.plan(follower, RenewBefore()).renew_at
