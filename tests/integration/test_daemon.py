"""The daemon on real threads: startup, loop, shutdown."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from credfresh.cli.clock import clock
from credfresh.errors import AlreadyRunningError, CredfreshError, Mend, Scope
from credfresh.life.daemon import DRAIN, ECHO, FLUSH, Daemon
from credfresh.life.desk import Attendant, Desk, Errand
from credfresh.life.ports import Outlet
from credfresh.life.rate_limited import MOST
from credfresh.life.reloader import Reloader, SettingsSource
from credfresh.life.reloading import Reloading
from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.notify import Notifier
from credfresh.publication import Outcomes, Publication, Wanted
from credfresh.renewer import Provider
from credfresh.settings import Profile, Settings
from fakes import EventLog, MemoryDestination, failure, grant, profile, settings
from host import wait_until


class MemoryFiles(MemoryDestination):
    """A destination in memory whose claim can be refused, and which can hang."""

    def __init__(self) -> None:
        super().__init__()
        self.claimed = False
        self.taken = False
        self.busy = False
        self.gate = threading.Event()
        self.gate.set()
        self.stands: dict[str, Grant] = {}

    def publish(self, wanted: Wanted) -> Outcomes:
        self.busy = True
        self.gate.wait(30)
        self.busy = False
        return super().publish(wanted)

    def claim(self) -> None:
        if self.taken:
            raise AlreadyRunningError("/run/credfresh/credentials", holder="pid 1")
        self.claimed = True

    def release(self) -> None:
        self.claimed = False

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        return {name: g for name, g in self.stands.items() if name in profiles}


class QuickSts:
    """Grants short sessions, unless told to refuse or to hang."""

    def __init__(self, lifetime: float = 3600.0) -> None:
        self.lifetime = lifetime
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()
        self.refuse = False

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        del parent
        self.calls += 1
        self.gate.wait(30)
        if self.refuse:
            raise failure("AccessDenied", mend=Mend.HUMAN)
        return grant(profile, clock(), lifetime=self.lifetime, key=f"ASIA{self.calls:016d}")


class Flood:
    """An attendant that posts errands without end; `spent` after ten seconds."""

    def __init__(self) -> None:
        self.turns = 0
        self.spent = False
        self._open = True

    def open(self, desk: Desk) -> None:
        end = clock().boot + 10

        def errand() -> None:
            self.spent = clock().boot > end
            if self._open and not self.spent:
                desk.post(Errand(errand))

        def chore(_now: Instant) -> float:
            self.turns += 1
            return 0.0

        errand()
        desk.agenda.add(chore)

    def close(self) -> None:
        self._open = False


class SameSettings:
    """A configuration that always says the same."""

    def __init__(self, config: Settings) -> None:
        self.config = config

    def load(self) -> Settings:
        return self.config

    def provider(self, settings: Settings) -> Provider:
        raise AssertionError(settings)  # sources and limits stay as they are

    def apply(self, settings: Settings) -> None:
        assert settings is self.config


class Clumsy:
    """An attendant and outlet that fails in every call except `open`."""

    def __init__(self) -> None:
        self.failed: Counter[str] = Counter()

    def open(self, desk: Desk) -> None:
        desk.agenda.add(self.chore)
        desk.on_changed.append(lambda: self._fail("changed"))
        desk.on_published.append(lambda _: self._fail("published"))
        desk.post(Errand(lambda: self._fail("errand")))

    def chore(self, _now: Instant) -> float:
        self._fail("chore")
        return 0.0

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        del changes, urgent
        self._fail("update")

    def close(self) -> None:
        self._fail("close")

    def _fail(self, what: str) -> None:
        self.failed[what] += 1
        raise ZeroDivisionError("with what may be a secret")


class Harness:
    """A daemon with its doubles, run in a thread of the test.

    `stopping` is called in its main thread when the daemon starts to stop.
    """

    def __init__(
        self,
        config: Settings,
        sts: QuickSts | None = None,
        *,
        source: SettingsSource | None = None,
        attendants: Sequence[Attendant] = (),
        outlets: Sequence[Outlet] = (),
    ) -> None:
        self.files = MemoryFiles()
        self.sts = sts or QuickSts()
        self.log = EventLog()
        self.stopping: Callable[[], object] = lambda: None
        self.daemon = Daemon(
            config,
            files=self.files,
            provider=self.sts,
            clock=clock,
            roll=lambda: 0.0,
            emit=self._tell,
            notifier=Notifier(None),
            source=source,
            attendants=attendants,
            outlets=outlets,
        )

    def _tell(self, event: str, /, **fields: object) -> None:
        self.log(event, **fields)
        if event == "daemon_stopping":
            self.stopping()


def stop_when(harness: Harness, condition: Callable[[], bool]) -> threading.Thread:
    """Stop the daemon once the condition holds (or after ten seconds)."""

    def watch() -> None:
        pause = threading.Event()
        for _ in range(1000):
            if condition():
                break
            pause.wait(0.01)
        harness.daemon.stop()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def last_write(harness: Harness) -> Mapping[str, Publication]:
    """Return what was published last."""
    return harness.files.writes[-1]


def test_the_daemon_publishes_every_profile_and_stops_when_told() -> None:
    """All profiles are published, the daemon reports that it is ready, and it stops cleanly."""
    harness = Harness(settings(profile("dev"), profile("production")))
    watcher = stop_when(harness, lambda: "daemon_ready" in harness.log.names())

    assert harness.daemon.run()

    watcher.join()
    assert {"dev", "production"} == {n for n, p in last_write(harness).items() if p.grant}
    assert not harness.files.claimed
    assert ["daemon_stopping", "daemon_stopped"] == harness.log.names()[-2:]


def test_a_daemon_that_has_ended_leaves_no_thread_behind() -> None:
    """Scheduler, workers and publisher end with it: whoever embeds it can start another."""
    before = set(threading.enumerate())
    harness = Harness(settings(profile()))
    watcher = stop_when(harness, lambda: "daemon_ready" in harness.log.names())

    harness.daemon.run()

    watcher.join()
    wait_until(lambda: set(threading.enumerate()) <= before, "the end of all threads")


def test_the_end_tells_how_many_lines_were_withheld() -> None:
    """Of many failures of one kind the log tells some at once, and counts the others."""
    harness = Harness(settings(*(profile(f"p{number}") for number in range(MOST + 20))))
    harness.sts.refuse = True

    harness.daemon.once()

    assert [("renewal_failed", 20)] == [
        (told["name"], told["lines"]) for told in harness.log.of("lines_withheld")
    ]


def test_the_daemon_renews_ahead_of_expiration() -> None:
    """Sessions of three seconds are renewed several times and never expire."""
    harness = Harness(settings(profile()), QuickSts(lifetime=3.0))
    watcher = stop_when(harness, lambda: harness.sts.calls >= 4)

    harness.daemon.run()

    watcher.join()
    assert 0 == harness.log.names().count("profile_expired")
    assert harness.log.names().count("credentials_renewed") >= 3


def test_messages_without_end_hold_up_neither_beat_nor_attempt_nor_the_end() -> None:
    """A flood of errands takes much of the main thread's time, but chores still get their turns."""
    flood = Flood()
    harness = Harness(settings(profile()), attendants=[flood])
    watcher = stop_when(harness, lambda: flood.turns > 3 and "daemon_ready" in harness.log.names())

    assert harness.daemon.run()

    watcher.join()
    assert flood.turns > 3
    assert not flood.spent
    assert ["daemon_ready", "daemon_stopping", "daemon_stopped"] == harness.log.names()[-3:]


def test_no_mistake_of_an_attendant_ends_the_daemon_or_keeps_a_renewal_from_anybody() -> None:
    """Each failure is logged without its text, sessions are renewed, and the end is clean."""
    clumsy = Clumsy()
    flood = Flood()
    harness = Harness(
        settings(profile()), QuickSts(lifetime=3.0), attendants=[flood, clumsy], outlets=[clumsy]
    )
    watcher = stop_when(harness, lambda: harness.sts.calls >= 3)

    assert harness.daemon.run()

    watcher.join()
    assert {"chore", "changed", "published", "errand", "update", "close"} == clumsy.failed.keys()
    told = harness.log.of("unexpected_error")
    assert {"attendant"} == {each["where"] for each in told}
    assert "secret" not in str(told)
    assert 0 == harness.log.names().count("profile_expired")
    assert flood.turns > 3


def test_after_a_signal_the_file_is_looked_at_no_more_often_than_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is read when two looks a second apart find it the same: it may be half written."""
    pause, turns = 0.05, list[float]()
    asked, reloaded = threading.Event(), list[int]()
    monkeypatch.setattr("credfresh.life.reloading.POLL", pause)
    monkeypatch.setattr(Reloader, "changed", lambda _: False)
    look = Reloading.look

    def noted(self: Reloading, now: Instant) -> float:
        turns.append(now.boot)  # by the loop's own clock: however slow the machine, it is exact
        return look(self, now)

    monkeypatch.setattr(Reloading, "look", noted)
    config = replace(settings(profile()), reload="auto")
    harness = Harness(config, source=SameSettings(config))

    def seen_enough() -> bool:
        if "config_reloaded" in harness.log.names():
            reloaded.append(len(turns))
            return len(turns) >= reloaded[0] + 12
        if "daemon_ready" in harness.log.names() and not asked.is_set():
            asked.set()
            os.kill(os.getpid(), signal.SIGHUP)
        return False

    watcher = stop_when(harness, seen_enough)
    assert harness.daemon.run()

    watcher.join()
    later = turns[reloaded[0] :]
    assert len(later) >= 12
    assert all(second >= first + pause for first, second in pairwise(later))


class Onlooker:
    """An attendant that withdraws `dev`, and an outlet that keeps what it is told at first."""

    def __init__(self) -> None:
        self.first: Mapping[str, Publication | None] | None = None
        self.withdrawn = False

    def open(self, desk: Desk) -> None:
        self.desk = desk

    def withdraw(self) -> None:
        self.desk.supervisor.withdraw(["dev"])
        self.withdrawn = True

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        del urgent
        self.first = self.first or changes

    def close(self) -> None:
        pass


def test_a_signal_to_renew_all_brings_back_nothing_that_was_withdrawn() -> None:
    """SIGUSR1 is sent by scripts; keys that somebody took away come back only by name."""
    looks = Onlooker()
    harness = Harness(settings(profile("dev"), profile("production")), attendants=[looks])

    def renewed() -> bool:
        if "daemon_ready" in harness.log.names() and harness.sts.calls == 2:
            if not looks.withdrawn:
                looks.desk.post(Errand(looks.withdraw))
            else:
                os.kill(os.getpid(), signal.SIGUSR1)
        return harness.sts.calls > 2

    watcher = stop_when(harness, renewed)
    assert harness.daemon.run()

    watcher.join()
    assert ["production"] == [n for n, p in last_write(harness).items() if p.grant]


def test_outlets_are_told_at_first_what_stands() -> None:
    """Nothing is renewed soon, and what they serve is there from the start."""
    looks = Onlooker()
    harness = Harness(settings(profile()), outlets=[looks])
    harness.files.stands = {"production": grant(profile(), clock())}
    watcher = stop_when(harness, lambda: "daemon_ready" in harness.log.names())
    assert harness.daemon.run()

    watcher.join()
    assert looks.first is not None
    told = looks.first["production"]
    assert told is not None
    assert harness.files.stands["production"] is told.grant


class LateSts(QuickSts):
    """Refuses the first attempt; the second ends when the third has begun, which takes longer."""

    def __init__(self) -> None:
        super().__init__()
        self.third = threading.Event()

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        del parent, waits
        self.calls += 1
        match self.calls:
            case 1:
                raise failure("Throttling", mend=Mend.TIME)
            case 2:
                self.third.wait(30)
            case _:
                self.third.set()
                threading.Event().wait(0.3)
        return grant(profile, clock(), key=f"ASIA{self.calls:016d}")


class Early:
    """An attendant that withdraws a profile in its first turn."""

    def open(self, desk: Desk) -> None:
        def chore(_now: Instant) -> float:
            desk.supervisor.withdraw(["dev"])
            return math.inf

        desk.agenda.add(chore)

    def close(self) -> None:
        pass


def test_what_is_asked_for_in_the_first_turn_is_published() -> None:
    """The configuration may have changed since it was read: a reload is then the first thing."""
    stands = {name: grant(profile(name), clock()) for name in ("dev", "production")}
    harness = Harness(settings(*map(profile, stands)), attendants=[Early()])
    harness.files.stands = stands
    watcher = stop_when(harness, lambda: bool(harness.files.writes))

    harness.daemon.run()

    watcher.join()
    assert {"dev"} == {name for name, asked in last_write(harness).items() if asked.withdraw}


def test_once_tries_every_profile_and_returns() -> None:
    """`once` needs no signal: it ends when every profile has been tried and published."""
    harness = Harness(settings(profile("dev"), profile("production", source_profile="dev")))

    statuses = harness.daemon.once()

    assert ["fresh", "fresh"] == [s.state for s in statuses]
    assert 2 == harness.sts.calls


def test_once_ends_although_nothing_succeeds() -> None:
    """One attempt is enough; the child of a parent that failed needs none of its own."""
    harness = Harness(settings(profile("dev"), profile("production", source_profile="dev")))
    harness.sts.refuse = True

    statuses = harness.daemon.once()

    assert ["missing", "missing"] == [s.state for s in statuses]
    assert 1 == harness.sts.calls


def test_once_does_not_wait_for_the_retries_of_those_that_failed() -> None:
    """Where STS is down and profiles are many, a retry of one of them is always under way."""
    harness = Harness(settings(*(profile(f"p{number}") for number in range(80))))
    harness.sts.refuse = True

    statuses = harness.daemon.once()

    assert {"missing"} == {status.state for status in statuses}
    assert {1, 2} >= {status.consecutive_failures for status in statuses} >= {1}


def test_once_waits_for_a_retry_that_is_under_way_when_all_have_been_tried() -> None:
    """What it brings is published, and its command run, before anything ends."""
    harness = Harness(settings(profile("dev"), profile("production")), LateSts())

    statuses = harness.daemon.once()

    assert ["fresh", "fresh"] == [status.state for status in statuses]
    assert [{"in_flight": 0}] == harness.log.of("daemon_stopping")


class Doorkeeper:
    """An attendant that notes its end, and that may not begin."""

    def __init__(self, name: str, closed: list[str], *, begins: bool = True) -> None:
        self.name = name
        self.closed = closed
        self.begins = begins

    def open(self, desk: Desk) -> None:
        del desk
        if not self.begins:
            raise CredfreshError("the port is taken")

    def close(self) -> None:
        self.closed.append(self.name)


def test_a_daemon_whose_attendant_cannot_begin_leaves_nothing_behind() -> None:
    """The others end, the last one first, and another daemon may have the file."""
    closed: list[str] = []
    doors = [Doorkeeper("first", closed), Doorkeeper("second", closed, begins=False)]
    harness = Harness(settings(profile()), attendants=doors)

    with pytest.raises(CredfreshError):
        harness.daemon.run()

    assert ["second", "first"] == closed
    assert not harness.files.claimed
    assert 0 == harness.sts.calls


def test_a_second_daemon_on_the_file_is_refused_before_any_call() -> None:
    """A second daemon is refused before it calls STS."""
    harness = Harness(settings(profile()))
    harness.files.taken = True

    with pytest.raises(AlreadyRunningError):
        harness.daemon.run()

    assert 0 == harness.sts.calls


def test_attempts_in_flight_at_the_end_are_still_published() -> None:
    """A stop waits, up to a bound, for answers on their way, and publishes them."""
    harness = Harness(settings(profile()))
    harness.sts.gate.clear()
    harness.stopping = harness.sts.gate.set
    watcher = stop_when(harness, lambda: harness.sts.calls == 1)

    assert harness.daemon.run()

    watcher.join()
    assert last_write(harness)["production"].grant is not None


def test_a_signal_that_comes_twice_at_once_forces_nothing() -> None:
    """timeout(1) signals its command twice at once: the attempt in flight still ends well."""
    harness = Harness(settings(profile()))
    harness.sts.gate.clear()

    def echo() -> None:
        harness.daemon.stop()
        harness.sts.gate.set()  # the answer arrives after the second signal

    harness.stopping = echo
    watcher = stop_when(harness, lambda: harness.sts.calls == 1)

    assert harness.daemon.run()

    watcher.join()
    assert [{"clean": True}] == harness.log.of("daemon_stopped")


def test_a_second_signal_forces_the_end() -> None:
    """A hanging attempt delays the end only until the second signal."""
    harness = Harness(settings(profile()))
    harness.sts.gate.clear()
    insist = threading.Timer(1.5 * ECHO, harness.daemon.stop)
    harness.stopping = insist.start
    watcher = stop_when(harness, lambda: harness.sts.calls == 1)
    began = clock().boot

    assert not harness.daemon.run()

    assert clock().boot - began < DRAIN / 2
    harness.sts.gate.set()
    watcher.join()
    insist.join()
    assert [{"clean": False}] == harness.log.of("daemon_stopped")


def test_a_second_signal_forces_the_end_while_the_disk_hangs() -> None:
    """A hanging last publish delays the end only until the second signal."""
    harness = Harness(settings(profile()))
    harness.files.gate.clear()
    insist = threading.Timer(1.5 * ECHO, harness.daemon.stop)
    harness.stopping = insist.start
    watcher = stop_when(harness, lambda: harness.files.busy)
    began = clock().boot

    assert not harness.daemon.run()

    assert clock().boot - began < FLUSH / 2
    watcher.join()
    harness.files.gate.set()


def test_the_claim_is_kept_while_a_write_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the publisher's thread hangs in a write at the end, the claim is kept."""
    monkeypatch.setattr("credfresh.life.daemon.FLUSH", 0.1)
    harness = Harness(settings(profile()))
    harness.files.gate.clear()
    watcher = stop_when(harness, lambda: harness.files.busy)

    assert not harness.daemon.run()

    watcher.join()
    assert harness.files.claimed
    harness.files.gate.set()
