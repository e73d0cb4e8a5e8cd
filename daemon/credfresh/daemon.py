"""The life of the process: startup, main loop, shutdown.

The main thread owns the supervisor. Everybody else (alarms, workers, publisher, signal handlers)
puts a message into the inbox, whose `put` is reentrant and so safe in a signal handler; the loop
handles what has come and beats at least every ten seconds whether or not anything came.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Protocol

from credfresh.events import Emit
from credfresh.model import Clock, Grant, Roll
from credfresh.notify import Notifier
from credfresh.ports import Due, Message
from credfresh.publisher import Publisher
from credfresh.renewer import Destination, Provider
from credfresh.roster import ProfileStatus
from credfresh.settings import Profile, Settings
from credfresh.summary import one_line
from credfresh.supervisor import BEAT, Supervisor
from credfresh.timers import ApschedulerTimers
from credfresh.workers import Workers

DRAIN = 15.0
"""Seconds that attempts in flight are given at shutdown (connect and read timeouts and more)."""

FLUSH = 10.0
"""Seconds that the last publish is given after that."""

READY_LIMIT = 300.0
"""Seconds after which readiness is told whatever the state of the profiles."""

LOOK = 1.0
"""Seconds between two looks at what is slow to judge (readiness, the status line)."""


class Files(Destination, Protocol):
    """The credentials files: a destination that is claimed for life and remembers."""

    def claim(self) -> None:
        """Become the only daemon that keeps these files.

        Raises:
            AlreadyRunningError: another one does.
        """

    def release(self) -> None:
        """Let another one have them."""

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        """Return what the files say is still published, by profile."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal has come in."""

    number: int


class Daemon:
    """One run of the daemon over one configuration.

    `observe` is called about once a second with the status of every profile.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        files: Files,
        provider: Provider,
        clock: Clock,
        roll: Roll,
        emit: Emit,
        notifier: Notifier,
        observe: Callable[[list[ProfileStatus]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._files = files
        self._clock = clock
        self._emit = emit
        self._notifier = notifier
        self._observe = observe
        self._inbox: SimpleQueue[Message | Signal] = SimpleQueue()
        self._timers = ApschedulerTimers(lambda key: self._inbox.put(Due(key)))
        self._workers = Workers(settings.sts.max_concurrency)
        self._publisher = Publisher(files, clock=clock, roll=roll, report=self._inbox.put)
        self._supervisor = Supervisor(
            settings,
            clock=clock,
            roll=roll,
            timers=self._timers,
            workers=self._workers,
            provider=provider,
            outlet=self._publisher,
            post=self._inbox.put,
            emit=emit,
        )
        self._signals = 0
        self._next_beat = self._next_look = clock().boot
        self._ready_by: float | None = None

    def run(self) -> bool:
        """Keep everything fresh until SIGTERM or SIGINT; False when a second one forced the end."""
        with self._signals_recorded():
            self._startup()
            try:
                self._loop(lambda: self._signals > 0)
            finally:
                clean = self._shutdown()
        return clean

    def once(self) -> list[ProfileStatus]:
        """Renew what is due, publish, and return what came of it."""
        with self._signals_recorded():
            self._startup()
            try:
                self._loop(lambda: self._signals > 0 or self._tried())
            finally:
                self._shutdown()
        return self._statuses()

    def stop(self) -> None:
        """Ask for the end, from any thread."""
        self._inbox.put(Signal(signal.SIGTERM))

    def _startup(self) -> None:
        self._files.claim()
        now = self._clock()
        self._ready_by = now.boot + READY_LIMIT
        standing = self._files.standing(self._settings.profiles)
        self._emit("daemon_started", profiles=len(self._settings.profiles), standing=len(standing))
        shortest = min(p.duration for p in self._settings.profiles.values())
        self._publisher.start(
            self._supervisor.start(standing), rest_limit=min(10.0, 0.01 * shortest)
        )
        self._timers.start()

    def _loop(self, done: Callable[[], bool]) -> None:
        while not done():
            now = self._clock().boot
            if now >= self._next_beat:
                self._next_beat = now + self._supervisor.beat()
            if now >= self._next_look:
                self._next_look = now + self._look()
            self._handle_within(self._patience(now))

    def _patience(self, now: float) -> float:
        until = min(self._next_beat, self._next_look) - now
        pump = self._supervisor.pump()
        return max(0.0, until if pump is None else min(until, pump))

    def _handle_within(self, timeout: float) -> None:
        """Handle the first message that comes in time, and all that came with it."""
        with contextlib.suppress(Empty):
            self._handle(self._inbox.get(timeout=timeout))
            while True:
                self._handle(self._inbox.get_nowait())

    def _handle(self, message: Message | Signal) -> None:
        if isinstance(message, Signal):
            self._signals += 1
        else:
            self._supervisor.handle(message)

    def _look(self) -> float:
        """Judge what is slow to judge; return the seconds until the next look."""
        if self._ready_by is not None:
            self._consider_ready(self._ready_by)
        if self._observe is not None:
            self._observe(self._statuses())
        self._notifier.status(one_line(self._supervisor.roster, self._clock()))
        return LOOK if self._observe is not None or self._ready_by is not None else BEAT

    def _consider_ready(self, ready_by: float) -> None:
        now = self._clock()
        settled = self._supervisor.roster.settled(now, fresh=self._settings.ready == "fresh")
        if settled or now.boot >= ready_by:
            self._ready_by = None
            self._notifier.ready()
            self._emit("daemon_ready", settled=settled)
        else:
            self._notifier.extend(10 * LOOK)

    def _tried(self) -> bool:
        return (
            not self._supervisor.busy
            and self._supervisor.roster.tried(self._clock())
            and self._publisher.idle()
        )

    def _statuses(self) -> list[ProfileStatus]:
        return self._supervisor.roster.statuses(self._clock())

    def _shutdown(self) -> bool:
        self._notifier.stopping()
        self._emit("daemon_stopping", in_flight=self._supervisor.in_flight)
        self._supervisor.drain()
        self._timers.stop()
        asked, give_up = self._signals, self._clock().boot + DRAIN
        while self._supervisor.in_flight and self._signals == asked:
            left = give_up - self._clock().boot
            if left <= 0:
                break
            self._handle_within(left)
        flushed = self._publisher.stop(FLUSH if self._signals == asked else 0.0)
        self._handle_within(0.0)
        self._workers.stop()
        self._files.release()
        clean = flushed and self._signals == asked
        self._emit("daemon_stopped", clean=clean)
        return clean

    @contextlib.contextmanager
    def _signals_recorded(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT become messages for as long as the daemon runs."""

        def record(number: int, _frame: FrameType | None) -> None:
            self._inbox.put(Signal(number))

        before = {n: signal.signal(n, record) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
