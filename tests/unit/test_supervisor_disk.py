"""The state of a profile follows what readers find on disk, not what is in hand."""

from __future__ import annotations

from dataclasses import replace

from credfresh.errors import Mend, PublishError
from credfresh.life.supervisor import BEAT
from credfresh.publication import PublishReport, Refusal
from credfresh.publisher import Published
from fakes import failure, profile, settings
from simulation import simulate


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


def test_the_expiry_of_what_stands_is_told_within_a_beat() -> None:
    """Also while the disk is full, and newer credentials are in hand."""
    sim = simulate(profile(duration=930))
    sim.start()
    expires = sim.clock() + 930
    sim.disk_full = True
    while not sim.log.of("profile_expired"):
        sim.run(1)

    assert sim.supervisor.roster["production"].usable(sim.clock())
    assert sim.clock().boot <= expires.boot + BEAT + 1


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


def test_on_expired_remove_takes_away_nothing_whose_end_is_not_known() -> None:
    """What stands at the start and is not believed may be valid, and somebody may use it."""
    sim = simulate(profile(on_expired="remove"))
    sim.provider.fault = lambda _: failure()
    sim.start()
    sim.run(600)

    asked = sim.outlet.published["production"]
    assert asked is not None
    assert not asked.withdraw


def test_a_renewal_that_could_not_be_published_makes_its_profile_late() -> None:
    """While a renewal could not be published the profile is late, judged by what is on disk."""
    sim = simulate()
    sim.start()
    sim.disk_full = True
    sim.run(1800)

    assert "late" == sim.supervisor.roster["production"].state(sim.clock())
    assert 1 == sim.log.names().count("credentials_renewed") - 1


def test_a_refused_section_is_told_and_counts_as_settled() -> None:
    """A section that is somebody else's is refused, and a human has to mend that."""
    sim = simulate()
    sim.start()
    path = profile().target.path
    refusal = Refusal("production", "foreign", "somebody's section", "adopt: true")
    report = PublishReport(written=False, refused=(refusal,))

    for _ in range(2):
        sim.supervisor.handle(Published({path: report}, {}, 0.0))

    assert "refused" == sim.supervisor.roster["production"].state(sim.clock())
    assert sim.supervisor.roster.settled(sim.clock())
    [told] = sim.log.of("section_foreign")
    assert ("production", path) == (told["profile"], told["path"])


def test_a_refused_profile_has_nothing_published() -> None:
    """Readers do not find what is in hand for it: no life left, no expiration, no key id."""
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
    """Other readers are served, so it stays fresh; the status says it, and not only the log."""
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


def test_a_failing_file_is_told_again_at_a_reload_only_if_its_settings_changed() -> None:
    """Someone who corrected its group, and wrongly, learns that from the log."""
    a, b = profile("a", path="/a"), profile("b", path="/b")
    sim = simulate(a, b)
    sim.start()
    outcomes = {
        path: PublishError("no such group", path=path, step="attributes", code="unknown_group")
        for path in ("/a", "/b")
    }
    sim.supervisor.handle(Published(outcomes, {}, 0.01))
    corrected = replace(a, target=a.target._replace(group="built"))
    sim.supervisor.reload(settings(corrected, b))
    sim.supervisor.handle(Published(outcomes, {}, 0.01))
    sim.supervisor.handle(Published(outcomes, {}, 0.01))

    assert ["/a", "/b", "/a"] == [e["path"] for e in sim.log.of("publish_failed")]
    for _ in range(2):
        sim.supervisor.handle(Published({"/a": PublishReport(written=True)}, {}, 0.01))
    assert ["/a"] == [e["path"] for e in sim.log.of("publish_recovered")]


def test_a_renewal_that_is_not_yet_on_disk_is_not_settled() -> None:
    """Readers that start once the service is up must find it on disk."""
    sim = simulate()
    sim.disk_full = True
    sim.start()
    assert sim.supervisor.roster["production"].grant is not None
    assert not sim.supervisor.roster.settled(sim.clock())

    sim.disk_full = False
    sim.run(1)
    assert sim.supervisor.roster.settled(sim.clock(), fresh=True)


def test_a_renewal_that_is_not_on_disk_yet_does_not_tell_the_expiry_again() -> None:
    """After an outage every profile is renewed first and written later: that is no news."""
    sim = simulate(profile(duration=900))
    sim.start()
    sim.provider.fault = lambda _: failure()
    sim.run(1000, step=5)
    sim.provider.fault = lambda _: None
    sim.disk_full = True
    sim.run(100)

    assert 2 == sim.log.names().count("credentials_renewed")
    assert 1 == sim.log.names().count("profile_expired")


def test_a_second_expiry_after_a_late_write_is_told_again() -> None:
    """A full disk through one expiration and an STS outage through the next are two outages."""
    sim = simulate(profile(duration=900))
    sim.start()
    sim.disk_full = True
    sim.run(1000, step=5)
    assert 1 == sim.log.names().count("profile_expired")
    sim.provider.fault = lambda _: failure()
    sim.disk_full = False
    sim.run(1000, step=5)

    assert 2 == sim.log.names().count("profile_expired")
