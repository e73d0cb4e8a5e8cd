"""When injected faults strike, and what the journal keeps of the requests."""

from __future__ import annotations

import pytest

from credfresh.model import Instant
from credfresh.simulator import faults, journal
from credfresh.simulator.faults import Fault, Injection, Plan, Predicate
from credfresh.simulator.query import Query


def injection(
    *struck: Fault,
    times: int | None = 1,
    after: int = 0,
    action: str | None = None,
    role: str | None = None,
    when: Predicate | None = None,
) -> Injection:
    """Return an injection as the simulator makes it."""
    return Injection(struck, times=times, after=after, action=action, role=role, when=when)


def plan(*injections: Injection, action: str = "AssumeRole", role: str = "r") -> Plan:
    """Return what happens to one request, the injections asked in their order."""
    made = Plan()
    for each in injections:
        each.apply(Query({"Action": action, "RoleArn": role}), made)
    return made


def test_faults_of_one_slot_strike_in_the_order_of_injection() -> None:
    """A throttle twice and then a hang are a script of three requests."""
    script = injection(faults.throttle(), times=2), injection(faults.Hang())
    expected = [faults.throttle(), faults.throttle(), faults.Hang(), None]
    assert expected == [plan(*script).outcome for _ in range(4)]
    assert [2, 1] == [each.used for each in script]


def test_different_slots_combine() -> None:
    """Each slot is filled by the first injection that has something for it."""
    made = plan(
        injection(faults.Latency(1)),
        injection(faults.Latency(2)),
        injection(faults.Reset()),
        injection(faults.Drip(1)),
        injection(faults.no_date()),
    )
    assert Plan(faults.Reset(), faults.Latency(1), faults.Drip(1), faults.Dated(None)) == made


def test_an_injection_of_several_faults_waits_until_all_slots_are_free() -> None:
    """Its faults strike the same request, never one without the other."""
    first, second = injection(faults.Latency(1)), injection(faults.Latency(2), faults.Reset())
    assert Plan(latency=faults.Latency(1)) == plan(first, second)
    assert 0 == second.used
    assert Plan(faults.Reset(), faults.Latency(2)) == plan(first, second)
    assert second.spent


def test_after_lets_matching_requests_pass() -> None:
    """Requests that do not match are neither counted nor struck."""
    late = injection(faults.Reset(), after=2, times=1, action="AssumeRole", role="r")
    assert [None] * 2 == [plan(late).outcome for _ in range(2)]
    assert plan(late, action="GetCallerIdentity").outcome is None
    assert plan(late, role="another").outcome is None
    assert faults.Reset() == plan(late).outcome
    assert plan(late).outcome is None


def test_an_injection_without_times_strikes_until_withdrawn() -> None:
    """It strikes any number of times, and a withdrawal ends it at once."""
    lasting = injection(faults.Reset(), times=None)
    assert [faults.Reset()] * 50 == [plan(lasting).outcome for _ in range(50)]
    lasting.withdraw()
    assert plan(lasting).outcome is None
    assert (True, 50) == (lasting.spent, lasting.used)


def test_a_predicate_sees_the_parameters() -> None:
    """The injection strikes where the predicate returns True."""
    chosen = injection(faults.Reset(), when=lambda query: query.role_arn == "b")
    assert plan(chosen, role="a").outcome is None
    assert faults.Reset() == plan(chosen, role="b").outcome


@pytest.mark.parametrize("struck", [(), (faults.Reset(), faults.Hang())])
def test_an_injection_of_nothing_or_of_a_slot_twice_is_refused(struck: tuple[Fault, ...]) -> None:
    """It could never do what it says."""
    with pytest.raises(ValueError, match="one of a slot"):
        injection(*struck)


def test_list_parameters_are_taken_in_the_order_of_their_numbers() -> None:
    """Members come by number, not by the order of sending; other parameters stay out."""
    query = Query(
        {
            "Tags.member.10.Key": "j",
            "Tags.member.2.Value": "2",
            "Tags.member.2.Key": "b",
            "TransitiveTagKeys.member.1": "b",
            "Tags.member.0.Key": "none",
            "Tagsmember": "none",
        }
    )
    assert ({"Key": "b", "Value": "2"}, {"Key": "j"}) == query.members("Tags")
    assert ({"": "b"},) == query.members("TransitiveTagKeys")
    assert "TransitiveTagKeys" not in repr(query)


def test_the_journal_keeps_the_latest_calls_and_all_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, but every call is counted."""
    monkeypatch.setattr(journal, "KEPT", 2)
    kept = journal.Journal()
    now = Instant(0, 0)
    calls = [journal.Call(number, now, "AssumeRole", f"r{number % 2}", None) for number in range(3)]
    for call in calls:
        kept.arrive(call)
    for call in calls:
        kept.end(call, "ok", now)
    assert [1, 2] == [call.number for call in kept.calls()]
    assert (3, 2, 2) == (
        kept.count(None, None, None),
        kept.count("AssumeRole", "r0", None),
        kept.count(None, "r0", "ok"),
    )
    assert (0, 3) == (kept.in_flight, kept.high_water)
