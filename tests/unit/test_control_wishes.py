"""Wishes of clients that wait for an answer, decided on a clock moved by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credfresh.control.wishes import (
    Denied,
    Ensure,
    Facts,
    Granted,
    Outcome,
    Renew,
    Trouble,
    Wish,
    Wishes,
    Withdraw,
    floor,
)

FRESH = Facts(
    life_left=3000.0, in_hand=3000.0, longest=3600.0, attempts=4, started=10.0, landed=True
)
OLD = replace(FRESH, life_left=1900.0, in_hand=1900.0)
MISSING = Facts(life_left=0.0, in_hand=0.0, longest=3600.0, attempts=0, started=0.0, landed=False)
DENIED = Trouble("AccessDenied: no", "mend the trust policy", for_human=True)
OUTAGE = Trouble("InternalFailure: 500", None)
DISK_FULL = Trouble("the file system is full", "make room")


class Crowd:
    """Clients, and one profile whose facts the test sets."""

    def __init__(self, facts: Facts) -> None:
        self.facts: Facts | None = facts
        self.now = 1000.0
        self.renewals: list[float] = []
        self.hurried: list[float] = []
        self.wishes = Wishes()
        self.told: dict[int, Outcome] = {}
        self.earlier: set[int] = set()
        self._tickets = 0

    def wish(self, wish: Wish, timeout: float = 60.0) -> int:
        """Add a wish, and look; return its ticket."""
        self._tickets += 1
        assert self.facts is not None
        self.wishes.add(
            self._tickets, "p", wish, self.facts, now=self.now, deadline=self.now + timeout
        )
        self.look()
        return self._tickets

    def look(self, after: float = 0.0) -> None:
        """Let time pass, and look."""
        self.now += after
        decided = self.wishes.look(
            self.now,
            lambda _: self.facts,
            lambda _: self.renewals.append(self.now),
            lambda _: self.hurried.append(self.now),
        )
        for one, outcome in decided:
            assert one.ticket not in self.told
            self.told[one.ticket] = outcome
            if one.earlier:
                self.earlier.add(one.ticket)

    def ended(self, **facts: object) -> None:
        """End an attempt, after which these facts hold; look."""
        assert self.facts is not None
        self.facts = replace(self.facts, attempts=self.facts.attempts + 1, **facts)  # type: ignore[arg-type] # by name
        self.look()

    def renewed(self, life: float = 3600.0) -> None:
        """End an attempt that has brought credentials, which are published."""
        self.ended(life_left=life, in_hand=life, longest=life, landed=True, failure=None)

    def code(self, ticket: int) -> str:
        """Return why a wish was denied."""
        outcome = self.told[ticket]
        assert isinstance(outcome, Denied)
        return outcome.code


def test_an_ensure_that_holds_already_costs_no_renewal() -> None:
    """An `ensure` that holds already is granted at once, and costs no call."""
    crowd = Crowd(FRESH)
    ticket = crowd.wish(Ensure(2700))

    assert Granted() == crowd.told[ticket]
    assert [] == crowd.renewals
    assert not crowd.wishes


def test_expired_credentials_never_satisfy_an_ensure() -> None:
    """A job that asks for no particular life does not begin with expired credentials either."""
    crowd = Crowd(MISSING)
    ticket = crowd.wish(Ensure(0))
    assert {} == crowd.told
    assert 1 == len(crowd.renewals)
    crowd.renewed()

    assert Granted() == crowd.told[ticket]
    crowd.facts = replace(MISSING, withdrawn=True)
    assert "withdrawn" == crowd.code(crowd.wish(Ensure(0)))


def test_one_renewal_serves_any_number_of_ensures() -> None:
    """A hundred jobs cost one renewal; all are granted when it is published."""
    crowd = Crowd(OLD)
    tickets = [crowd.wish(Ensure(2700)) for _ in range(100)]
    assert {} == crowd.told
    crowd.ended(in_hand=3600.0, landed=False)
    assert {} == crowd.told, "published, not in hand, is what counts"
    crowd.facts = replace(FRESH, life_left=3599.0)
    crowd.look(0.1)

    assert 1 == len(crowd.renewals)
    assert dict.fromkeys(tickets, Granted()) == crowd.told


def test_credentials_in_memory_are_published_at_once_and_not_renewed() -> None:
    """A grant that rests with the publisher is hurried once, however often a wish is looked at."""
    crowd = Crowd(replace(OLD, in_hand=3590.0, landed=False))
    ticket = crowd.wish(Ensure(2700))
    for _ in range(5):
        crowd.look(0.1)
    assert [1000.0] == crowd.hurried
    assert [] == crowd.renewals
    assert crowd.wish(Renew()) not in crowd.told
    assert [1000.0] == crowd.hurried, "who wants a renewal gets one"
    crowd.facts = replace(FRESH, life_left=3589.0)
    crowd.look(0.1)

    assert Granted() == crowd.told[ticket]


def test_short_and_long_ensures_share_one_renewal() -> None:
    """One renewal serves short and long wishes."""
    crowd = Crowd(OLD)
    for valid_for in (2000, 2500, 3500, 3595):
        crowd.wish(Ensure(valid_for))
    crowd.renewed()

    assert 1 == len(crowd.renewals)
    assert 4 == len(crowd.told)


@pytest.mark.parametrize(("valid_for", "possible"), [(3595, True), (3596, False), (43200, False)])
def test_an_ensure_beyond_any_grant_fails_at_once(valid_for: float, possible: bool) -> None:  # noqa: FBT001 - a table
    """The answer names the most that can be had, and no call is made."""
    crowd = Crowd(OLD)
    ticket = crowd.wish(Ensure(valid_for))

    assert possible == (ticket not in crowd.told)
    if not possible:
        outcome = crowd.told[ticket]
        assert isinstance(outcome, Denied)
        assert ("impossible", 3595.0) == (outcome.code, outcome.most)
        assert "3595s" in str(outcome.hint)
        assert [] == crowd.renewals


def test_an_ensure_beyond_a_renewal_is_granted_by_what_is_published() -> None:
    """What stands published may have more life left than a renewal would bring."""
    crowd = Crowd(replace(FRESH, life_left=7000.0, longest=3600.0))
    assert Granted() == crowd.told[crowd.wish(Ensure(6000))]


def test_a_much_shorter_grant_denies_longer_ensures() -> None:
    """The answer names the life that can be had from now on."""
    crowd = Crowd(MISSING)
    ticket = crowd.wish(Ensure(2700))
    crowd.renewed(900.0)

    outcome = crowd.told[ticket]
    assert isinstance(outcome, Denied)
    assert ("impossible", 895.0) == (outcome.code, outcome.most)


def test_jobs_that_ask_all_the_time_cost_two_renewals_a_minute() -> None:
    """Jobs that start every second and want nearly a whole session cost two calls a minute."""
    crowd = Crowd(FRESH)
    brought = 0
    for _ in range(120):
        crowd.look(1.0)
        assert crowd.facts is not None
        left = crowd.facts.life_left - 1
        crowd.facts = replace(crowd.facts, life_left=left, in_hand=left)
        crowd.wish(Ensure(3595), timeout=600)
        if len(crowd.renewals) > brought:
            brought += 1
            crowd.renewed(3600.0)

    gaps = [b - a for a, b in zip(crowd.renewals, crowd.renewals[1:], strict=False)]
    assert 4 == len(crowd.renewals)
    assert min(gaps) >= 30.0
    assert 120 - len(crowd.told) < 30, "who waits is answered by the next one"


@pytest.mark.parametrize(("longest", "apart"), [(3600, 30.0), (600, 30.0), (300, 15.0), (20, 1.0)])
def test_on_demand_renewals_are_thirty_seconds_or_a_twentieth_of_a_session_apart(
    longest: float, apart: float
) -> None:
    """Renewals lie thirty seconds apart, or a twentieth of a short session."""
    assert apart == floor(longest)


def test_a_renew_too_soon_after_the_last_gets_its_outcome() -> None:
    """Within 30 s of a renewal it gets that outcome at once, good or bad; later, a new one."""
    crowd = Crowd(FRESH)
    first = crowd.wish(Renew())
    crowd.renewed()
    second = crowd.wish(Renew())
    crowd.look(29.0)
    third = crowd.wish(Renew())
    assert {first: Granted(), second: Granted(), third: Granted()} == crowd.told
    assert 1 == len(crowd.renewals)

    crowd.look(1.0)
    fourth = crowd.wish(Renew())
    assert fourth not in crowd.told
    crowd.ended(failure=DENIED)
    fifth = crowd.wish(Renew())
    assert ["failed", "failed"] == [crowd.code(fourth), crowd.code(fifth)]
    assert 2 == len(crowd.renewals)


def test_the_distance_between_renewals_counts_from_the_start_of_the_attempt() -> None:
    """A renewal that had to wait for its turn is not followed by another at once."""
    crowd = Crowd(FRESH)
    crowd.wish(Renew())
    crowd.look(25.0)
    crowd.ended(started=crowd.now, life_left=3600.0, in_hand=3600.0)
    crowd.look(10.0)
    crowd.wish(Renew())
    assert 1 == len(crowd.renewals), "35 s after it was asked for, 10 s after it began"
    crowd.ended(started=crowd.now, life_left=3600.0, in_hand=3600.0)
    crowd.look(20.0)
    crowd.wish(Renew())
    assert 2 == len(crowd.renewals), "a renewal by schedule delays no wish"


def test_a_renew_that_gets_the_last_outcome_is_known_by_it() -> None:
    """Else somebody who has just replaced a key would take it for tried."""
    crowd = Crowd(FRESH)
    first, second = crowd.wish(Renew()), crowd.wish(Renew())
    crowd.renewed()
    third = crowd.wish(Renew())
    crowd.look(30.0)
    fourth = crowd.wish(Renew())
    crowd.renewed()

    assert dict.fromkeys((first, second, third, fourth), Granted()) == crowd.told
    assert {third} == crowd.earlier


def test_a_renew_waits_for_the_outcome_of_its_own_attempt() -> None:
    """The outcome of the attempt before the wish does not count."""
    crowd = Crowd(replace(FRESH, failure=OUTAGE))
    first, second = crowd.wish(Renew()), crowd.wish(Renew())
    crowd.look(10.0)
    assert {} == crowd.told
    crowd.renewed()

    assert {first: Granted(), second: Granted()} == crowd.told
    assert 1 == len(crowd.renewals)


def test_a_renew_is_granted_when_it_is_published() -> None:
    """A full disk denies it, but only if a write has failed since the wish."""
    crowd = Crowd(replace(FRESH, unwritten=DISK_FULL, writes=7))
    ticket = crowd.wish(Renew())
    crowd.ended(in_hand=3600.0, landed=False)
    assert ticket not in crowd.told
    assert crowd.facts is not None
    crowd.facts = replace(crowd.facts, writes=8)
    crowd.look()

    assert "failed" == crowd.code(ticket)
    outcome = crowd.told[ticket]
    assert isinstance(outcome, Denied)
    assert (DISK_FULL.message, DISK_FULL.hint) == (outcome.message, outcome.hint)


def test_an_outage_is_waited_for_until_the_timeout() -> None:
    """The daemon tries again by itself; at the timeout the last error is told."""
    crowd = Crowd(MISSING)
    short, long = crowd.wish(Ensure(2700), timeout=5), crowd.wish(Ensure(2700), timeout=20)
    crowd.ended(failure=OUTAGE)
    crowd.look(4.9)
    assert {} == crowd.told
    crowd.look(0.1)
    assert "timeout" == crowd.code(short)
    outcome = crowd.told[short]
    assert isinstance(outcome, Denied)
    assert OUTAGE.message in outcome.message
    crowd.renewed()

    assert Granted() == crowd.told[long]


def test_a_refused_role_denies_at_once_after_one_attempt() -> None:
    """Waiting does not mend a trust policy. For a while, later jobs cause no other try."""
    crowd = Crowd(replace(MISSING, failure=DENIED, attempts=3))
    first = crowd.wish(Ensure(2700))
    assert first not in crowd.told, "somebody may have mended it since"
    second = crowd.wish(Ensure(2700))
    assert second not in crowd.told, "the try is on its way"
    crowd.ended(failure=DENIED)
    third = crowd.wish(Ensure(2700))

    assert ["failed"] * 3 == [crowd.code(ticket) for ticket in (first, second, third)]
    assert 1 == len(crowd.renewals)
    crowd.look(30.0)
    fourth = crowd.wish(Ensure(2700))
    assert 2 == len(crowd.renewals)
    crowd.renewed()
    assert Granted() == crowd.told[fourth]


def test_a_foreign_section_denies_at_once() -> None:
    """Whatever the daemon has in hand, readers find somebody else's keys there."""
    crowd = Crowd(replace(FRESH, refusal=DENIED))
    tickets = [crowd.wish(Ensure(10)), crowd.wish(Renew())]
    assert ["refused", "refused"] == [crowd.code(ticket) for ticket in tickets]
    assert [] == crowd.renewals


def test_an_ensure_does_not_bring_back_a_withdrawn_profile() -> None:
    """Jobs are denied, whether they ask after the withdrawal or have waited since before it."""
    crowd = Crowd(OLD)
    waiting = crowd.wish(Ensure(2700))
    withdrawn = replace(MISSING, attempts=4, withdrawn=True, failure=DENIED)
    crowd.facts = withdrawn
    asking = crowd.wish(Ensure(60))

    assert ["withdrawn", "withdrawn"] == [crowd.code(waiting), crowd.code(asking)]
    assert 1 == len(crowd.renewals)


def test_a_renew_that_brings_a_profile_back_is_not_delayed() -> None:
    """The distance between renewals does not count after a withdrawal."""
    crowd = Crowd(FRESH)
    crowd.wish(Renew())
    crowd.renewed()
    assert crowd.facts is not None
    crowd.facts = replace(crowd.facts, withdrawn=True, gone=True, life_left=0, in_hand=0)
    assert Granted() == crowd.told[crowd.wish(Withdraw())]
    crowd.facts = replace(crowd.facts, landed=False)
    crowd.wish(Renew())

    assert 2 == len(crowd.renewals)


def test_a_withdrawal_is_granted_when_its_section_is_gone() -> None:
    """It is not granted before, and denied if the disk cannot be written."""
    crowd = Crowd(replace(MISSING, withdrawn=True, unwritten=DISK_FULL, writes=2))
    first = crowd.wish(Withdraw())
    assert first not in crowd.told
    assert crowd.facts is not None
    crowd.facts = replace(crowd.facts, writes=3)
    crowd.look()
    assert "failed" == crowd.code(first)
    second = crowd.wish(Withdraw())
    crowd.facts = replace(crowd.facts, gone=True)
    crowd.look()
    assert Granted() == crowd.told[second]
    third = crowd.wish(Withdraw())
    assert Granted() == crowd.told[third]


def test_a_withdrawal_that_is_undone_meanwhile_has_failed() -> None:
    """It is denied at once and does not wait for ever."""
    crowd = Crowd(replace(MISSING, withdrawn=True))
    ticket = crowd.wish(Withdraw())
    crowd.facts = MISSING
    crowd.look()
    assert "failed" == crowd.code(ticket)


@pytest.mark.parametrize("wish", [Ensure(2700), Renew(), Withdraw()])
def test_removing_a_profile_denies_all_wishes_for_it(wish: Wish) -> None:
    """Each wish is denied when a reload removes its profile."""
    crowd = Crowd(replace(OLD, withdrawn=isinstance(wish, Withdraw)))
    ticket = crowd.wish(wish)
    crowd.facts = None
    crowd.look()
    assert "removed" == crowd.code(ticket)


def test_wishes_of_a_client_that_left_are_forgotten() -> None:
    """The renewal that it asked for goes on: others may profit."""
    crowd = Crowd(OLD)
    crowd.wishes.forget(crowd.wish(Ensure(2700)))
    crowd.renewed()

    assert {} == crowd.told
    assert not crowd.wishes


def test_a_profile_removed_and_brought_back_begins_anew() -> None:
    """The last renewal of the old profile does not delay one of the new."""
    crowd = Crowd(FRESH)
    crowd.wish(Renew())
    crowd.renewed()
    crowd.wishes.keep({"p"})
    crowd.wish(Renew())
    assert 1 == len(crowd.renewals)
    crowd.wishes.keep(set())
    crowd.wish(Renew())
    assert 2 == len(crowd.renewals)


def test_a_timeout_of_zero_causes_no_renewal() -> None:
    """`--timeout 0s` causes no renewal, and is answered at once."""
    crowd = Crowd(OLD)
    assert "timeout" == crowd.code(crowd.wish(Ensure(2700), timeout=0))
    assert [] == crowd.renewals


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ensure", "renew", "success", "outage", "denied", "landing", "pass"]),
            st.floats(0, 20),
        ),
        max_size=60,
    )
)
def test_whatever_happens_renewals_are_apart_and_every_wish_has_one_outcome(
    steps: list[tuple[str, float]],
) -> None:
    """Each wish has exactly one outcome, at its deadline at the latest."""
    crowd = Crowd(replace(OLD, longest=400.0, life_left=150.0, in_hand=150.0))
    made = []
    for step, seconds in steps:
        crowd.look(seconds)
        assert crowd.facts is not None
        left = max(0.0, crowd.facts.life_left - seconds)
        held = max(0.0, crowd.facts.in_hand - seconds)
        crowd.facts = replace(crowd.facts, life_left=left, in_hand=held)
        match step:
            case "ensure":
                made.append(crowd.wish(Ensure(380), timeout=30))
            case "renew":
                made.append(crowd.wish(Renew(), timeout=30))
            case "success":
                crowd.ended(in_hand=400.0, landed=False, failure=None)
            case "outage":
                crowd.ended(failure=OUTAGE)
            case "denied":
                crowd.ended(failure=DENIED)
            case "landing":
                crowd.facts = replace(crowd.facts, life_left=held, landed=True)
            case _:
                pass
    crowd.look(31.0)

    assert set(made) == set(crowd.told)
    gaps = [b - a for a, b in zip(crowd.renewals, crowd.renewals[1:], strict=False)]
    assert all(gap >= 20.0 - 1e-6 for gap in gaps)
