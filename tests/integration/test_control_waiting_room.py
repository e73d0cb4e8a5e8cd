"""Wishes and the real supervisor, with doubles of threads, timers, STS, disk and clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from credfresh.config.echo import did_you_mean
from credfresh.control import protocol, waiting_room
from credfresh.control.protocol import RequestError
from credfresh.control.waiting_room import FEW, WaitingRoom
from credfresh.control.wishes import Wishes
from credfresh.errors import Mend, PublishError
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk
from credfresh.publication import PublishReport, Refusal
from credfresh.publisher import Published
from credfresh.settings import FileTarget, Settings, Twin
from fakes import Unguarded, failure, profile, settings
from simulation import Simulation


class Lobby(Simulation):
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


@pytest.fixture(name="lobby")
def _lobby() -> Lobby:
    lobby = Lobby(settings(profile("dev"), profile("prod")))
    lobby.start()
    return lobby


def test_ensure_of_a_fresh_profile_costs_no_call(lobby: Lobby) -> None:
    """The answer has the life left and the key id of the profile, but no secret."""
    lobby.ensure(1, "prod", 2700)

    answer = lobby.answers[1]
    assert answer["reached"]
    assert 3600 == answer["seconds_left"]
    assert str(answer["access_key_id"]).startswith("ASIA")
    assert "secret" not in str(answer)
    assert 2 == lobby.calls


def test_fifty_ensures_share_one_renewal_and_are_answered_when_it_is_published(
    lobby: Lobby,
) -> None:
    """Fifty clients cause one call; they are answered once the renewal is on disk."""
    lobby.wait(1200)
    lobby.disk_full = True
    for ticket in range(50):
        lobby.ensure(ticket, "prod", 2700)
    assert 3 == lobby.calls
    assert {} == lobby.answers
    lobby.disk_full = False
    lobby.turn()

    assert [True] * 50 == [lobby.answers[t]["reached"] for t in range(50)]
    assert 3 == lobby.calls
    assert lobby.outlet.urgent[-1], "somebody waits for it"


def test_a_scheduled_renewal_is_not_urgent_to_publish(lobby: Lobby) -> None:
    """A renewal that no client waits for is not urgent to publish."""
    lobby.wait(2000, step=5.0)
    assert 4 == lobby.calls
    assert not lobby.outlet.urgent[-1]


def test_a_renewal_in_hand_is_published_at_once_when_a_job_asks(lobby: Lobby) -> None:
    """A renewal in hand becomes urgent when a job asks for it, without another call to STS."""
    lobby.disk_full = True
    lobby.wait(1800, step=5.0)
    assert 4 == lobby.calls
    assert [False] == lobby.outlet.urgent[-1:]
    lobby.ensure(1, "prod", 2700)
    assert [True] == lobby.outlet.urgent[-1:], "somebody waits for it"
    assert {} == lobby.answers
    lobby.disk_full = False
    lobby.turn()

    assert lobby.answers[1]["reached"]
    assert 4 == lobby.calls


def test_many_renewals_on_demand_are_published_together() -> None:
    """More than FEW renewals on demand are not urgent: each would write the whole file."""
    names = [f"p{n}" for n in range(FEW + 1)]
    lobby = Lobby(settings(*(profile(name) for name in names)))
    lobby.start()
    lobby.wait(60)
    before = len(lobby.outlet.urgent)
    lobby.room.renew(1, ())
    lobby.wait(5)
    assert {False} == set(lobby.outlet.urgent[before:])
    assert [True] * len(names) == [p["renewed"] for p in lobby.answers[1]["profiles"]]
    lobby.wait(60)
    before = len(lobby.outlet.urgent)
    lobby.room.renew(2, names[:FEW])
    lobby.wait(5)
    assert [True] * FEW == [p["renewed"] for p in lobby.answers[2]["profiles"]]
    assert {True} == set(lobby.outlet.urgent[before:])


def test_wishes_of_a_client_that_left_count_no_more() -> None:
    """Ctrl-C ends `renew`: what is asked for after that is published at once as ever."""
    names = [f"p{n}" for n in range(FEW + 1)]
    lobby = Lobby(settings(*(profile(name) for name in names)))
    lobby.start()
    lobby.wait(60)
    lobby.room.renew(1, ())
    lobby.room.forget(1)
    before = len(lobby.outlet.urgent)
    lobby.room.renew(2, names[:1])
    lobby.wait(5)
    assert [True] == [p["renewed"] for p in lobby.answers[2]["profiles"]]
    assert {True} == set(lobby.outlet.urgent[before:])


def test_renew_tells_the_outcome_of_each(lobby: Lobby) -> None:
    """Outcomes come in the order of the request; one refusal does not hide another's success."""
    lobby.provider.fault = lambda name: (
        failure("AccessDenied", mend=Mend.HUMAN) if name == "dev" else None
    )
    lobby.room.renew(1, ("prod", "dev"))
    lobby.wait(2)

    prod, dev = lobby.answers[1]["profiles"]
    assert ("prod", True, None) == (prod["profile"], prod["renewed"], prod["error"])
    assert ("dev", False, "failed") == (dev["profile"], dev["renewed"], dev["code"])
    assert "AccessDenied" in dev["error"]


def test_renew_of_nothing_is_answered(lobby: Lobby) -> None:
    """If all profiles are withdrawn there is nothing to wait for, and the answer is empty."""
    lobby.room.withdraw(1, ())
    lobby.turn()
    lobby.room.renew(2, ())
    assert {"profiles": []} == lobby.answers[2]


def test_withdraw_is_answered_when_the_sections_are_gone(lobby: Lobby) -> None:
    """Neither `ensure` nor a renewal of all brings a withdrawn profile back; naming it does."""
    lobby.disk_full = True
    assert ("prod",) == lobby.room.withdraw(1, ("prod",))
    lobby.wait(5)
    assert {} == lobby.answers
    lobby.disk_full = False
    lobby.turn()
    [told] = lobby.answers[1]["profiles"]
    assert told["withdrawn"]
    assert "missing" == lobby.supervisor.roster["prod"].state(lobby.clock())

    lobby.ensure(2, "prod", 60)
    assert "withdrawn" == lobby.answers[2]["code"]
    lobby.room.renew(3, ())
    lobby.wait(2)
    assert ["dev"] == [p["profile"] for p in lobby.answers[3]["profiles"]]
    lobby.room.renew(4, ("prod",))
    lobby.wait(2)
    assert lobby.answers[4]["profiles"][0]["renewed"]
    assert "fresh" == lobby.supervisor.roster["prod"].state(lobby.clock())


def test_withdraw_of_a_profile_that_was_never_published_is_answered() -> None:
    """A profile that never had credentials counts as withdrawn at once."""
    lobby = Lobby(settings(profile("dev")))
    lobby.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    lobby.start()
    lobby.room.withdraw(1, ())
    lobby.turn()
    assert lobby.answers[1]["profiles"][0]["withdrawn"]


def test_clients_that_wait_for_a_removed_profile_are_answered_at_once() -> None:
    """A removed profile is answered at once to `ensure`, and with the others to `renew`."""
    lobby = Lobby(settings(profile("dev"), profile("prod")))
    lobby.provider.fault = lambda _: failure()
    lobby.start()
    lobby.ensure(1, "prod", 2700)
    lobby.room.renew(2, ("dev", "prod"))
    lobby.reload(settings(profile("dev")))

    assert "removed" == lobby.answers[1]["code"]
    assert 0 == lobby.answers[1]["seconds_left"]
    lobby.provider.fault = lambda _: None
    lobby.wait(60)
    assert [True, False] == [p["renewed"] for p in lobby.answers[2]["profiles"]]


def test_keys_of_the_old_role_do_not_pass_for_those_of_the_new_one() -> None:
    """After a reload that changes the role, `ensure` fails until the new role is assumed."""
    old = profile("prod")
    lobby = Lobby(settings(old))
    lobby.start()
    lobby.wait(60)
    lobby.provider.fault = lambda _: failure("AccessDenied", mend=Mend.HUMAN)
    lobby.reload(settings(replace(old, role_arn="arn:aws:iam::111111111111:role/new")))
    lobby.ensure(1, "prod", 600)
    lobby.wait(5)
    assert "failed" == lobby.answers[1]["code"]
    lobby.provider.fault = lambda _: None
    lobby.wait(60)
    lobby.ensure(2, "prod", 600)

    assert lobby.answers[2]["reached"]


def test_ensure_counts_no_life_in_a_file_that_is_not_there(lobby: Lobby) -> None:
    """While a directory is in the file's place, nobody can read what was published."""
    lobby.wait(60)
    [path] = {target.path for target in lobby.settings.targets}
    gone = PublishError("is a directory", path=path, step="read", code="not_a_file", hint="mend it")
    message = Published({path: gone}, {}, 0.001)
    lobby.disk_full = True
    lobby.reported(message)
    lobby.ensure(1, "prod", 600, timeout=5.0)
    lobby.wait(10)

    assert not lobby.answers[1]["reached"]
    assert "is a directory" in str(lobby.answers[1]["error"])


@pytest.mark.parametrize("before", [None, "/run/other"])
def test_a_job_is_not_told_of_life_in_a_twin_that_is_not_there(before: str | None) -> None:
    """A reload names a directory of twins, and it cannot be made: the job would read nothing."""

    def with_twin(directory: str | None) -> Settings:
        twin = directory and Twin(directory, "prod", FileTarget(directory))
        return settings(replace(profile("prod"), twin=twin or None))

    lobby = Lobby(with_twin(before))
    lobby.start()
    lobby.disk_full = True
    lobby.reload(with_twin("/run/process"))
    where = "/run/process"
    refused = PublishError("not ours", path=where, step="look", code="foreign", hint="look at it")
    written = PublishReport(written=False)
    lobby.reported(Published({profile("prod").target.path: written, where: refused}, {}, 0.1))
    lobby.ensure(1, "prod", 600, timeout=5.0)
    lobby.wait(10)

    assert not lobby.answers[1]["reached"]
    assert "not ours" in str(lobby.answers[1]["error"])

    lobby.disk_full = False
    lobby.ensure(2, "prod", 600)
    assert lobby.answers[2]["reached"]


def test_nobody_is_told_of_keys_in_a_section_that_is_not_there(lobby: Lobby) -> None:
    """A reload renames it while the disk is full; the outcome of a renewal before says nothing."""
    lobby.room.renew(1, ["prod"])
    lobby.wait(5)
    assert lobby.answers[1]["profiles"][0]["renewed"]
    lobby.disk_full = True
    lobby.reload(settings(profile("dev"), replace(profile("prod"), section="other")))

    lobby.ensure(2, "prod", 60)
    lobby.room.renew(3, ["prod"])
    lobby.wait(5)
    assert {1} == lobby.answers.keys()
    lobby.disk_full = False
    lobby.turn()

    assert lobby.answers[2]["reached"]
    assert lobby.answers[3]["profiles"][0]["renewed"]


def test_a_renewal_in_flight_at_a_reload_does_not_count() -> None:
    """A renewal that was in flight at a reload does not count: the new request is made."""
    lobby = Lobby(settings(profile("prod")), hold=True)
    lobby.start()
    lobby.workers.release()
    lobby.turn()
    lobby.wait(60)
    lobby.room.renew(1, ("prod",))
    lobby.turn()
    lobby.reload(settings(replace(profile("prod"), external_id="new")))
    lobby.workers.release()
    lobby.wait(3)
    assert {} == lobby.answers, "the old request's outcome is not this one's"
    lobby.workers.release()
    lobby.wait(3)

    assert lobby.answers[1]["profiles"][0]["renewed"]
    assert lobby.supervisor.roster["prod"].fits()


def test_an_unknown_profile_is_refused_with_what_was_meant(lobby: Lobby) -> None:
    """The error suggests the similar name, and no profile of the request is touched."""
    for ask in (
        lambda: lobby.room.ensure(1, protocol.Ensure("prd", 1, 1)),
        lambda: lobby.room.renew(1, ("dev", "prd")),
        lambda: lobby.room.withdraw(1, ("dev", "prd")),
    ):
        with pytest.raises(RequestError, match="'prd'") as caught:
            ask()
        assert "unknown_profile" == caught.value.code
        assert "did you mean `prod`?" == caught.value.hint
    assert not lobby.supervisor.roster["dev"].withdrawn
    assert lobby.room.look(lobby.clock()) is None


def test_a_flood_of_unknown_names_costs_a_tenth_of_the_time(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finding a hint takes milliseconds; if that exceeds a tenth of the time, hints are general."""
    meant: list[str] = []

    def slow(name: str, known: Iterable[str]) -> str | None:
        meant.append(name)
        lobby.clock.advance(0.01)
        return did_you_mean(name, known)

    monkeypatch.setattr(waiting_room, "did_you_mean", slow)
    hints = []
    began = lobby.clock().boot
    while lobby.clock().boot < began + 1.0:
        with pytest.raises(RequestError) as caught:
            lobby.room.ensure(1, protocol.Ensure("prd", 1, 1))
        hints.append(caught.value.hint)
        lobby.clock.advance(0.001)

    assert 10 <= len(meant) <= 11
    assert {"did you mean `prod`?", "`credfresh status` lists them"} == set(hints)
    assert len(hints) > 500


def test_a_costly_look_is_followed_by_a_pause_however_often_clients_ask(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A costly look at many waiting clients is followed by a pause nine times as long."""
    lobby.workers.hold = True
    lobby.wait(1200)
    looks: list[float] = []
    look = Wishes.look

    def slow(wishes: Wishes, *rest: Any) -> Any:
        looks.append(lobby.clock().boot)
        lobby.clock.advance(0.02)
        return look(wishes, *rest)

    monkeypatch.setattr(Wishes, "look", slow)
    began = lobby.clock().boot
    ticket = 0
    while lobby.clock().boot < began + 2.0:
        ticket += 1
        lobby.room.ensure(ticket, protocol.Ensure("prod", 2700, 60))
        lobby.room.look(lobby.clock())
        lobby.clock.advance(0.001)

    assert 10 <= len(looks) <= 11
    assert ticket > 1000


def test_a_refused_section_denies_at_once(lobby: Lobby) -> None:
    """`ensure` fails at once if the section is somebody else's."""
    refusal = Refusal("prod", "taken", "somebody's keys stand there", "remove them")
    lobby.supervisor.roster["prod"].refusal = refusal
    lobby.ensure(1, "prod", 60)
    answer = lobby.answers[1]
    assert ("refused", refusal.reason, refusal.hint) == (
        answer["code"],
        answer["error"],
        answer["hint"],
    )


@pytest.mark.parametrize("place", ["directory", "path"])
@pytest.mark.parametrize("verb", ["renew", "withdraw"])
def test_a_twin_that_cannot_be_written_is_told_to_the_client(place: str, verb: str) -> None:
    """The answer reports the failed twin at once, though the section is renewed or gone."""
    twin = Twin("/run/process", "prod", FileTarget("/run/process"))
    lobby = Lobby(settings(replace(profile("prod"), twin=twin)))
    lobby.start()
    lobby.wait(1200)
    lobby.disk_full = True
    getattr(lobby.room, verb)(1, ("prod",))
    lobby.turn()
    where = str(getattr(twin, place))
    foreign = PublishError("not ours", path=where, step="look", code="foreign", hint="look at it")
    written = PublishReport(written=True)
    lobby.reported(Published({profile("prod").target.path: written, where: foreign}, {}, 0.1))
    lobby.wait(1)

    [told] = lobby.answers[1]["profiles"]
    assert ("failed", "not ours", "look at it") == (told["code"], told["error"], told["hint"])


def test_a_full_disk_is_told_to_the_client(lobby: Lobby) -> None:
    """`renew` reports a full disk at once, `ensure` when its time is over."""
    lobby.wait(1200)
    lobby.disk_full = True
    lobby.room.renew(1, ("prod",))
    lobby.ensure(2, "prod", 2700, timeout=10)
    lobby.turn()
    path = profile("prod").target.path
    full = PublishError("no room", path=path, step="sync", code="ENOSPC", hint="make some")
    lobby.reported(Published({path: full}, {}, 0.1))
    lobby.wait(1)
    assert ("failed", "no room") == (
        lobby.answers[1]["profiles"][0]["code"],
        lobby.answers[1]["profiles"][0]["error"],
    )
    assert 2 not in lobby.answers
    lobby.wait(10)
    assert "timeout" == lobby.answers[2]["code"]
    assert "no room" in lobby.answers[2]["error"]
    assert "late" == lobby.supervisor.roster["prod"].state(lobby.clock())


def test_a_client_that_left_is_not_answered(lobby: Lobby) -> None:
    """A client that disconnects is forgotten by `ensure` and by `renew`."""
    lobby.wait(1200)
    lobby.ensure(1, "prod", 3590)
    lobby.room.renew(2, ("dev",))
    lobby.room.forget(1)
    lobby.room.forget(2)
    lobby.wait(5)
    assert {} == {t: a for t, a in lobby.answers.items() if t == 2}


def test_a_chained_profile_is_ensured_through_its_parent() -> None:
    """The parent's current keys are used: no call is made to renew the parent as well."""
    lobby = Lobby(settings(profile("base"), profile("prod", source_profile="base")))
    lobby.start()
    lobby.wait(1200)
    calls = lobby.calls
    lobby.ensure(1, "prod", 2700)
    lobby.wait(2)
    assert lobby.answers[1]["reached"]
    assert calls + 1 == lobby.calls
