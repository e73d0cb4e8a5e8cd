"""A reload does not touch unchanged profiles, whatever is in flight meanwhile."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from credfresh import policy
from credfresh.errors import Mend, PublishError, Scope
from credfresh.life.admission import Lane
from credfresh.life.attempts import Attempts
from credfresh.life.entry import Entry, Phase
from credfresh.principals import FileSource
from credfresh.publication import PublishReport, Refusal
from credfresh.publisher import Published
from credfresh.settings import RenewBefore, Rhythm, StsLimits
from fakes import FakeProvider, failure, profile, settings
from simulation import simulate


def test_a_queued_profile_that_is_removed_makes_no_call() -> None:
    """Its role may be gone as well: the refused call would stand in somebody's audit log."""
    sim = simulate(profile("a"), profile("b"), sts=StsLimits(max_concurrency=1), hold=True)
    sim.start()
    [running] = sim.workers.held.values()
    sim.supervisor.reload(settings(profile("a"), sts=StsLimits(max_concurrency=1)))
    running()
    sim.run(3)

    assert 1 == sim.workers.started
    assert 0 == sim.supervisor.in_flight


def test_a_profile_that_is_taken_out_is_not_counted_among_those_that_wait() -> None:
    """The event about workers that all hang says how many wait for one."""
    sim = simulate(profile("a"), profile("b"))
    attempts = Attempts(StsLimits(), workers=sim.workers, post=lambda _: None)
    for name in ("a", "b"):
        attempts.queue(Entry(profile(name), Lane("sts", "default"), sim.clock()), sim.clock())

    attempts.discard("a")

    assert 1 == attempts.waiting


def test_a_queued_profile_that_moves_to_another_endpoint_starts_there() -> None:
    """It waits no longer behind the one probe of the dead endpoint that it leaves."""
    dead = [profile(name, endpoint_url="http://dead") for name in ("a", "b")]
    sim = simulate(*dead)
    sim.provider.fault = lambda _: failure("ConnectionError", scope=Scope.ENDPOINT)
    sim.start()
    sim.workers.hold = True
    sim.run(5)
    probing, queued = sorted(sim.supervisor.roster, key=lambda entry: entry.phase.value)
    assert (Phase.IN_FLIGHT, Phase.QUEUED) == (probing.phase, queued.phase)
    sim.provider.fault = lambda _: None
    sim.workers.hold = False
    name = queued.profile.name
    sim.supervisor.reload(
        settings(probing.profile, replace(queued.profile, endpoint_url="http://well"))
    )
    sim.run(2)

    assert "fresh" == sim.supervisor.roster[name].state(sim.clock())


def test_a_reload_with_other_limits_keeps_to_them() -> None:
    """Calls that come in one burst before come one by one afterwards."""
    names = [f"p{n}" for n in range(10)]
    sim = simulate(*map(profile, names))
    sim.start()
    sim.run(5)
    sim.supervisor.reload(
        settings(*map(profile, names), sts=StsLimits(calls_per_second=1)), FakeProvider(sim.clock)
    )
    for name in names:
        sim.supervisor.renew(name)
    sim.run(4.5, step=0.1)

    assert 15 >= sim.workers.started >= 14


def test_a_reload_with_other_sources_asks_another_provider() -> None:
    """A reload without a provider keeps the old one, with all that it has cached."""
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
    """Someone who gave it another section learns from the log that this one is taken too."""
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
    """A new profile is renewed at once, and a removed one leaves the file at once."""
    sim = simulate(profile("old"), profile("kept"))
    sim.start()

    sim.supervisor.reload(settings(profile("kept"), profile("new")))
    urgent = sim.outlet.urgent[-1]
    sim.run(1)

    assert ["old", "kept", "new"] == [name for name, _ in sim.provider.calls]
    assert urgent
    assert sim.outlet.published["old"] is None
    sim.run(3600, step=10)
    assert 1 == [name for name, _ in sim.provider.calls].count("old")


def test_a_reload_renews_profiles_whose_request_changed() -> None:
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
    """A new plan is made of the grant in hand."""
    sim = simulate(profile("production"))
    sim.start()
    sim.supervisor.reload(settings(profile("production", renew_before=RenewBefore(0.2))))
    sim.run(0.6 * 3600)

    assert 1 == len(sim.provider.calls)


def test_a_profile_that_stays_as_it_is_follows_the_rhythm_of_all() -> None:
    """After a reload to fewer calls a second its renewals, too, come in shorter bursts."""
    sim = simulate()
    sim.start()
    due = sim.supervisor.roster["production"].due
    rhythm = Rhythm(phase=1.0, longest=4.0)
    sim.supervisor.reload(settings(replace(profile(), rhythm=rhythm)))
    assert due == sim.supervisor.roster["production"].due

    sim.run(1800)
    entry = sim.supervisor.roster["production"]
    assert 2 == len(sim.provider.calls)
    assert entry.grant is not None
    assert entry.due == policy.plan(entry.grant, RenewBefore(), rhythm).renew_at


def test_an_answer_to_a_request_that_changed_is_dropped_and_asked_for_again() -> None:
    """What comes back for the old request is not published under the new one."""
    sim = simulate(profile("production"), hold=True)
    sim.start()
    sim.supervisor.reload(settings(profile("production", duration=7200)))
    sim.workers.hold = False
    sim.workers.release()
    sim.run(5)

    assert 2 == len(sim.provider.calls)
    assert 7200 == pytest.approx(sim.life_left("production"), abs=10)


def test_a_new_endpoint_is_not_blamed_for_an_attempt_at_the_old_one() -> None:
    """An attempt that hung when a reload moved its profile does not count for the new endpoint."""
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


def test_a_new_source_is_not_blamed_for_a_lookup_of_the_old_one() -> None:
    """A lookup that hung when a reload named another source does not count for the new one."""
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
    """A late answer does not bring a removed profile back, and its worker is free again."""
    sim = simulate(profile("old"), profile("kept"), hold=True)
    sim.start()
    sim.supervisor.reload(settings(profile("kept")))
    sim.workers.release()
    sim.settle()

    assert sim.outlet.published["old"] is None
    assert 0 == sim.supervisor.in_flight
    assert ["kept"] == [e["profile"] for e in sim.log.of("credentials_renewed")]


def test_a_hung_attempt_of_a_removed_profile_holds_up_nobody() -> None:
    """It may be its endpoint's one probe, so it is given up although its profile is gone."""
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


def test_a_profile_removed_and_brought_back_again_and_again_keeps_the_floor() -> None:
    """However often the configuration flaps, its attempts are at least a second apart (I6)."""
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
    """Each answer is to a request that has changed since; attempts stay a second apart (I6)."""
    sim = simulate(profile("p"), hold=True)
    sim.start()
    for n in range(200):
        sim.supervisor.reload(settings(profile("p", duration=3600 + n)))
        sim.workers.release()
        sim.run(0.1, step=0.05)

    boots = [boot for _, boot in sim.provider.calls]
    assert 10 <= len(boots) <= 21
    assert all(b - a >= policy.FLOOR - 0.1 for a, b in itertools.pairwise(boots))


def test_a_profile_brought_back_during_its_attempt_makes_no_second_one() -> None:
    """A new attempt is made only when the old one has ended and its answer was dropped."""
    sim = simulate(profile("old"), profile("kept"), hold=True)
    sim.start()
    for _ in range(2):
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


def test_a_profile_that_comes_back_much_later_is_a_new_one() -> None:
    """What was removed is remembered only for its floor and its attempt in flight."""
    sim = simulate(profile("old"), profile("kept"))
    sim.start()
    sim.supervisor.reload(settings(profile("kept")))
    sim.run(60)
    sim.supervisor.reload(settings(profile("kept")))
    sim.supervisor.reload(settings(profile("kept"), profile("old")))
    sim.run(3)

    assert 1 == sim.supervisor.roster["old"].attempts


def test_a_profile_that_comes_back_knows_nothing_of_its_file_as_it_was() -> None:
    """The file was mended while the profile was gone: it is fresh once it is renewed."""
    old, kept = profile("old", path="/old"), profile("kept")
    sim = simulate(old, kept)
    sim.start()
    sim.run(5)
    sim.workers.hold = True
    sim.supervisor.renew("old")
    sim.settle()
    gone = PublishError("no directory", path="/old", step="resolve", code="ENOENT")
    written = {kept.target.path: PublishReport(written=True)}
    sim.supervisor.handle(Published({"/old": gone, **written}, {}, 0.01))
    sim.supervisor.reload(settings(kept))
    sim.supervisor.handle(Published(written, {}, 0.01))
    sim.supervisor.reload(settings(old, kept))
    sim.workers.hold = False
    sim.workers.release()
    sim.run(3)

    [status, _] = sim.supervisor.roster.statuses(sim.clock())
    assert ("fresh", None) == (status.state, status.last_error)


def test_a_profile_whose_attempt_ended_after_its_removal_comes_back_armed() -> None:
    """It is renewed at once, however its old attempt has ended meanwhile (I1)."""
    sim = simulate(profile("old"), profile("kept"), hold=True)
    sim.start()
    sim.supervisor.reload(settings(profile("kept")))
    sim.workers.hold = False
    sim.workers.release()
    sim.settle()
    sim.supervisor.reload(settings(profile("kept"), profile("old")))
    sim.run(3)

    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_a_reload_retries_failing_profiles_and_tells_only_of_changed_ones() -> None:
    """After a trust policy was mended, a reload spares the wait of five minutes."""
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


def test_a_profile_removed_while_it_fails_has_not_recovered_when_it_comes_back() -> None:
    """Its end was never told, and as a new profile it has not failed."""
    sim = simulate(profile("a"), profile("kept"))
    sim.provider.fault = lambda name: failure() if name == "a" else None
    sim.start()
    sim.supervisor.reload(settings(profile("kept")))
    sim.run(60)
    sim.provider.fault = lambda _: None
    sim.supervisor.reload(settings(profile("a"), profile("kept")))
    sim.run(3)

    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)
    assert [] == sim.log.of("renewal_recovered")


def test_what_is_odd_about_a_grant_is_told_again_when_its_profile_has_changed() -> None:
    """Someone who asked for another duration, or renew_before, learns what came of it."""
    sim = simulate(profile(renew_before=RenewBefore(share=None, seconds=800.0)))
    sim.provider.lifetime = 900
    sim.start()
    later = profile(duration=7200, renew_before=RenewBefore(share=None, seconds=850.0))
    sim.supervisor.reload(settings(later))
    sim.run(3)

    assert [3600, 7200] == [e["asked_s"] for e in sim.log.of("grant_shortened")]
    assert [800, 850] == [e["renew_before_s"] for e in sim.log.of("renew_before_clamped")]


def test_a_source_removed_while_broken_is_told_again_when_it_comes_back() -> None:
    """Its end was never told, so the first event says nothing about its state now."""
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


def test_an_endpoint_removed_while_dead_is_told_again_when_it_comes_back() -> None:
    """Its end was never told, so it is told again; an endpoint that stays in use is told once."""
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


def test_a_broken_source_is_told_again_at_a_reload_only_if_its_settings_changed() -> None:
    """Someone who mended it, and wrongly, learns that; nothing else is told twice."""
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
