"""A reload carried out: every part follows, everybody is told, and a refusal changes nothing."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from credfresh.errors import ConfigError, Mend, Problem
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk
from credfresh.life.readiness import LIMIT, Readiness
from credfresh.life.reloader import POLL, Reloader
from credfresh.life.reloading import IDLE, Reloading, most_delay
from credfresh.notify import Notifier
from credfresh.publisher import Published, Publisher
from credfresh.settings import FileTarget, Notice, Settings, StsLimits, Twin
from credfresh.workers import Workers
from fakes import FakeClock, FakeProvider, MemoryDestination, Unguarded, failure, profile, settings
from simulation import Simulation

WRONG = ConfigError((Problem("c.yaml", 3, 1, "ready", "is wrong"),))


class Knotted(FakeProvider):
    """A provider in a circle of references, as an SDK's session is."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.itself = self


class House:
    """The main thread's parts of a daemon on a simulation, and a socket in place of systemd."""

    def __init__(self, config: Settings, manager: socket.socket, address: str) -> None:
        self.sim = Simulation(config)
        self.manager = manager
        self.now: Settings | Exception = config
        self.applied: list[Settings] = []
        self.made: list[weakref.ref[Knotted]] = []
        self.workers = Workers(config.sts.max_concurrency)
        self.desk = Desk(
            settings=config,
            supervisor=self.sim.supervisor,
            agenda=Agenda(),
            clock=self.sim.clock,
            post=lambda errand: errand.run(),
            guard=Unguarded(),
        )
        notifier = Notifier(address)
        self.readiness = Readiness(self.desk, notifier, self.sim.log)
        self.reloading = Reloading(
            self.desk,
            Reloader(config, self, self.sim.log),
            workers=self.workers,
            publisher=Publisher(
                MemoryDestination(),
                clock=self.sim.clock,
                roll=lambda: 0.0,
                report=lambda _: None,
            ),
            readiness=self.readiness,
            emit=self.sim.log,
        )
        self.desk.agenda.add(self.readiness.look)

    # The source of configurations

    def load(self) -> Settings:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def provider(self, settings: Settings) -> FakeProvider:
        del settings
        made = Knotted(self.sim.clock)
        self.made.append(weakref.ref(made))
        return made

    def apply(self, settings: Settings) -> None:
        self.applied.append(settings)

    # What a test does and sees

    def turn(self) -> float:
        """Let the main thread do what is due; return when it wants its next turn."""
        return self.desk.agenda.turn(self.sim.clock())

    def told(self) -> list[str]:
        """Return what systemd has been told since the last call."""
        said = []
        while True:
            try:
                said.append(self.manager.recv(4096).decode())
            except BlockingIOError:
                return said


@pytest.fixture(name="house")
def _house(tmp_path: Path) -> Iterator[House]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(0)
        config = settings(profile("dev"), profile("production"))
        yield House(replace(config, path=str(tmp_path / "c.yaml")), manager, address)


def test_a_reload_reaches_all_parts(house: House) -> None:
    """Profiles, workers, log and attendants follow; the result says what changed."""
    house.sim.start()
    known: list[Settings] = []
    house.desk.on_reloaded.append(known.append)
    house.now = replace(
        settings(profile("production"), profile("extra"), sts=StsLimits(max_concurrency=3)),
        notices=(Notice("short_session", (("profile", "extra"), ("profiles", 1))),),
    )

    done = house.reloading.reload()
    house.sim.settle()

    assert ({"extra"}, {"dev"}) == (set(done.changes.added), set(done.changes.removed))
    assert house.now is house.desk.settings
    assert [house.now] == known == house.applied
    assert 3 == house.workers.free
    assert ["production", "extra"] == [e.profile.name for e in house.sim.supervisor.roster]
    assert [{"added": 1, "removed": 1, "changed": 0, "needs_restart": None}] == house.sim.log.of(
        "config_reloaded"
    )
    assert "short_session" in house.sim.log.names()
    assert done is house.desk.last_reload


def test_config_reloaded_is_logged_once_all_parts_have_followed(house: House) -> None:
    """Once config_reloaded is in the log, nothing that has left the file is served any more."""
    house.sim.start()
    told: list[int] = []
    house.desk.on_reloaded.append(lambda _: told.append(len(house.sim.log.of("config_reloaded"))))
    house.now = settings(profile("production"))

    house.reloading.reload()

    assert [0] == told
    assert 1 == len(house.sim.log.of("config_reloaded"))


def test_a_refused_reload_changes_nothing(house: House) -> None:
    """Settings, profiles, due times and workers are what they were, and renewals go on."""
    house.sim.start()
    before = {e.profile.name: (e.grant, e.due) for e in house.sim.supervisor.roster}
    known: list[Settings] = []
    house.desk.on_reloaded.append(known.append)
    old, house.now = house.desk.settings, WRONG

    done = house.reloading.reload()

    assert WRONG.problems == done.problems
    assert old is house.desk.settings
    assert [] == known == house.applied
    assert before == {e.profile.name: (e.grant, e.due) for e in house.sim.supervisor.roster}
    house.sim.run(24 * 3600, step=10)
    assert 0 == house.sim.log.names().count("profile_expired")
    assert house.sim.log.names().count("credentials_renewed") > 2 * 24


def test_a_provider_that_was_replaced_is_gone_when_the_reload_is_over(house: House) -> None:
    """Each holds an SDK's session of megabytes, and the collector of cycles runs seldom."""
    house.sim.start()
    gc.disable()
    try:
        for timeout in (5.0, 6.0, 7.0):
            house.now = replace(house.desk.settings, sts=StsLimits(read_timeout=timeout))
            house.reloading.reload()
            house.sim.settle()
            house.sim.supervisor.renew("dev")
            house.sim.run(30)
    finally:
        gc.enable()

    assert [True, True, False] == [made() is None for made in house.made]


def test_signals_before_the_next_turn_are_one_reload(house: House) -> None:
    """A burst of signals reads the file once."""
    house.sim.start()
    house.turn()
    for _ in range(100):
        house.reloading.ask()
    house.turn()
    house.turn()

    assert 1 == len(house.applied)


def test_the_file_is_watched_only_with_reload_auto(house: House) -> None:
    """With `reload: auto` a change is taken at the second look; with `reload: signal` never."""
    house.sim.start()
    path = Path(house.desk.settings.path)
    path.write_text("changed")
    assert IDLE == house.reloading.look(house.sim.clock())
    assert [] == house.applied

    house.now = replace(house.desk.settings, reload="auto")
    house.reloading.ask()
    house.turn()
    house.now = replace(house.now, ready="fresh")
    path.write_text("changed again")
    applied = []
    for _ in range(3):
        assert POLL == house.reloading.look(house.sim.clock())
        applied.append(len(house.applied))
    assert [1, 2, 2] == applied


def test_the_file_is_watched_as_soon_as_a_client_s_reload_wants_it(house: House) -> None:
    """`credfresh reload` takes over `reload: auto` as a signal does, not within an hour."""
    house.sim.start()
    house.turn()
    house.now = replace(house.desk.settings, reload="auto")
    assert house.desk.reload is not None
    house.desk.reload()
    house.now = replace(house.now, ready="fresh")
    Path(house.desk.settings.path).write_text("changed")
    for _ in range(3):
        house.sim.run(POLL)
        house.turn()

    assert ["settled", "fresh"] == [each.ready for each in house.applied]


def touched(house: House, text: str = "x") -> None:
    """Change the configuration file, and look until the daemon has taken it."""
    path = Path(house.desk.settings.path)
    path.write_text((path.read_text() if path.exists() else "") + text)
    for _ in range(3):
        house.reloading.look(house.sim.clock())


def watching(house: House) -> None:
    """Start with `reload: auto` in force, and `dev` withdrawn by hand."""
    house.sim.start()
    house.now = replace(house.desk.settings, reload="auto")
    house.reloading.reload()
    house.sim.settle()
    house.sim.supervisor.withdraw(["dev"])
    house.sim.settle()
    house.sim.log.events.clear()
    house.told()


def test_a_touched_file_brings_back_nothing_that_was_withdrawn(house: House) -> None:
    """A file that says what is in force changes nothing and is not told, with `reload: auto`."""
    watching(house)
    known: list[Settings] = []
    house.desk.on_reloaded.append(known.append)
    calls = len(house.sim.provider.calls)

    touched(house)
    house.sim.run(120)

    assert house.sim.supervisor.roster["dev"].withdrawn
    assert [] == known
    assert [] == house.sim.log.of("config_reloaded")
    assert [] == house.told()
    assert calls == len(house.sim.provider.calls)


def test_another_order_of_the_profiles_is_no_change(house: House) -> None:
    """A notice that now names another profile as its first is not told again."""
    watching(house)
    said = house.desk.settings
    house.now = replace(
        said,
        profiles=dict(reversed(list(said.profiles.items()))),
        notices=(Notice("short_session", (("profile", "production"), ("profiles", 2))),),
    )

    touched(house)

    assert house.sim.supervisor.roster["dev"].withdrawn
    assert [] == house.sim.log.of("config_reloaded") + house.sim.log.of("short_session")


def test_a_reload_by_hand_brings_back_what_was_withdrawn(house: House) -> None:
    """The file says what is in force, but a withdrawal by hand is undone by hand."""
    watching(house)

    house.reloading.ask()
    house.turn()

    assert not house.sim.supervisor.roster["dev"].withdrawn
    assert 1 == len(house.sim.log.of("config_reloaded"))


def test_a_refused_file_that_says_again_what_is_in_force_is_accepted(house: House) -> None:
    """That the trouble is over is told; what was withdrawn by hand stays withdrawn."""
    watching(house)
    good, house.now = house.now, WRONG
    touched(house)
    assert house.desk.last_reload is not None
    assert WRONG.problems == house.desk.last_reload.problems
    house.turn()
    house.told()

    house.now = good
    touched(house)

    assert () == house.desk.last_reload.problems
    assert [{"added": 0, "removed": 0, "changed": 0, "needs_restart": None}] == house.sim.log.of(
        "config_reloaded"
    )
    assert "refused" not in "".join(house.told())
    assert house.sim.supervisor.roster["dev"].withdrawn


def test_systemd_is_told_of_each_reload_and_of_a_refused_one(house: House) -> None:
    """RELOADING with its time, then READY, however it went; the status line says what is wrong."""
    house.sim.start()
    house.turn()
    house.told()

    house.now = WRONG
    house.reloading.reload()
    begun, status, ready = house.told()
    assert begun.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert "STATUS=2/2 fresh" in status
    assert status.endswith("; reload refused: c.yaml:3: ready: is wrong")
    assert "READY=1" == ready

    house.now = house.desk.settings
    house.reloading.reload()
    begun, status, ready = house.told()
    assert "refused" not in status


def test_ready_is_told_when_all_are_fresh(house: House) -> None:
    """It is told once, with the event; after that the status line is kept up to date."""
    house.sim.start()
    assert 1.0 < house.turn()
    told = house.told()

    assert "READY=1" == told[0]
    assert told[1].startswith("STATUS=2/2 fresh, next ")
    assert [{"settled": True}] == house.sim.log.of("daemon_ready")
    assert house.desk.ready
    house.sim.run(120)
    house.turn()
    assert not [line for line in house.told() if "READY" in line]


def test_before_ready_each_publish_is_looked_at_once(house: House) -> None:
    """Before READY each publish makes it look, so it is told at once; afterwards none does."""
    house.turn()
    house.sim.start()
    told = Published({}, {}, 0.0)
    [listener] = house.desk.on_published
    listener(told)
    assert 1.0 < house.turn()
    assert "READY=1" in house.told()

    listener(told)
    assert 1.0 < house.turn()
    assert [] == house.told()


def test_twins_are_published_before_ready_is_told(house: House) -> None:
    """All may be fresh in the file from the start while the directory of twins is empty."""
    shared = FileTarget("/run/credfresh/process")
    twin = Twin(shared.path, "dev", shared)
    house.desk.settings = settings(replace(profile("dev"), twin=twin), profile("production"))
    house.sim.start()
    house.turn()
    assert "READY=1" not in house.told()

    [listener] = house.desk.on_published
    listener(Published({}, {}, 0.0))
    house.turn()
    assert "READY=1" in house.told()


@pytest.mark.parametrize("ready", ["settled", "fresh"])
def test_a_refused_role_holds_up_ready_only_with_ready_fresh(
    house: House, ready: Literal["settled", "fresh"]
) -> None:
    """A refused role is settled; with `ready: fresh` that is not enough."""
    house.desk.settings = replace(house.desk.settings, ready=ready)
    denied = failure("AccessDenied", mend=Mend.HUMAN)
    house.sim.provider.fault = lambda name: denied if name == "dev" else None
    house.sim.start()
    house.turn()

    assert ("READY=1" in house.told()) is (ready == "settled")


def test_a_transient_failure_holds_up_ready_for_five_minutes(house: House) -> None:
    """Each look extends systemd's timeout; after five minutes READY is told all the same."""
    house.sim.provider.fault = lambda _: failure()
    house.sim.start()
    assert 1.0 == house.turn()
    assert "EXTEND_TIMEOUT_USEC=10000000" == house.told()[0]

    house.sim.run(LIMIT - 1)
    house.turn()
    assert "READY=1" not in house.told()
    house.sim.run(2)
    house.turn()

    assert "READY=1" in house.told()
    assert [{"settled": False}] == house.sim.log.of("daemon_ready")


def test_a_reload_before_ready_does_not_tell_ready(house: House) -> None:
    """READY after a reload would end the start-up before it is ready."""
    house.sim.provider.fault = lambda _: failure()
    house.sim.start()
    house.turn()
    house.told()
    house.reloading.reload()

    assert "READY=1" not in house.told()


def test_the_publisher_delays_by_the_shortest_session() -> None:
    """The delay is a two-hundredth of it, at most ten seconds."""
    assert 4.5 == most_delay(settings(profile("a", duration=900), profile("b", duration=7200)))
    assert 10.0 == most_delay(settings(profile("a", duration=7200)))
