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


class Harness:
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
        self.publisher = Publisher(
            MemoryDestination(), clock=self.sim.clock, roll=lambda: 0.0, report=lambda _: None
        )
        self.reloading = Reloading(
            self.desk,
            Reloader(config, self, self.sim.log),
            workers=self.workers,
            publisher=self.publisher,
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


@pytest.fixture(name="harness")
def _harness(tmp_path: Path) -> Iterator[Harness]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(0)
        config = settings(profile("dev"), profile("production"))
        yield Harness(replace(config, path=str(tmp_path / "c.yaml")), manager, address)


def test_a_reload_reaches_all_parts(harness: Harness) -> None:
    """Profiles, workers, log and attendants follow; the result says what changed."""
    harness.sim.start()
    known: list[Settings] = []
    harness.desk.on_reloaded.append(known.append)
    harness.now = replace(
        settings(
            profile("production", duration=900),
            profile("extra"),
            sts=StsLimits(max_concurrency=3),
        ),
        notices=(Notice("short_session", (("profile", "extra"), ("profiles", 1))),),
    )

    done = harness.reloading.reload()
    harness.sim.settle()

    assert ({"extra"}, {"dev"}) == (set(done.changes.added), set(done.changes.removed))
    assert harness.now is harness.desk.settings
    assert [harness.now] == known == harness.applied
    assert 3 == harness.workers.free
    assert 4.5 == harness.publisher._coalescer.limit
    assert ["production", "extra"] == [e.profile.name for e in harness.sim.supervisor.roster]
    assert [{"added": 1, "removed": 1, "changed": 1, "needs_restart": None}] == harness.sim.log.of(
        "config_reloaded"
    )
    assert "short_session" in harness.sim.log.names()
    assert done is harness.desk.last_reload


def test_config_reloaded_is_logged_once_all_parts_have_followed(harness: Harness) -> None:
    """Once config_reloaded is in the log, nothing that has left the file is served any more."""
    harness.sim.start()
    told: list[int] = []
    harness.desk.on_reloaded.append(
        lambda _: told.append(len(harness.sim.log.of("config_reloaded")))
    )
    harness.now = settings(profile("production"))

    harness.reloading.reload()

    assert [0] == told
    assert 1 == len(harness.sim.log.of("config_reloaded"))


def test_a_refused_reload_changes_nothing(harness: Harness) -> None:
    """Settings, profiles, due times and workers are what they were, and renewals go on."""
    harness.sim.start()
    before = {e.profile.name: (e.grant, e.due) for e in harness.sim.supervisor.roster}
    known: list[Settings] = []
    harness.desk.on_reloaded.append(known.append)
    old, harness.now = harness.desk.settings, WRONG

    done = harness.reloading.reload()

    assert WRONG.problems == done.problems
    assert old is harness.desk.settings
    assert [] == known == harness.applied
    assert before == {e.profile.name: (e.grant, e.due) for e in harness.sim.supervisor.roster}
    harness.sim.run(24 * 3600, step=10)
    assert 0 == harness.sim.log.names().count("profile_expired")
    assert harness.sim.log.names().count("credentials_renewed") > 2 * 24


def test_a_provider_that_was_replaced_is_gone_when_the_reload_is_over(harness: Harness) -> None:
    """Each holds an SDK's session of megabytes, and the collector of cycles runs seldom."""
    harness.sim.start()
    gc.disable()
    try:
        for timeout in (5.0, 6.0, 7.0):
            harness.now = replace(harness.desk.settings, sts=StsLimits(read_timeout=timeout))
            harness.reloading.reload()
            harness.sim.settle()
            harness.sim.supervisor.renew("dev")
            harness.sim.run(30)
    finally:
        gc.enable()

    assert [True, True, False] == [made() is None for made in harness.made]


def test_signals_before_the_next_turn_are_one_reload(harness: Harness) -> None:
    """A burst of signals reads the file once."""
    harness.sim.start()
    harness.turn()
    for _ in range(100):
        harness.reloading.ask()
    harness.turn()
    harness.turn()

    assert 1 == len(harness.applied)


def test_the_file_is_watched_only_with_reload_auto(harness: Harness) -> None:
    """With `reload: auto` a change is taken at the second look; with `reload: signal` never."""
    harness.sim.start()
    path = Path(harness.desk.settings.path)
    path.write_text("changed")
    assert IDLE == harness.reloading.look(harness.sim.clock())
    assert [] == harness.applied

    harness.now = replace(harness.desk.settings, reload="auto")
    harness.reloading.ask()
    harness.turn()
    harness.now = replace(harness.now, ready="fresh")
    path.write_text("changed again")
    applied = []
    harness.told()
    for _ in range(3):
        assert POLL == harness.reloading.look(harness.sim.clock())
        applied.append(len(harness.applied))
    assert [1, 2, 2] == applied
    assert ["RELOADING=1"] == [line.split("\n")[0] for line in harness.told() if "RELO" in line]


def test_the_file_is_watched_as_soon_as_a_client_s_reload_wants_it(harness: Harness) -> None:
    """`credfresh reload` takes over `reload: auto` as a signal does, not within an hour."""
    harness.sim.start()
    harness.turn()
    harness.now = replace(harness.desk.settings, reload="auto")
    assert harness.desk.reload is not None
    harness.desk.reload()
    harness.now = replace(harness.now, ready="fresh")
    Path(harness.desk.settings.path).write_text("changed")
    for _ in range(3):
        harness.sim.run(POLL)
        harness.turn()

    assert ["settled", "fresh"] == [each.ready for each in harness.applied]


def touched(harness: Harness, text: str = "x") -> None:
    """Change the configuration file, and look until the daemon has taken it."""
    path = Path(harness.desk.settings.path)
    path.write_text((path.read_text() if path.exists() else "") + text)
    for _ in range(3):
        harness.reloading.look(harness.sim.clock())


def watching(harness: Harness) -> None:
    """Start with `reload: auto` in force, and `dev` withdrawn by hand."""
    harness.sim.start()
    harness.now = replace(harness.desk.settings, reload="auto")
    harness.reloading.reload()
    harness.sim.settle()
    harness.sim.supervisor.withdraw(["dev"])
    harness.sim.settle()
    harness.sim.log.events.clear()
    harness.told()


def test_a_touched_file_brings_back_nothing_that_was_withdrawn(harness: Harness) -> None:
    """A file that says what is in force changes nothing and is not told, with `reload: auto`."""
    watching(harness)
    known: list[Settings] = []
    harness.desk.on_reloaded.append(known.append)
    calls = len(harness.sim.provider.calls)

    touched(harness)
    harness.sim.run(120)

    assert harness.sim.supervisor.roster["dev"].withdrawn
    assert [] == known
    assert [] == harness.sim.log.of("config_reloaded")
    assert [] == harness.told()
    assert calls == len(harness.sim.provider.calls)


def test_another_order_of_the_profiles_is_no_change(harness: Harness) -> None:
    """A notice that now names another profile as its first is not told again."""
    watching(harness)
    said = harness.desk.settings
    harness.now = replace(
        said,
        profiles=dict(reversed(list(said.profiles.items()))),
        notices=(Notice("short_session", (("profile", "production"), ("profiles", 2))),),
    )

    touched(harness)

    assert harness.sim.supervisor.roster["dev"].withdrawn
    assert [] == harness.sim.log.of("config_reloaded") + harness.sim.log.of("short_session")


def test_a_reload_by_hand_brings_back_what_was_withdrawn(harness: Harness) -> None:
    """The file says what is in force, but a withdrawal by hand is undone by hand."""
    watching(harness)

    harness.reloading.ask()
    harness.turn()

    assert not harness.sim.supervisor.roster["dev"].withdrawn
    assert 1 == len(harness.sim.log.of("config_reloaded"))


def test_a_refused_file_that_says_again_what_is_in_force_is_accepted(harness: Harness) -> None:
    """That the trouble is over is told; what was withdrawn by hand stays withdrawn."""
    watching(harness)
    good, harness.now = harness.now, WRONG
    touched(harness)
    assert harness.desk.last_reload is not None
    assert WRONG.problems == harness.desk.last_reload.problems
    harness.turn()
    harness.told()

    harness.now = good
    touched(harness)

    assert () == harness.desk.last_reload.problems
    assert [{"added": 0, "removed": 0, "changed": 0, "needs_restart": None}] == harness.sim.log.of(
        "config_reloaded"
    )
    assert "refused" not in "".join(harness.told())
    assert harness.sim.supervisor.roster["dev"].withdrawn


def test_systemd_is_told_of_each_reload_and_of_a_refused_one(harness: Harness) -> None:
    """RELOADING with its time, then READY, however it went; the status line says what is wrong."""
    harness.sim.start()
    harness.turn()
    harness.told()

    harness.now = WRONG
    harness.reloading.reload()
    begun, status, ready = harness.told()
    assert begun.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert "STATUS=2/2 fresh" in status
    assert status.endswith("; reload refused: c.yaml:3: ready: is wrong")
    assert "READY=1" == ready

    harness.now = harness.desk.settings
    harness.reloading.reload()
    begun, status, ready = harness.told()
    assert "refused" not in status


def test_ready_is_told_when_all_are_fresh(harness: Harness) -> None:
    """It is told once, with the event; after that the status line is kept up to date."""
    harness.sim.start()
    assert 1.0 < harness.turn()
    told = harness.told()

    assert "READY=1" == told[0]
    assert told[1].startswith("STATUS=2/2 fresh, next ")
    assert [{"settled": True}] == harness.sim.log.of("daemon_ready")
    assert harness.desk.ready
    harness.sim.run(120)
    harness.turn()
    assert not [line for line in harness.told() if "READY" in line]


def test_before_ready_each_publish_is_looked_at_once(harness: Harness) -> None:
    """Before READY each publish makes it look, so it is told at once; afterwards none does."""
    harness.turn()
    harness.sim.start()
    told = Published({}, {}, 0.0)
    [listener] = harness.desk.on_published
    listener(told)
    assert 1.0 < harness.turn()
    assert "READY=1" in harness.told()

    listener(told)
    assert 1.0 < harness.turn()
    assert [] == harness.told()


def test_twins_are_published_before_ready_is_told(harness: Harness) -> None:
    """All may be fresh in the file from the start while the directory of twins is empty."""
    shared = FileTarget("/run/credfresh/process")
    twin = Twin(shared.path, "dev", shared)
    harness.desk.settings = settings(replace(profile("dev"), twin=twin), profile("production"))
    harness.sim.start()
    harness.turn()
    assert "READY=1" not in harness.told()

    [listener] = harness.desk.on_published
    listener(Published({}, {}, 0.0))
    harness.turn()
    assert "READY=1" in harness.told()


@pytest.mark.parametrize("ready", ["settled", "fresh"])
def test_a_refused_role_holds_up_ready_only_with_ready_fresh(
    harness: Harness, ready: Literal["settled", "fresh"]
) -> None:
    """A refused role is settled; with `ready: fresh` that is not enough."""
    harness.desk.settings = replace(harness.desk.settings, ready=ready)
    denied = failure("AccessDenied", mend=Mend.HUMAN)
    harness.sim.provider.fault = lambda name: denied if name == "dev" else None
    harness.sim.start()
    harness.turn()

    assert ("READY=1" in harness.told()) is (ready == "settled")


def test_a_transient_failure_holds_up_ready_for_five_minutes(harness: Harness) -> None:
    """Each look extends systemd's timeout; after five minutes READY is told all the same."""
    harness.sim.provider.fault = lambda _: failure()
    harness.sim.start()
    assert 1.0 == harness.turn()
    assert "EXTEND_TIMEOUT_USEC=10000000" == harness.told()[0]

    harness.sim.run(LIMIT - 1)
    harness.turn()
    assert "READY=1" not in harness.told()
    harness.sim.run(2)
    harness.turn()

    assert "READY=1" in harness.told()
    assert [{"settled": False}] == harness.sim.log.of("daemon_ready")


def test_a_reload_before_ready_does_not_tell_ready(harness: Harness) -> None:
    """READY after a reload would end the start-up before it is ready."""
    harness.sim.provider.fault = lambda _: failure()
    harness.sim.start()
    harness.turn()
    harness.told()
    harness.reloading.reload()

    assert "READY=1" not in harness.told()


def test_the_publisher_delays_by_the_shortest_session() -> None:
    """The delay is a two-hundredth of it, at most twenty seconds."""
    assert 4.5 == most_delay(settings(profile("a", duration=900), profile("b", duration=7200)))
    assert 20.0 == most_delay(settings(profile("a", duration=7200)))
