"""Role chaining: a profile renews after its `source_profile`, with that one's new keys."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from credfresh.errors import Mend, Scope
from credfresh.life.entry import Phase
from credfresh.settings import Profile, Settings
from fakes import failure, profile, settings
from simulation import Simulation

NAMES = ("deeper", "deep", "audit", "production")


def chain(**roles: str) -> Settings:
    """Return settings of a chain of four, the last link first in the file; `roles` by name."""
    above = dict(itertools.pairwise(NAMES))
    made: dict[str, Profile] = {}
    for name in reversed(NAMES):
        one = profile(name, source_profile=above.get(name))
        parent = made.get(above.get(name, ""))
        made[name] = replace(
            one,
            role_arn=roles.get(name, one.role_arn),
            source_request=parent.request if parent else None,
        )
    return settings(*(made[name] for name in NAMES))


def states(sim: Simulation) -> dict[str, str]:
    """Return the state of each profile."""
    return {e.profile.name: e.state(sim.clock()) for e in sim.supervisor.roster}


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]])
def test_each_role_of_a_chain_is_assumed_with_its_parents_new_keys(
    order: tuple[str, ...],
) -> None:
    """This holds for a chain of any depth, in whatever order renewals are asked for."""
    sim = Simulation(chain())
    sim.start()
    sim.run(60)
    assert [*NAMES[::-1]] == [name for name, _ in sim.provider.calls]
    for name in order:
        sim.supervisor.renew(name)
    sim.run(5)

    assert [*NAMES[::-1]] == [name for name, _ in sim.provider.calls[4:]]
    fresh = [f"ASIAFAKE{serial:012d}" for serial in (4, 5, 6)]
    assert [None, *fresh] == sim.provider.parents[4:]


def test_no_profile_is_assumed_with_keys_of_a_role_that_was_replaced() -> None:
    """While STS refuses the new role, profiles chained to it keep what they have and are late.

    Valid keys of the old role are in memory all the time.
    """
    sim = Simulation(chain())
    sim.start()
    sim.run(60)
    sim.provider.fault = lambda name: (
        failure("AccessDenied", mend=Mend.HUMAN) if name == "audit" else None
    )
    sim.supervisor.reload(chain(audit="arn:aws:iam::111111111111:role/other"))
    sim.run(900)

    assert {"audit"} == {name for name, _ in sim.provider.calls[4:]}
    assert {"production": "fresh"} | dict.fromkeys(NAMES[:3], "late") == states(sim)
    sim.provider.fault = lambda _: None
    sim.supervisor.renew("audit")
    sim.run(5)
    assert dict.fromkeys(NAMES, "fresh") == states(sim)


def test_a_chain_waits_for_its_hung_head_and_does_not_fail() -> None:
    """The whole chain is due and its head hangs: the others wait for it and do not fail."""
    sim = Simulation(chain())
    sim.start()
    sim.run(60)
    sim.workers.hold = True
    sim.clock.advance(4000)
    sim.settle()
    sim.run(20)
    assert Phase.IN_FLIGHT is sim.supervisor.roster["production"].phase
    sim.workers.hold = False
    sim.workers.release()
    sim.run(5)

    assert dict.fromkeys(NAMES, "fresh") == states(sim)
    assert [] == sim.log.of("renewal_failed")


def test_all_profiles_of_a_source_recover_with_it() -> None:
    """They succeed within seconds of the first, not when their own five minutes have passed."""
    names = [f"team-{number}" for number in range(12)]
    sim = Simulation(settings(*(profile(name) for name in names)), roll=0.9)
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
    sim = Simulation(settings(profile("a", source="one"), profile("b", source="two")), roll=0.9)
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
