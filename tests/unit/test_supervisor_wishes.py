"""What people ask for at the control socket: a renewal now, or that a profile is taken away."""

from __future__ import annotations

import itertools

from credfresh import policy
from credfresh.life.entry import Phase
from credfresh.settings import RenewBefore
from fakes import failure, profile, settings
from simulation import simulate


def test_a_renew_causes_one_attempt_now() -> None:
    """A wish causes one attempt now; more wishes while that is in flight change nothing."""
    sim = simulate(profile("a"), profile("b"), hold=True)
    sim.workers.hold = False
    sim.start()
    sim.run(10)
    sim.workers.hold = True

    for _ in range(5):
        assert sim.supervisor.renew("a")
        sim.settle()
    assert 1 == sim.supervisor.in_flight
    sim.workers.release()
    sim.run(5)

    assert ["a", "b", "a"] == [name for name, _ in sim.provider.calls]
    assert not sim.supervisor.renew("unknown")


def test_a_renewal_that_somebody_waits_for_is_published_at_once() -> None:
    """Whoever asks for it as well does not wait; what nobody waits for is written with others."""
    sim = simulate()
    sim.start()
    sim.run(10)
    sim.outlet.urgent.clear()
    sim.workers.hold = True
    sim.supervisor.renew("production", awaited=True)
    sim.settle()
    sim.supervisor.renew("production")  # SIGUSR1
    sim.workers.hold = False
    sim.workers.release()
    sim.run(2)
    sim.supervisor.renew("production")
    sim.run(2)

    assert [True, False] == sim.outlet.urgent


def test_renews_in_a_burst_keep_the_floor() -> None:
    """However many there are, attempts for one profile are a second apart (I6)."""
    sim = simulate()
    sim.start()
    for _ in range(200):
        sim.supervisor.renew("production")
        sim.run(0.05, step=0.05)

    boots = [boot for _, boot in sim.provider.calls]
    assert 8 <= len(boots) <= 11
    assert all(b - a >= policy.FLOOR for a, b in itertools.pairwise(boots))


def test_a_withdrawn_profile_leaves_and_rests_until_a_renew_names_it() -> None:
    """Its section goes at once, no call is made for it for a day, and a wish brings it back."""
    sim = simulate(profile("a"), profile("b"))
    sim.start()
    sim.run(10)

    assert frozenset({"a"}) == sim.supervisor.withdraw(["a", "unknown"])
    assert sim.outlet.urgent[-1]
    sim.settle()
    gone = sim.outlet.published["a"]
    assert gone is not None
    assert gone.withdraw
    sim.run(86400, step=10)

    entry = sim.supervisor.roster["a"]
    assert ("missing", Phase.WITHDRAWN, None) == (
        entry.state(sim.clock()),
        entry.phase,
        entry.grant,
    )
    assert 1 == [name for name, _ in sim.provider.calls].count("a")
    assert sim.supervisor.roster.settled(sim.clock())
    status = sim.supervisor.roster.statuses(sim.clock())[0]
    assert status.renew_in is None
    assert status.last_error == "Withdrawn: was withdrawn by hand"

    sim.supervisor.renew("a")
    sim.run(5)
    assert "fresh" == entry.state(sim.clock())
    assert entry.error is None


def test_what_could_not_be_taken_away_yet_is_not_told_to_be_gone() -> None:
    """While the disk is full its readers go on finding keys that somebody wants to be gone."""
    sim = simulate()
    sim.start()
    sim.disk_full = True
    sim.supervisor.withdraw(["production"])
    sim.settle()
    entry = sim.supervisor.roster["production"]
    assert "late" == entry.state(sim.clock())

    sim.disk_full = False
    sim.settle()
    assert "missing" == entry.state(sim.clock())


def test_a_profile_that_is_brought_back_begins_anew() -> None:
    """Neither its failures before, nor the withdrawal, count for what is asked for now."""
    sim = simulate()
    sim.provider.fault = lambda _: failure()
    sim.start()
    sim.run(120)
    sim.supervisor.withdraw(["production"])
    entry = sim.supervisor.roster["production"]
    assert (0, None) == (entry.failures, entry.failing_since)

    sim.workers.hold = True
    sim.supervisor.renew("production")
    sim.settle()
    assert entry.error is None
    assert not sim.supervisor.roster.settled(sim.clock())


def test_a_child_that_is_brought_back_waits_for_its_parent_again() -> None:
    """It does not fail for want of keys that are on the way."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"), hold=True)
    sim.start()
    sim.supervisor.withdraw(["child"])
    sim.supervisor.renew("child")
    sim.settle()
    assert [] == sim.log.of("renewal_failed")

    sim.workers.hold = False
    sim.workers.release()
    sim.run(2)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_an_attempt_in_flight_at_a_withdrawal_is_not_published() -> None:
    """Its answer is dropped, even if the profile was asked for again before it came."""
    sim = simulate(hold=True)
    sim.start()
    sim.supervisor.withdraw(["production"])
    sim.settle()
    sim.workers.release()
    sim.settle()
    entry = sim.supervisor.roster["production"]
    assert (Phase.WITHDRAWN, None) == (entry.phase, entry.grant)

    sim.supervisor.renew("production")
    sim.run(2)
    sim.supervisor.withdraw(["production"])
    sim.supervisor.renew("production")
    sim.workers.release()
    sim.workers.hold = False
    sim.run(5)

    told = sim.log.of("credentials_renewed")
    assert 3 == len(sim.provider.calls)
    assert 1 == len(told)
    assert "ASIAFAKE000000000002" == told[0]["access_key_id"]


def test_a_queued_profile_that_is_withdrawn_makes_no_call() -> None:
    """It leaves the queue, and the profiles behind it get their turns."""
    sim = simulate(profile("a"), profile("b"))
    sim.workers.count = 0
    sim.start()
    assert Phase.QUEUED is sim.supervisor.roster["a"].phase

    sim.supervisor.withdraw(["a"])
    sim.workers.count = 16
    sim.run(60)

    assert ["b"] == [name for name, _ in sim.provider.calls]
    assert ["missing", "fresh"] == [e.state(sim.clock()) for e in sim.supervisor.roster]


def test_a_hung_attempt_of_a_withdrawn_profile_is_given_up() -> None:
    """It holds its worker no longer than any other, and the profile stays withdrawn."""
    sim = simulate(hold=True)
    sim.start()
    sim.supervisor.withdraw(["production"])
    sim.run(75)

    assert 0 == sim.supervisor.in_flight
    assert Phase.WITHDRAWN is sim.supervisor.roster["production"].phase


def test_a_reload_brings_back_what_was_withdrawn() -> None:
    """A configuration that is accepted undoes the withdrawal."""
    sim = simulate(profile("a"), profile("b"))
    sim.start()
    sim.supervisor.withdraw(["a", "b"])
    sim.run(60)
    statuses = sim.supervisor.roster.statuses(sim.clock())
    assert 1 == len({status.hint for status in statuses}), "`status` shows it once for all"
    sim.supervisor.reload(settings(profile("a"), profile("b", duration=7200)))
    sim.run(5)

    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
    assert 4 == len(sim.provider.calls)


def test_a_renewal_that_was_asked_for_and_waits_outlives_a_reload() -> None:
    """Its profile has another `renew_before` since, by which it is not due for long."""
    sim = simulate(profile("a"), profile("b"))
    sim.start()
    sim.run(10)
    sim.workers.count = 0
    sim.supervisor.renew("a")
    sim.settle()
    assert Phase.QUEUED is sim.supervisor.roster["a"].phase

    later = {name: profile(name, renew_before=RenewBefore(0.2)) for name in "ab"}
    sim.supervisor.reload(settings(*later.values()))
    sim.workers.count = 16
    sim.run(60)

    assert ["a", "b", "a"] == [name for name, _ in sim.provider.calls]


def test_a_child_of_a_withdrawn_parent_keeps_what_it_has_and_says_why_it_cannot_renew() -> None:
    """No call is made with other keys than the parent's; both return with the parent."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.start()
    sim.run(10)
    sim.supervisor.withdraw(["parent"])
    child = sim.supervisor.roster["child"]
    sim.supervisor.renew("child")
    sim.run(2)
    assert child.starved()
    sim.run(1900)

    assert "late" == child.state(sim.clock())
    assert child.error is not None
    assert child.for_human(sim.clock())
    assert 2 == len(sim.provider.calls)

    sim.supervisor.renew("parent")
    sim.run(5)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_a_queued_child_whose_parent_is_withdrawn_makes_no_call() -> None:
    """The parent's keys may go between the child's turn in the queue and its start."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.start()
    sim.run(10)
    sim.workers.count = 0
    sim.supervisor.renew("child")
    sim.settle()
    assert Phase.QUEUED is sim.supervisor.roster["child"].phase

    sim.supervisor.withdraw(["parent"])
    sim.workers.count = 16
    sim.run(2)

    assert [None, "ASIAFAKE000000000000"] == sim.provider.parents
    assert sim.supervisor.roster["child"].starved()
