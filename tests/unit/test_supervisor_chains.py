"""Role chaining: parents are renewed first, and no call is made in vain."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from credfresh.errors import Mend, Scope
from credfresh.life.entry import Phase
from credfresh.life.ports import Due
from credfresh.settings import Profile, Settings
from fakes import failure, profile, settings
from simulation import Simulation, simulate

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


def test_a_child_waits_for_a_parent_that_is_being_renewed() -> None:
    """When both are due the child goes after the parent, with the new keys."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.start()
    first = sim.supervisor.roster["parent"].grant

    sim.clock.advance(3000)
    sim.supervisor.handle(Due("child"))
    sim.settle()

    assert sim.provider.parents[-1] != (first and first.credentials.access_key_id)


def test_a_child_of_a_broken_parent_fails_without_a_call_and_follows_its_recovery() -> None:
    """No call is made with credentials that do not exist; the parent's success wakes the child."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    sim.start()
    sim.run(900)
    assert {"parent"} == {name for name, _ in sim.provider.calls}
    assert sim.supervisor.roster.settled(sim.clock())

    sim.provider.fault = lambda _: None
    sim.run(300)

    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_a_child_that_waits_for_its_parent_goes_ahead_when_that_fails() -> None:
    """The parent's last good credentials are valid, so nothing is to be waited for any more."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.start()
    sim.run(10)
    sim.provider.fault = lambda name: failure() if name == "parent" else None
    sim.supervisor.renew("parent")
    sim.supervisor.renew("child")
    sim.run(2)

    assert ["parent", "child"] == [name for name, _ in sim.provider.calls[2:]]
    assert "fresh" == sim.supervisor.roster["child"].state(sim.clock())


def test_a_child_waits_for_its_parent_for_a_minute_at_most() -> None:
    """The parent waits for the one probe of a dead endpoint; its last good keys are valid."""
    hog, parent = (profile(name, endpoint_url="http://dead") for name in ("hog", "parent"))
    sim = simulate(profile("child", source_profile="parent"), parent, hog)
    sim.start()
    sim.run(10)
    sim.provider.fault = lambda name: (
        failure("ConnectionError", scope=Scope.ENDPOINT) if name == "hog" else None
    )
    sim.supervisor.renew("hog")
    sim.run(1)
    sim.provider.hang = lambda name: None if name == "child" else Scope.ENDPOINT
    began = len(sim.provider.calls)
    for name in ("hog", "parent", "child"):
        sim.supervisor.renew(name)
        sim.run(2)
    sim.run(60)

    assert "child" in [name for name, _ in sim.provider.calls[began:]]


def test_a_child_still_renews_while_its_failing_parent_has_life_left() -> None:
    """While a parent cannot renew, its last good credentials are used for as long as they last."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.start()
    sim.provider.fault = lambda name: failure() if name == "parent" else None

    sim.run(1800)

    assert 2 == len([name for name, _ in sim.provider.calls if name == "child"])


def test_a_parent_that_is_renewed_twice_starts_no_second_attempt_of_its_child() -> None:
    """The first renewal ends the child's wait; the second finds its attempt in flight."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    sim.start()
    sim.run(2)
    assert sim.supervisor.roster["child"].starved()
    sim.provider.fault = lambda _: None
    sim.workers.hold = True
    before = sim.workers.started
    for _ in range(2):
        sim.supervisor.renew("parent")
        sim.run(2)
        *_, parent = sim.workers.held.values()
        parent()
        sim.run(2)

    assert (1, before + 3) == (sim.supervisor.in_flight, sim.workers.started)


def test_a_child_that_is_removed_is_forgotten_by_its_parent() -> None:
    """The parent is renewed as before (I1)."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.start()
    sim.run(10)
    sim.supervisor.reload(settings(profile("parent")))
    sim.run(1900)

    assert ["parent", "child", "parent"] == [name for name, _ in sim.provider.calls]


def test_a_starving_child_says_nothing_about_the_endpoint() -> None:
    """While the endpoint is down for the parent, a child that waits is not its recovery."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.provider.fault = lambda _: failure("ConnectionError", scope=Scope.ENDPOINT)
    sim.start()
    sim.run(600)

    assert 1 == sim.log.names().count("endpoint_failed")
    assert 0 == sim.log.names().count("endpoint_recovered")


def test_a_child_moves_to_another_parent() -> None:
    """A reload that names another source_profile renews the child now, with that one's keys."""
    sim = simulate(profile("child", source_profile="one"), profile("one"), profile("two"))
    sim.start()
    sim.run(5)

    sim.supervisor.reload(settings(profile("child", source_profile="two"), profile("two")))
    sim.run(5)

    two = sim.supervisor.roster["two"].grant
    assert two is not None
    assert two.credentials.access_key_id == sim.provider.parents[-1]
    assert 4 == len(sim.provider.calls)


def test_a_waiting_child_that_moves_to_a_new_parent_waits_for_that_one() -> None:
    """It has waited once, but for another; it does not fail while the keys are on the way."""
    sim = simulate(profile("child", source_profile="one"), profile("one"))
    sim.provider.hang = lambda name: Scope.ENDPOINT if name == "one" else None
    sim.start()
    sim.run(5)

    sim.supervisor.reload(
        settings(profile("child", source_profile="two"), profile("one"), profile("two"))
    )
    sim.run(2)

    assert [] == sim.log.of("renewal_failed")
    assert ["two", "child"] == [name for name, _ in sim.provider.calls[-2:]]


def test_a_waiting_child_is_not_forgotten_when_its_parent_is_removed() -> None:
    """Its parent never answered; the new configuration gives it a source instead."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.provider.hang = lambda name: Scope.ENDPOINT if name == "parent" else None
    sim.start()
    sim.run(5)
    assert sim.supervisor.roster["child"].waits_for_parent

    sim.supervisor.reload(settings(profile("child")))
    sim.run(2)

    assert "fresh" == sim.supervisor.roster["child"].state(sim.clock())


def test_a_new_parent_and_its_new_child_start_in_order() -> None:
    """Added by one reload, the child goes after the parent, with its keys."""
    sim = simulate(profile("kept"))
    sim.start()
    sim.supervisor.reload(
        settings(profile("child", source_profile="parent"), profile("parent"), profile("kept"))
    )
    sim.run(2)

    assert ["kept", "parent", "child"] == [name for name, _ in sim.provider.calls]
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
