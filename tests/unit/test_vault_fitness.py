"""When a hub that leads and can renew nothing stands down."""

from __future__ import annotations

import pytest

from credfresh.errors import Mend, RenewalError, Scope
from credfresh.vault.fitness import MOST_PATIENCE, PATIENCE, Fitness
from fakes import FakeClock


class Leader:
    """A hub's fitness, by a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.fitness = Fitness(self.clock)

    def fails(self, scope: Scope = Scope.SOURCE) -> None:
        """Make an attempt that fails."""
        with pytest.raises(RenewalError), self.fitness.judged():
            raise RenewalError("no", code="source_failed", mend=Mend.HUMAN, scope=scope)

    def succeeds(self) -> None:
        """Make an attempt that succeeds."""
        with self.fitness.judged():
            pass


@pytest.mark.parametrize("scope", [Scope.SOURCE, Scope.ENDPOINT])
def test_a_hub_gives_up_at_a_failure_a_minute_after_the_first(scope: Scope) -> None:
    """Time alone does not count: no attempt may have been due since the first failure."""
    leader = Leader()
    leader.fails(scope)
    leader.clock.advance(PATIENCE)
    assert not leader.fitness.gives_up()

    leader.fails(scope)

    assert leader.fitness.gives_up()
    assert not leader.fitness.gives_up()


@pytest.mark.parametrize("scope", [Scope.PROFILE, Scope.NONE])
def test_failures_of_single_profiles_do_not_count(scope: Scope) -> None:
    """A role that refuses this hub refuses every hub."""
    leader = Leader()
    for _ in range(3):
        leader.fails(scope)
        leader.clock.advance(PATIENCE)

    assert not leader.fitness.gives_up()


def test_one_success_is_enough_to_go_on_leading() -> None:
    """The minute begins anew at the first failure after a success."""
    leader = Leader()
    leader.fails()
    leader.clock.advance(PATIENCE)
    leader.succeeds()
    leader.fails()

    assert not leader.fitness.gives_up()


def test_a_success_cancels_a_decision_that_nobody_has_acted_on() -> None:
    """The hub looks only once a beat, and may have recovered until then."""
    leader = Leader()
    leader.fails()
    leader.clock.advance(PATIENCE)
    leader.fails()
    leader.succeeds()

    assert not leader.fitness.gives_up()


def test_failures_from_before_the_hub_led_do_not_count() -> None:
    """The hub may have followed for hours since them."""
    leader = Leader()
    leader.fails()
    leader.clock.advance(PATIENCE)
    leader.fitness.begin()
    leader.fails()

    assert not leader.fitness.gives_up()


def test_the_patience_doubles_each_time_until_a_success() -> None:
    """If STS is down all hubs fail: they must not hand the lease around each minute."""
    leader = Leader()

    def minutes() -> float:
        leader.fitness.begin()
        began = leader.clock().boot
        leader.fails()
        while not leader.fitness.gives_up():
            leader.clock.advance(PATIENCE)
            leader.fails()
        return (leader.clock().boot - began) / PATIENCE

    assert [1, 2, 4, 8, 16, 16] == [minutes() for _ in range(6)]
    assert MOST_PATIENCE == 16 * PATIENCE
    leader.succeeds()
    assert 1 == minutes()
