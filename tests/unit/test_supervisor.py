"""Every profile is always armed, queued or in flight, and renewed ahead of expiration."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from credfresh import policy
from credfresh.errors import Mend, PublishError, RenewalError, Scope
from credfresh.life.entry import Phase
from credfresh.life.ports import Due, Finished
from credfresh.life.schedule import ROUND
from credfresh.life.supervisor import BEAT
from credfresh.model import Instant
from credfresh.principals import FileSource
from credfresh.publication import PublishReport, Refusal
from credfresh.publisher import Published
from credfresh.settings import Profile, RenewBefore, StsLimits
from fakes import FakeProvider, failure, grant, profile, settings
from simulation import Simulation


def simulate(*profiles: Profile, hold: bool = False, sts: StsLimits | None = None) -> Simulation:
    """Return a simulation of these profiles."""
    return Simulation(settings(*(profiles or (profile(),)), sts=sts), hold=hold)


def test_a_cold_start_renews_at_once() -> None:
    """A profile with nothing on disk is renewed and published, urgently, right away."""
    sim = simulate()

    sim.start()

    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())
    assert True in sim.outlet.urgent
    assert ["credentials_renewed"] == [n for n in sim.log.names() if n.startswith("cred")]


def test_it_renews_about_half_way() -> None:
    """A one-hour session is renewed once in the first half hour, and no more."""
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
    """A changed request is not served by what the old one obtained, which stays until then."""
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


def test_only_the_change_of_state_is_told() -> None:
    """An outage of many attempts is one renewal_failed and one renewal_recovered."""
    sim = simulate()
    sim.start()
    sim.provider.fault = lambda _: failure()
    sim.run(2000)
    sim.provider.fault = lambda _: None
    sim.run(120)

    assert 1 == sim.log.names().count("renewal_failed")
    assert 1 == sim.log.names().count("renewal_recovered")


def test_a_clock_that_is_wrong_is_told_once_until_it_has_been_right() -> None:
    """Ahead or behind by more than five minutes; before signatures fail, at fifteen."""
    sim = simulate(profile("a"), profile("b"))
    for sim.provider.skew in (300.0, -301.0, -400.0, None, 301.0):
        if not sim.provider.calls:
            sim.start()
        for name in ("a", "b"):
            sim.supervisor.renew(name)
        sim.run(2)

    assert [-301.0, 301.0] == [e["skew_s"] for e in sim.log.of("clock_skewed")]


def test_all_have_been_tried_when_the_last_that_was_due_has_had_its_answer() -> None:
    """Then `once` leaves: not before, and without waiting for who need not renew."""
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
    """With every attempt hanging for an hour, none is held longer than 60 s: a beat comes then."""
    sim = simulate(*(profile(f"p{n}") for n in range(5)), hold=True)
    sim.start()

    for _ in range(3600):
        sim.run(1)
        for entry in sim.supervisor.roster:
            if entry.phase is Phase.IN_FLIGHT and entry.started is not None:
                assert sim.clock().boot - entry.started.boot <= policy.ATTEMPT_LIMIT


def test_a_lost_alarm_is_set_again() -> None:
    """When the scheduler forgets an alarm, the next round of beats arms it again and says so."""
    sim = simulate()
    sim.start()
    sim.timers.lose(*sim.timers.at)

    sim.run(ROUND + BEAT)

    assert sim.timers.armed("production")
    assert ["production"] == [e["profile"] for e in sim.log.of("profile_orphaned")]


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
    """What was not due before the next round when the last one was made is visited all the same."""
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
    """Whatever is due by the clock that was stepped is taken by the beat that sees the step."""
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
    """After a step both ways, renewals go on at their pace by the clock that cannot be stepped."""
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
    """A wall clock stepped back and forth every second never shortens the floor to nothing."""
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


def test_a_child_is_renewed_with_its_parents_new_keys() -> None:
    """A chain starts in dependency order, each link with the credentials just granted above it."""
    sim = simulate(
        profile("leaf", source_profile="middle"),
        profile("middle", source_profile="root"),
        profile("root"),
    )

    sim.start()
    sim.run(1, step=0.1)

    assert ["root", "middle", "leaf"] == [name for name, _ in sim.provider.calls]
    keys = {e["profile"]: e["access_key_id"] for e in sim.log.of("credentials_renewed")}
    assert [None, keys["root"], keys["middle"]] == sim.provider.parents


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


def test_a_child_still_renews_while_its_failing_parent_has_life_left() -> None:
    """A parent that cannot renew lends its last good credentials for as long as they live."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.start()
    sim.provider.fault = lambda name: failure() if name == "parent" else None

    sim.run(1800)

    assert 2 == len([name for name, _ in sim.provider.calls if name == "child"])


def test_expiry_is_told_once_and_keeps_the_section() -> None:
    """After expiry the profile is told expired, stays published, and is retried for ever."""
    sim = simulate()
    sim.start()
    sim.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    sim.run(7200, step=5)

    assert 1 == sim.log.names().count("profile_expired")
    assert "expired" == sim.supervisor.roster["production"].state(sim.clock())
    published = sim.outlet.published["production"]
    assert published is not None
    assert not published.withdraw
    assert sim.provider.calls[-1][1] > sim.clock().boot - 301


def test_on_expired_remove_withdraws_the_section_and_success_brings_it_back() -> None:
    """An expired section goes where the profile says so, and returns with the next grant."""
    sim = simulate(profile(on_expired="remove"))
    sim.start()
    sim.provider.fault = lambda _: failure()
    sim.run(3700, step=5)
    withdrawn = sim.outlet.published["production"]
    assert withdrawn is not None
    assert withdrawn.withdraw
    assert "missing" == sim.supervisor.roster["production"].state(sim.clock())

    sim.provider.fault = lambda _: None
    sim.run(70)

    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())


def test_memory_ahead_of_disk_is_late() -> None:
    """While a renewal could not be published the profile is late, judged by what is on disk."""
    sim = simulate()
    sim.start()
    sim.disk_full = True
    sim.run(1800)

    assert "late" == sim.supervisor.roster["production"].state(sim.clock())
    assert 1 == sim.log.names().count("credentials_renewed") - 1


def test_a_refused_section_is_told_and_settled() -> None:
    """A section that is somebody else's is refused, which is for a human to mend."""
    sim = simulate()
    sim.start()
    path = profile().target.path
    refusal = Refusal("production", "foreign", "somebody's section", "adopt: true")
    report = PublishReport(written=False, refused=(refusal,))

    for _ in range(2):
        sim.supervisor.handle(Published({path: report}, {}, 0.0))

    assert "refused" == sim.supervisor.roster["production"].state(sim.clock())
    assert sim.supervisor.roster.settled(sim.clock())
    assert 1 == sim.log.names().count("section_foreign")


def test_a_refused_profile_has_nothing_published() -> None:
    """What is in hand for it, readers do not find: no life left, no expiration, no key id."""
    sim = simulate()
    sim.start()
    path = profile().target.path
    refusal = Refusal("production", "taken", "somebody's keys", "remove them")
    report = PublishReport(written=False, refused=(refusal,))
    sim.supervisor.handle(Published({path: report}, {}, 0.0))

    [status] = sim.supervisor.roster.statuses(sim.clock())
    assert ("refused", 0.0) == (status.state, status.seconds_left)
    assert (None, None, None) == (status.expiration, status.access_key_id, status.lifetime)

    sim.supervisor.handle(Published({path: PublishReport(written=True)}, {}, 0.0))
    [status] = sim.supervisor.roster.statuses(sim.clock())
    assert "fresh" == status.state
    assert status.seconds_left > 0


def test_a_line_that_hides_the_file_from_botocore_is_in_the_status_until_it_is_mended() -> None:
    """Other readers go on, so the profile stays fresh; nobody should need the log for it."""
    sim = simulate()
    sim.start()
    path = profile().target.path
    for flaw in ("line 1: text before the first section", None):
        report = PublishReport(written=False, flaw=flaw)
        sim.supervisor.handle(Published({path: report}, {}, 0.0))
        [status] = sim.supervisor.roster.statuses(sim.clock())
        assert "fresh" == status.state
        assert (f"{path}: {flaw}: " if flaw else "") in (status.last_error or "")
        assert bool(flaw) == bool(status.last_error) == bool(status.hint)


def test_a_file_that_fails_is_told_again_at_a_reload_only_if_it_is_described_otherwise() -> None:
    """Whoever corrected its group, and wrongly, learns that from the log."""
    a, b = profile("a", path="/a"), profile("b", path="/b")
    sim = simulate(a, b)
    sim.start()
    outcomes = {
        path: PublishError("no such group", path=path, step="attributes", code="unknown_group")
        for path in ("/a", "/b")
    }
    sim.supervisor.handle(Published(outcomes, {}, 0.01))
    corrected = replace(a, target=replace(a.target, group="built"))
    sim.supervisor.reload(settings(corrected, b))
    sim.supervisor.handle(Published(outcomes, {}, 0.01))
    sim.supervisor.handle(Published(outcomes, {}, 0.01))

    assert ["/a", "/b", "/a"] == [e["path"] for e in sim.log.of("publish_failed")]
    for _ in range(2):
        sim.supervisor.handle(Published({"/a": PublishReport(written=True)}, {}, 0.01))
    assert ["/a"] == [e["path"] for e in sim.log.of("publish_recovered")]


def test_what_is_in_hand_and_not_yet_on_disk_is_not_settled() -> None:
    """Readers that start when the service is up must find it."""
    sim = simulate()
    sim.disk_full = True
    sim.start()
    assert sim.supervisor.roster["production"].grant is not None
    assert not sim.supervisor.roster.settled(sim.clock())

    sim.disk_full = False
    sim.run(1)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_what_lapses_again_after_it_was_written_late_is_told_again() -> None:
    """The disk was full through one expiration, STS away through the next: two outages."""
    sim = simulate(profile(duration=900))
    sim.start()
    sim.disk_full = True
    sim.run(1000, step=5)
    assert 1 == sim.log.names().count("profile_expired")
    sim.provider.fault = lambda _: failure()
    sim.disk_full = False
    sim.run(1000, step=5)

    assert 2 == sim.log.names().count("profile_expired")


def test_a_profile_that_waits_for_its_turn_is_not_asked_for_once_it_is_gone() -> None:
    """Its role may be gone as well: the call would be refused, in somebody's audit log."""
    sim = simulate(profile("a"), profile("b"), sts=StsLimits(max_concurrency=1), hold=True)
    sim.start()
    [running] = sim.workers.held.values()
    sim.supervisor.reload(settings(profile("a"), sts=StsLimits(max_concurrency=1)))
    running()
    sim.run(3)

    assert 1 == sim.workers.started
    assert 0 == sim.supervisor.in_flight


@pytest.mark.parametrize("what", ["withdrawn", "changed", "gone"])
def test_an_answer_that_is_not_wanted_any_more_counts_for_the_floor(what: str) -> None:
    """However the next attempt comes about, it keeps its second from this one (I6)."""
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


def test_a_reload_with_other_sources_asks_another_provider() -> None:
    """Without one the old stays, with all that it holds."""
    sim = simulate()
    sim.start()
    other = FakeProvider(sim.clock)
    sim.supervisor.reload(sim.settings, other)
    sim.supervisor.renew("production")
    sim.run(3)
    sim.supervisor.reload(sim.settings)
    sim.supervisor.renew("production")
    sim.run(3)

    assert (1, 2) == (len(sim.provider.calls), len(other.calls))


def test_a_refused_profile_is_told_again_at_a_reload_only_if_it_changed() -> None:
    """Whoever gave it another section learns from the log that this one is taken too."""
    a, b = profile("a"), profile("b")
    sim = simulate(a, b)
    sim.start()
    refused = tuple(Refusal(n, "foreign", "somebody's section", "adopt: true") for n in ("a", "b"))
    published = Published({a.target.path: PublishReport(written=False, refused=refused)}, {}, 0.01)
    sim.supervisor.handle(published)
    sim.supervisor.reload(settings(replace(a, section="other"), b))
    sim.supervisor.handle(published)
    sim.supervisor.handle(published)

    assert ["a", "b", "a"] == [e["profile"] for e in sim.log.of("section_foreign")]


def test_a_much_shorter_grant_is_a_success_told_once() -> None:
    """It is published and renewed on what was granted, with one warning."""
    sim = simulate()
    sim.provider.lifetime = 900
    sim.start()
    sim.run(3600)

    assert 1 == sim.log.names().count("grant_shortened")
    assert 7 <= len(sim.provider.calls) <= 9


def test_draining_starts_nothing_and_takes_what_ends() -> None:
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


def test_a_month_by_the_minute_with_outages() -> None:
    """Over 30 days with troubles each day, nothing expires and all stay armed.

    An outage lasts to two minutes before what it met half used up expires; calls hang; and every
    few hours the scheduler loses an alarm.
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


def test_a_reload_leaves_unchanged_profiles_alone() -> None:
    """Their credentials and due times stay, and no call is made for them."""
    sim = simulate(profile("dev"), profile("production"))
    sim.start()
    before = {e.profile.name: (e.grant, e.due) for e in sim.supervisor.roster}

    changes = sim.supervisor.reload(settings(profile("production"), profile("dev")))
    sim.settle()

    assert not changes.added | changes.removed | changes.changed
    assert before == {e.profile.name: (e.grant, e.due) for e in sim.supervisor.roster}
    assert 2 == len(sim.provider.calls)


def test_a_reload_takes_in_new_profiles_and_lets_old_ones_go() -> None:
    """A new profile is renewed at once; a removed one is forgotten in the same publish."""
    sim = simulate(profile("old"), profile("kept"))
    sim.start()

    sim.supervisor.reload(settings(profile("kept"), profile("new")))
    sim.run(1)

    assert ["old", "kept", "new"] == [name for name, _ in sim.provider.calls]
    assert sim.outlet.published["old"] is None
    assert not sim.timers.armed("old")


def test_a_reload_renews_what_asks_for_something_else_now() -> None:
    """A changed request is renewed at once, and its old credentials stay until then."""
    sim = simulate(profile("production"))
    sim.start()
    first = sim.supervisor.roster["production"].grant
    sim.provider.fault = lambda _: failure()
    sim.supervisor.reload(settings(profile("production", duration=7200)))
    sim.run(1)
    assert 2 == len(sim.provider.calls)
    published = sim.outlet.published["production"]
    assert published is not None
    assert first is published.grant

    sim.provider.fault = lambda _: None
    sim.run(5)

    assert 7200 == pytest.approx(sim.life_left("production"), abs=10)


def test_a_changed_renew_before_moves_the_due_time_without_a_call() -> None:
    """Only the plan is made anew."""
    sim = simulate(profile("production"))
    sim.start()
    sim.supervisor.reload(settings(profile("production", renew_before=RenewBefore(0.2))))
    sim.run(0.6 * 3600)

    assert 1 == len(sim.provider.calls)


def test_an_answer_to_a_request_that_was_changed_meanwhile_is_asked_for_again() -> None:
    """What comes back for the old request is not published under the new one."""
    sim = simulate(profile("production"), hold=True)
    sim.start()
    sim.supervisor.reload(settings(profile("production", duration=7200)))
    sim.workers.hold = False
    sim.workers.release()
    sim.run(5)

    assert 2 == len(sim.provider.calls)
    assert 7200 == pytest.approx(sim.life_left("production"), abs=10)


def test_an_endpoint_is_not_blamed_for_what_the_one_before_it_did() -> None:
    """A reload sends a profile elsewhere while its attempt hangs: that one's end says nothing."""
    old, new = "http://old", "http://new"
    sim = simulate(profile("production", endpoint_url=old))
    sim.provider.fault = lambda _: failure("ReadTimeoutError", scope=Scope.ENDPOINT)
    sim.start()
    sim.workers.hold = True
    sim.run(5)
    assert 1 == sim.supervisor.in_flight
    sim.supervisor.reload(settings(profile("production", endpoint_url=new)))
    sim.workers.hold = False
    sim.workers.release()
    sim.provider.fault = lambda _: None
    sim.run(2)

    assert [old] == [event["endpoint"] for event in sim.log.of("endpoint_failed")]
    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())

    sim.provider.fault = lambda _: failure("ReadTimeoutError", scope=Scope.ENDPOINT)
    sim.supervisor.reload(settings(profile("production", endpoint_url=old)))
    sim.supervisor.renew("production")
    sim.run(2)
    assert [old, old] == [event["endpoint"] for event in sim.log.of("endpoint_failed")]


def test_a_source_that_a_reload_mended_is_not_blamed_for_the_lookup_before() -> None:
    """Its process hangs; the reload names another, and the end of the first says nothing of it."""
    sim = simulate(profile("production"))
    sim.provider.fault = lambda _: failure("source_timeout", scope=Scope.SOURCE)
    sim.workers.hold = True
    sim.start()
    mended = FakeProvider(sim.clock)
    sim.supervisor.reload(settings(profile("production")), mended)
    sim.workers.hold = False
    sim.workers.release()
    sim.run(2)

    assert [] == sim.log.of("source_failed")
    assert ["production"] == [name for name, _ in mended.calls]
    assert "fresh" == sim.supervisor.roster["production"].state(sim.clock())


def test_an_answer_for_a_profile_that_is_gone_is_dropped() -> None:
    """A removed profile comes back through no late answer, and its worker is free again."""
    sim = simulate(profile("old"), profile("kept"), hold=True)
    sim.start()
    sim.supervisor.reload(settings(profile("kept")))
    sim.workers.release()
    sim.settle()

    assert sim.outlet.published["old"] is None
    assert 0 == sim.supervisor.in_flight
    assert ["kept"] == [e["profile"] for e in sim.log.of("credentials_renewed")]


def test_a_wish_renews_now_and_only_once() -> None:
    """Whoever asks gets one attempt now; asking while it is on its way changes nothing."""
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


def test_wishes_in_a_burst_keep_the_floor() -> None:
    """However often one asks, attempts for one profile are a second apart (I6)."""
    sim = simulate()
    sim.start()
    for _ in range(200):
        sim.supervisor.renew("production")
        sim.run(0.05, step=0.05)

    boots = [boot for _, boot in sim.provider.calls]
    assert 8 <= len(boots) <= 11
    assert all(b - a >= policy.FLOOR for a, b in itertools.pairwise(boots))


def test_a_withdrawn_profile_leaves_and_rests_until_it_is_asked_for() -> None:
    """Its section goes at once, no call is made for it for a day, and a wish brings it back."""
    sim = simulate(profile("a"), profile("b"))
    sim.start()
    sim.run(10)

    assert frozenset({"a"}) == sim.supervisor.withdraw(["a", "unknown"])
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


def test_what_is_in_flight_when_its_profile_is_withdrawn_is_not_published() -> None:
    """Its answer is dropped, also when the profile was asked for again before it came."""
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


def test_one_that_waits_for_its_turn_makes_no_call_when_it_is_withdrawn() -> None:
    """It is no longer among those that wait, and keeps no one from a turn of his own."""
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
    """It holds its worker no longer than any other, and the profile goes on resting."""
    sim = simulate(hold=True)
    sim.start()
    sim.supervisor.withdraw(["production"])
    sim.run(75)

    assert 0 == sim.supervisor.in_flight
    assert Phase.WITHDRAWN is sim.supervisor.roster["production"].phase


def test_a_reload_brings_back_what_was_withdrawn() -> None:
    """The configuration is the wish: an accepted one undoes the withdrawal."""
    sim = simulate(profile("a"), profile("b"))
    sim.start()
    sim.supervisor.withdraw(["a", "b"])
    sim.run(60)
    sim.supervisor.reload(settings(profile("a"), profile("b", duration=7200)))
    sim.run(5)

    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
    assert 4 == len(sim.provider.calls)


def test_a_child_of_a_withdrawn_parent_keeps_what_it_has_and_says_why_it_cannot_renew() -> None:
    """No call is made with other keys than the parent's; both return with the parent."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.start()
    sim.run(10)
    sim.supervisor.withdraw(["parent"])
    sim.run(1900)

    child = sim.supervisor.roster["child"]
    assert "late" == child.state(sim.clock())
    assert child.error is not None
    assert child.for_human(sim.clock())
    assert 2 == len(sim.provider.calls)

    sim.supervisor.renew("parent")
    sim.run(5)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_a_queued_child_whose_parent_is_withdrawn_makes_no_call() -> None:
    """Between its turn in the queue and its start, the parent's keys may have gone."""
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


def test_a_starving_child_says_nothing_about_the_endpoint() -> None:
    """While the endpoint is down for the parent, no child's wait is told as its recovery."""
    sim = simulate(profile("child", source_profile="parent"), profile("parent"))
    sim.provider.fault = lambda _: failure("ConnectionError", scope=Scope.ENDPOINT)
    sim.start()
    sim.run(600)

    assert 1 == sim.log.names().count("endpoint_failed")
    assert 0 == sim.log.names().count("endpoint_recovered")


def test_a_hung_attempt_of_a_removed_profile_holds_up_nobody() -> None:
    """It may be its endpoint's one probe: it is given up although its profile is gone."""
    sim = simulate(profile("old"), profile("kept"), hold=True)
    sim.provider.fault = lambda _: failure("ConnectionError", scope=Scope.ENDPOINT)
    sim.start()
    sim.workers.release()
    sim.run(2)
    sim.provider.fault = lambda _: None
    sim.supervisor.reload(settings(profile("kept")))
    sim.workers.hold = False
    sim.run(75)

    assert 0 == sim.supervisor.in_flight
    assert "fresh" == sim.supervisor.roster["kept"].state(sim.clock())


def test_attempts_are_counted_by_what_became_of_them() -> None:
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


def test_an_attempt_that_no_beat_has_ended_is_overdue() -> None:
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


def test_no_next_start_is_named_while_no_worker_is_free() -> None:
    """The main loop sleeps until an attempt ends: it must not turn in circles."""
    sim = simulate(*(profile(f"p{n}") for n in range(20)), hold=True)
    sim.start()
    sim.run(1, step=0.1)

    assert 16 == sim.supervisor.in_flight
    assert sim.supervisor.pump() is None


def test_a_profile_removed_and_brought_back_again_and_again_keeps_the_floor() -> None:
    """No configuration that flaps makes attempts for one profile come faster than a second (I6)."""
    sim = simulate(profile("kept"), profile("flaps"))
    sim.start()
    for n in range(200):
        there = [profile("flaps")] if n % 2 else []
        sim.supervisor.reload(settings(profile("kept"), *there))
        sim.run(0.1, step=0.05)

    boots = [boot for name, boot in sim.provider.calls if name == "flaps"]
    assert 5 <= len(boots) <= 21
    assert all(b - a >= policy.FLOOR for a, b in itertools.pairwise(boots))


def test_a_request_that_flaps_keeps_the_floor() -> None:
    """Whenever an answer comes, something else is asked: still attempts are a second apart (I6)."""
    sim = simulate(profile("p"), hold=True)
    sim.start()
    for n in range(200):
        sim.supervisor.reload(settings(profile("p", duration=3600 + n)))
        sim.workers.release()
        sim.run(0.1, step=0.05)

    boots = [boot for _, boot in sim.provider.calls]
    assert 10 <= len(boots) <= 21
    assert all(b - a >= policy.FLOOR - 0.1 for a, b in itertools.pairwise(boots))


def test_a_profile_that_comes_back_while_its_attempt_is_in_flight_makes_no_second_one() -> None:
    """The old attempt is waited for, its answer dropped, and then it is asked anew."""
    sim = simulate(profile("old"), profile("kept"), hold=True)
    sim.start()
    sim.supervisor.reload(settings(profile("kept")))
    sim.settle()
    sim.supervisor.reload(settings(profile("kept"), profile("old")))
    sim.run(3)
    assert 2 == sim.supervisor.in_flight

    sim.workers.hold = False
    sim.workers.release()
    sim.run(3)

    assert 3 == len(sim.provider.calls)
    assert 2 == sim.log.names().count("credentials_renewed")
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_a_profile_whose_attempt_ended_after_its_removal_comes_back_armed() -> None:
    """No matter how its old attempt ended meanwhile, it is renewed at once (I1)."""
    sim = simulate(profile("old"), profile("kept"), hold=True)
    sim.start()
    sim.supervisor.reload(settings(profile("kept")))
    sim.workers.hold = False
    sim.workers.release()
    sim.settle()
    sim.supervisor.reload(settings(profile("kept"), profile("old")))
    sim.run(3)

    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_a_reload_tries_what_fails_again_at_once_and_tells_of_it_only_if_it_changed() -> None:
    """Whoever mended a trust policy and reloads does not wait out five minutes."""
    sim = simulate(profile("a"), profile("b"))
    sim.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    sim.start()
    sim.run(20)
    asked = len(sim.provider.calls)
    sim.supervisor.reload(settings(profile("a"), profile("b", renew_before=RenewBefore(0.3))))
    sim.run(2)

    assert asked + 2 == len(sim.provider.calls)
    assert ["a", "b", "b"] == [e["profile"] for e in sim.log.of("renewal_failed")]

    sim.provider.fault = lambda _: None
    sim.supervisor.reload(settings(profile("a"), profile("b")))
    sim.run(2)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
    assert {"a", "b"} == {e["profile"] for e in sim.log.of("renewal_recovered")}


def test_a_source_that_a_reload_took_away_broken_is_told_again_when_it_comes_back_so() -> None:
    """Nothing told of its end: what was said of it then says nothing of today."""
    sim = simulate(profile("a", source="old"))
    sim.provider.fault = lambda _: failure("NoKeys", mend=Mend.HUMAN, scope=Scope.SOURCE)
    sim.start()
    sim.provider.fault = lambda _: None
    sim.supervisor.reload(settings(profile("a", source="new")))
    sim.run(3)
    sim.provider.fault = lambda _: failure("NoKeys", mend=Mend.HUMAN, scope=Scope.SOURCE)
    sim.supervisor.reload(settings(profile("a", source="old")))
    sim.run(400)

    assert ["old", "old"] == [e["source"] for e in sim.log.of("source_failed")]


def test_an_endpoint_that_a_reload_took_away_dead_is_told_again_when_it_comes_back_so() -> None:
    """The same of an endpoint, while the one that is still in use is told once."""
    there = profile("there", endpoint_url="https://there.example")
    sim = simulate(profile("a"), there)
    sim.provider.fault = lambda _: failure("ConnectionError", scope=Scope.ENDPOINT)
    sim.start()
    sim.supervisor.reload(settings(profile("a")))
    sim.run(120)
    sim.supervisor.reload(settings(profile("a"), there))
    sim.run(120)

    told = [e["endpoint"] for e in sim.log.of("endpoint_failed")]
    assert {"https://there.example": 2, "sts.eu-west-1": 1} == Counter(told)


def test_a_broken_source_is_told_again_at_a_reload_only_if_it_is_described_otherwise() -> None:
    """Whoever mended it, and wrongly, learns that from the log; others are told nothing twice."""
    sim = simulate(profile("a", source="one"), profile("b", source="two"))
    sim.provider.fault = lambda _: failure("NoKeys", mend=Mend.HUMAN, scope=Scope.SOURCE)
    sources = {"one": FileSource("/etc/one", "ci"), "two": FileSource("/etc/two", "ci")}
    sim.start()
    sim.supervisor.reload(replace(sim.settings, sources=sources))
    sim.run(3)
    mended = {**sources, "two": FileSource("/etc/two", "other")}
    sim.supervisor.reload(replace(sim.settings, sources=mended))
    sim.run(3)
    sim.provider.fault = lambda _: None
    sim.supervisor.reload(replace(sim.settings, sources={**mended, "two": sources["two"]}))
    sim.run(3)

    told = [e["source"] for e in sim.log.of("source_failed")]
    assert ["one", "two", "one", "two", "two"] == told
    assert {"one", "two"} == {e["source"] for e in sim.log.of("source_recovered")}


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


def test_a_waiting_child_is_not_forgotten_when_its_parent_is_removed() -> None:
    """It waited for a parent that never answered; the new configuration gives it a source."""
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


def test_without_threads_an_attempt_fails_and_the_next_one_is_armed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The limit of tasks is reached: that is a failure as any other, and ends with it."""
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
