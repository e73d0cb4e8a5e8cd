"""Wishes and the real supervisor, with doubles of threads, timers, STS, disk and clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from credfresh.config.echo import did_you_mean
from credfresh.control import protocol, waiting_room
from credfresh.control.waiting_room import FEW, WaitingRoom
from credfresh.control.wishes import Wishes
from credfresh.errors import ControlError, Mend, PublishError
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk
from credfresh.publication import PublishReport, Refusal
from credfresh.publisher import Published
from credfresh.settings import FileTarget, Settings, Twin
from fakes import Unguarded, failure, profile, settings
from simulation import Simulation


class Harness(Simulation):
    """A simulation with a waiting room that is told of publishes and reloads."""

    def __init__(self, config: Settings, *, hold: bool = False) -> None:
        super().__init__(config, hold=hold)
        self.desk = Desk(
            settings=config,
            supervisor=self.supervisor,
            agenda=Agenda(),
            clock=self.clock,
            post=lambda _: None,
            guard=Unguarded(),
        )
        self.answers: dict[int, dict[str, Any]] = {}
        self.room = WaitingRoom(self.desk, self.answers.__setitem__)
        self.desk.on_published.append(self.room.published)
        self.desk.on_reloaded.append(self.room.reloaded)

    def ensure(self, ticket: int, name: str, valid_for: float, timeout: float = 60.0) -> None:
        """Ask for a profile, and take the turns that follow at once."""
        self.room.ensure(ticket, protocol.Ensure(name, valid_for, timeout))
        self.turn()

    def turn(self) -> None:
        """Let the main thread take a turn, and two more for what it caused."""
        for _ in range(3):
            self.room.look(self.clock())
            self.settle()

    def wait(self, seconds: float, step: float = 0.5) -> None:
        """Advance the clock in steps, with a turn after each."""
        end = self.clock().boot + seconds
        while self.clock().boot < end:
            self.clock.advance(step)
            self.turn()

    def _publish(self) -> None:
        landed = dict(self.outlet.unreported)
        self.outlet.unreported.clear()
        paths = {p.profile.target.path for p in landed.values()}
        written = PublishReport(written=True)
        self.reported(Published(dict.fromkeys(paths, written), landed, 0.001))

    def reported(self, message: Published) -> None:
        """Handle a report of the publisher."""
        self.supervisor.handle(message)
        for listener in self.desk.on_published:
            listener(message)

    def reload(self, config: Settings) -> None:
        """Change to another configuration, as the daemon does."""
        self.desk.settings = config
        self.supervisor.reload(config)
        for listener in self.desk.on_reloaded:
            listener(config)
        self.turn()

    @property
    def calls(self) -> int:
        """The number of calls to STS."""
        return len(self.provider.calls)


@pytest.fixture(name="harness")
def _harness() -> Harness:
    harness = Harness(settings(profile("dev"), profile("prod")))
    harness.start()
    return harness


def test_ensure_of_a_fresh_profile_costs_no_call(harness: Harness) -> None:
    """The answer has the life left and the key id of the profile, but no secret."""
    harness.ensure(1, "prod", 2700)

    answer = harness.answers[1]
    assert answer["reached"]
    assert 3600 == answer["seconds_left"]
    assert str(answer["access_key_id"]).startswith("ASIA")
    assert "secret" not in str(answer)
    assert 2 == harness.calls


def test_fifty_ensures_share_one_renewal_and_are_answered_when_it_is_published(
    harness: Harness,
) -> None:
    """Fifty clients cause one call; they are answered once the renewal is on disk."""
    harness.wait(1200)
    harness.disk_full = True
    for ticket in range(50):
        harness.ensure(ticket, "prod", 2700)
    assert 3 == harness.calls
    assert {} == harness.answers
    harness.disk_full = False
    harness.turn()

    assert [True] * 50 == [harness.answers[t]["reached"] for t in range(50)]
    assert 3 == harness.calls
    assert harness.outlet.urgent[-1], "somebody waits for it"


def test_a_scheduled_renewal_is_not_urgent_to_publish(harness: Harness) -> None:
    """A renewal that no client waits for is not urgent to publish."""
    harness.wait(2000, step=5.0)
    assert 4 == harness.calls
    assert not harness.outlet.urgent[-1]


def test_a_renewal_in_hand_is_published_at_once_when_a_job_asks(harness: Harness) -> None:
    """A renewal in hand becomes urgent when a job asks for it, without another call to STS."""
    harness.disk_full = True
    harness.wait(1800, step=5.0)
    assert 4 == harness.calls
    assert [False] == harness.outlet.urgent[-1:]
    harness.ensure(1, "prod", 2700)
    assert [True] == harness.outlet.urgent[-1:], "somebody waits for it"
    assert {} == harness.answers
    harness.disk_full = False
    harness.turn()

    assert harness.answers[1]["reached"]
    assert 4 == harness.calls


def test_many_renewals_on_demand_are_published_together() -> None:
    """More than FEW renewals on demand are not urgent: each would write the whole file."""
    names = [f"p{n}" for n in range(FEW + 1)]
    harness = Harness(settings(*(profile(name) for name in names)))
    harness.start()
    harness.wait(60)
    before = len(harness.outlet.urgent)
    harness.room.renew(1, ())
    harness.wait(5)
    assert {False} == set(harness.outlet.urgent[before:])
    assert [True] * len(names) == [p["renewed"] for p in harness.answers[1]["profiles"]]
    harness.wait(60)
    before = len(harness.outlet.urgent)
    harness.room.renew(2, names[:FEW])
    harness.wait(5)
    assert [True] * FEW == [p["renewed"] for p in harness.answers[2]["profiles"]]
    assert {True} == set(harness.outlet.urgent[before:])


def test_wishes_of_a_client_that_left_count_no_more() -> None:
    """Ctrl-C ends `renew`: what is asked for after that is published at once as ever."""
    names = [f"p{n}" for n in range(FEW + 1)]
    harness = Harness(settings(*(profile(name) for name in names)))
    harness.start()
    harness.wait(60)
    harness.room.renew(1, ())
    harness.room.forget(1)
    before = len(harness.outlet.urgent)
    harness.room.renew(2, names[:1])
    harness.wait(5)
    assert [True] == [p["renewed"] for p in harness.answers[2]["profiles"]]
    assert {True} == set(harness.outlet.urgent[before:])


def test_renew_tells_the_outcome_of_each(harness: Harness) -> None:
    """Outcomes come in the order of the request; one refusal does not hide another's success."""
    harness.provider.fault = lambda name: (
        failure("AccessDenied", mend=Mend.HUMAN) if name == "dev" else None
    )
    harness.room.renew(1, ("prod", "dev"))
    harness.wait(2)

    prod, dev = harness.answers[1]["profiles"]
    assert ("prod", True, None) == (prod["profile"], prod["renewed"], prod["error"])
    assert ("dev", False, "failed") == (dev["profile"], dev["renewed"], dev["code"])
    assert "AccessDenied" in dev["error"]


def test_renew_of_nothing_is_answered(harness: Harness) -> None:
    """If all profiles are withdrawn there is nothing to wait for, and the answer is empty."""
    harness.room.withdraw(1, ())
    harness.turn()
    harness.room.renew(2, ())
    assert {"profiles": []} == harness.answers[2]


def test_withdraw_is_answered_when_the_sections_are_gone(harness: Harness) -> None:
    """Neither `ensure` nor a renewal of all brings a withdrawn profile back; naming it does."""
    harness.disk_full = True
    assert ("prod",) == harness.room.withdraw(1, ("prod",))
    harness.wait(5)
    assert {} == harness.answers
    harness.disk_full = False
    harness.turn()
    [told] = harness.answers[1]["profiles"]
    assert told["withdrawn"]
    assert "missing" == harness.supervisor.roster["prod"].state(harness.clock())

    harness.ensure(2, "prod", 60)
    assert "withdrawn" == harness.answers[2]["code"]
    harness.room.renew(3, ())
    harness.wait(2)
    assert ["dev"] == [p["profile"] for p in harness.answers[3]["profiles"]]
    harness.room.renew(4, ("prod",))
    harness.wait(2)
    assert harness.answers[4]["profiles"][0]["renewed"]
    assert "fresh" == harness.supervisor.roster["prod"].state(harness.clock())


def test_withdraw_of_a_profile_that_was_never_published_is_answered() -> None:
    """A profile that never had credentials counts as withdrawn at once."""
    harness = Harness(settings(profile("dev")))
    harness.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    harness.start()
    harness.room.withdraw(1, ())
    harness.turn()
    assert harness.answers[1]["profiles"][0]["withdrawn"]


def test_clients_that_wait_for_a_removed_profile_are_answered_at_once() -> None:
    """A removed profile is answered at once to `ensure`, and with the others to `renew`."""
    harness = Harness(settings(profile("dev"), profile("prod")))
    harness.provider.fault = lambda _: failure()
    harness.start()
    harness.ensure(1, "prod", 2700)
    harness.room.renew(2, ("dev", "prod"))
    harness.reload(settings(profile("dev")))

    assert "removed" == harness.answers[1]["code"]
    assert 0 == harness.answers[1]["seconds_left"]
    harness.provider.fault = lambda _: None
    harness.wait(60)
    assert [True, False] == [p["renewed"] for p in harness.answers[2]["profiles"]]


def test_keys_of_the_old_role_do_not_pass_for_those_of_the_new_one() -> None:
    """After a reload that changes the role, `ensure` fails until the new role is assumed."""
    old = profile("prod")
    harness = Harness(settings(old))
    harness.start()
    harness.wait(60)
    harness.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    harness.reload(settings(replace(old, role_arn="arn:aws:iam::111111111111:role/new")))
    harness.ensure(1, "prod", 600)
    harness.wait(5)
    assert "failed" == harness.answers[1]["code"]
    harness.provider.fault = lambda _: None
    harness.wait(60)
    harness.ensure(2, "prod", 600)

    assert harness.answers[2]["reached"]


def test_ensure_counts_no_life_in_a_file_that_is_not_there(harness: Harness) -> None:
    """While a directory is in the file's place, nobody can read what was published."""
    harness.wait(60)
    [path] = {target.path for target in harness.settings.targets}
    gone = PublishError("is a directory", path=path, step="read", code="not_a_file", hint="mend it")
    message = Published({path: gone}, {}, 0.001)
    harness.disk_full = True
    harness.reported(message)
    harness.ensure(1, "prod", 600, timeout=5.0)
    harness.wait(10)

    assert not harness.answers[1]["reached"]
    assert "is a directory" in str(harness.answers[1]["error"])


@pytest.mark.parametrize("before", [None, "/run/other"])
def test_a_job_is_not_told_of_life_in_a_twin_that_is_not_there(before: str | None) -> None:
    """A reload names a directory of twins, and it cannot be made: the job would read nothing."""

    def with_twin(directory: str | None) -> Settings:
        twin = directory and Twin(directory, "prod", FileTarget(directory))
        return settings(replace(profile("prod"), twin=twin or None))

    harness = Harness(with_twin(before))
    harness.start()
    harness.disk_full = True
    harness.reload(with_twin("/run/process"))
    where = "/run/process"
    refused = PublishError("not ours", path=where, step="look", code="foreign", hint="look at it")
    written = PublishReport(written=False)
    harness.reported(Published({profile("prod").target.path: written, where: refused}, {}, 0.1))
    harness.ensure(1, "prod", 600, timeout=5.0)
    harness.wait(10)

    assert not harness.answers[1]["reached"]
    assert "not ours" in str(harness.answers[1]["error"])

    harness.disk_full = False
    harness.ensure(2, "prod", 600)
    assert harness.answers[2]["reached"]


def test_nobody_is_told_of_keys_in_a_section_that_is_not_there(harness: Harness) -> None:
    """A reload renames it while the disk is full; the outcome of a renewal before says nothing."""
    harness.room.renew(1, ["prod"])
    harness.wait(5)
    assert harness.answers[1]["profiles"][0]["renewed"]
    harness.disk_full = True
    harness.reload(settings(profile("dev"), replace(profile("prod"), section="other")))

    harness.ensure(2, "prod", 60)
    harness.room.renew(3, ["prod"])
    harness.wait(5)
    assert {1} == harness.answers.keys()
    harness.disk_full = False
    harness.turn()

    assert harness.answers[2]["reached"]
    assert harness.answers[3]["profiles"][0]["renewed"]


def test_a_renewal_in_flight_at_a_reload_does_not_count() -> None:
    """A renewal that was in flight at a reload does not count: the new request is made."""
    harness = Harness(settings(profile("prod")), hold=True)
    harness.start()
    harness.workers.release()
    harness.turn()
    harness.wait(60)
    harness.room.renew(1, ("prod",))
    harness.turn()
    harness.reload(settings(replace(profile("prod"), external_id="new")))
    harness.workers.release()
    harness.wait(3)
    assert {} == harness.answers, "the old request's outcome is not this one's"
    harness.workers.release()
    harness.wait(3)

    assert harness.answers[1]["profiles"][0]["renewed"]
    assert harness.supervisor.roster["prod"].fits()


def test_an_unknown_profile_is_refused_with_what_was_meant(harness: Harness) -> None:
    """The error suggests the similar name, and no profile of the request is touched."""
    for ask in (
        lambda: harness.room.ensure(1, protocol.Ensure("prd", 1, 1)),
        lambda: harness.room.renew(1, ("dev", "prd")),
        lambda: harness.room.withdraw(1, ("dev", "prd")),
    ):
        with pytest.raises(ControlError, match="'prd'") as caught:
            ask()
        assert "unknown_profile" == caught.value.code
        assert "did you mean `prod`?" == caught.value.hint
    assert not harness.supervisor.roster["dev"].withdrawn
    assert harness.room.look(harness.clock()) is None


def test_a_flood_of_unknown_names_costs_a_tenth_of_the_time(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finding a hint takes milliseconds; if that exceeds a tenth of the time, hints are general."""
    meant: list[str] = []

    def slow(name: str, known: Iterable[str]) -> str | None:
        meant.append(name)
        harness.clock.advance(0.01)
        return did_you_mean(name, known)

    monkeypatch.setattr(waiting_room, "did_you_mean", slow)
    hints = []
    began = harness.clock().boot
    while harness.clock().boot < began + 1.0:
        with pytest.raises(ControlError) as caught:
            harness.room.ensure(1, protocol.Ensure("prd", 1, 1))
        hints.append(caught.value.hint)
        harness.clock.advance(0.001)

    assert 10 <= len(meant) <= 11
    assert {"did you mean `prod`?", "`credfresh status` lists them"} == set(hints)
    assert len(hints) > 500


def test_a_costly_look_is_followed_by_a_pause_however_often_clients_ask(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A costly look at many waiting clients is followed by a pause nine times as long."""
    harness.workers.hold = True
    harness.wait(1200)
    looks: list[float] = []
    look = Wishes.look

    def slow(wishes: Wishes, *rest: Any) -> Any:
        looks.append(harness.clock().boot)
        harness.clock.advance(0.02)
        return look(wishes, *rest)

    monkeypatch.setattr(Wishes, "look", slow)
    began = harness.clock().boot
    ticket = 0
    while harness.clock().boot < began + 2.0:
        ticket += 1
        harness.room.ensure(ticket, protocol.Ensure("prod", 2700, 60))
        harness.room.look(harness.clock())
        harness.clock.advance(0.001)

    assert 10 <= len(looks) <= 11
    assert ticket > 1000


def test_a_refused_section_denies_at_once(harness: Harness) -> None:
    """`ensure` fails at once if the section is somebody else's; a job learns in which file."""
    refusal = Refusal("prod", "taken", "somebody's keys stand there", "remove them")
    entry = harness.supervisor.roster["prod"]
    entry.refusal = refusal
    harness.ensure(1, "prod", 60)
    answer = harness.answers[1]
    reason = f"{entry.profile.target.path}: {refusal.reason}"
    assert ("refused", reason, refusal.hint) == (
        answer["code"],
        answer["error"],
        answer["hint"],
    )


@pytest.mark.parametrize("place", ["directory", "path"])
@pytest.mark.parametrize("verb", ["renew", "withdraw"])
def test_a_twin_that_cannot_be_written_is_told_to_the_client(place: str, verb: str) -> None:
    """The answer reports the failed twin at once, though the section is renewed or gone."""
    twin = Twin("/run/process", "prod", FileTarget("/run/process"))
    harness = Harness(settings(replace(profile("prod"), twin=twin)))
    harness.start()
    harness.wait(1200)
    harness.disk_full = True
    getattr(harness.room, verb)(1, ("prod",))
    harness.turn()
    where = str(getattr(twin, place))
    foreign = PublishError("not ours", path=where, step="look", code="foreign", hint="look at it")
    written = PublishReport(written=True)
    harness.reported(Published({profile("prod").target.path: written, where: foreign}, {}, 0.1))
    harness.wait(1)

    [told] = harness.answers[1]["profiles"]
    assert ("failed", "not ours", "look at it") == (told["code"], told["error"], told["hint"])


def test_a_full_disk_is_told_to_the_client(harness: Harness) -> None:
    """`renew` reports a full disk at once, `ensure` when its time is over."""
    harness.wait(1200)
    harness.disk_full = True
    harness.room.renew(1, ("prod",))
    harness.ensure(2, "prod", 2700, timeout=10)
    harness.turn()
    path = profile("prod").target.path
    full = PublishError("no room", path=path, step="sync", code="ENOSPC", hint="make some")
    harness.reported(Published({path: full}, {}, 0.1))
    harness.wait(1)
    assert ("failed", "no room") == (
        harness.answers[1]["profiles"][0]["code"],
        harness.answers[1]["profiles"][0]["error"],
    )
    assert 2 not in harness.answers
    harness.wait(10)
    assert "timeout" == harness.answers[2]["code"]
    assert "no room" in harness.answers[2]["error"]
    assert "late" == harness.supervisor.roster["prod"].state(harness.clock())


def test_a_client_that_left_is_not_answered(harness: Harness) -> None:
    """A client that disconnects is forgotten by `ensure` and by `renew`."""
    harness.wait(1200)
    harness.ensure(1, "prod", 3590)
    harness.room.renew(2, ("dev",))
    harness.room.forget(1)
    harness.room.forget(2)
    harness.wait(5)
    assert {} == {t: a for t, a in harness.answers.items() if t == 2}


def test_a_chained_profile_is_ensured_through_its_parent() -> None:
    """The parent's current keys are used: no call is made to renew the parent as well."""
    harness = Harness(settings(profile("base"), profile("prod", source_profile="base")))
    harness.start()
    harness.wait(1200)
    calls = harness.calls
    harness.ensure(1, "prod", 2700)
    harness.wait(2)
    assert harness.answers[1]["reached"]
    assert calls + 1 == harness.calls
