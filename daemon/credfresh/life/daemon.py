"""The life of the process: startup, main loop, shutdown.

The main thread owns the supervisor. All others (alarms, workers, publisher, attendants, signal
handlers) put messages into the inbox, whose `put` is reentrant and so safe in a signal handler.
The loop handles the messages, and beats at least every ten seconds whether or not any came.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from credfresh import __version__, signals
from credfresh.events import Emit
from credfresh.in_order import Remembering
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Attendant, Desk, Errand
from credfresh.life.fan import Fan
from credfresh.life.guard import Guard
from credfresh.life.ports import Due, Finished, Message, Outlet
from credfresh.life.rate_limited import RateLimited
from credfresh.life.readiness import Readiness
from credfresh.life.reloader import Reloader, SettingsSource
from credfresh.life.reloading import Reloading, most_delay
from credfresh.life.supervisor import Supervisor
from credfresh.life.watchdog import Watchdog
from credfresh.model import Clock, Roll
from credfresh.notify import Notifier
from credfresh.publisher import Published, Publisher
from credfresh.renewer import Provider
from credfresh.settings import Settings
from credfresh.signals import Signal
from credfresh.statuses import ProfileStatus
from credfresh.timers import ApschedulerTimers
from credfresh.workers import Workers

DRAIN = 15.0
"""Seconds that attempts in flight are given at shutdown (connect and read timeouts and more)."""

FLUSH = 10.0
"""Seconds that the last publish is given after that."""

SIGNAL_POLL = 0.1
"""Seconds within which another signal ends that wait."""

ECHO = 0.2
"""Seconds in which another signal is the same wish: timeout(1) signals its child, then all."""

TURN = 0.1
"""Seconds after which what is due has its turn, however many messages still wait."""


class Daemon:
    """One run of the daemon over one configuration.

    `files` is where credentials are published, and what the start believes about them.
    `source` is where a reload reads the configuration; without one there is no reload.
    `watchdog` is WatchdogSec, in seconds; None where no service manager watches.
    `outlets` are told of all that should stand published, beside the files.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        files: Remembering,
        provider: Provider,
        clock: Clock,
        roll: Roll,
        emit: Emit,
        notifier: Notifier,
        watchdog: float | None = None,
        source: SettingsSource | None = None,
        attendants: Sequence[Attendant] = (),
        outlets: Sequence[Outlet] = (),
    ) -> None:
        self._files = files
        self._clock = clock
        self._emit = emit
        self._notifier = notifier
        self._attendants = attendants
        self._inbox: SimpleQueue[Message | Errand | Signal] = SimpleQueue()
        self._timers = ApschedulerTimers(lambda key: self._inbox.put(Due(key)))
        self._workers = Workers(settings.sts.max_concurrency)
        self._publisher = Publisher(files, clock=clock, roll=roll, report=self._inbox.put)
        self._limited = RateLimited(emit, clock)
        guard = Guard(self._limited)
        self._fan = Fan(self._publisher, outlets, guard)
        self._supervisor = Supervisor(
            settings,
            clock=clock,
            roll=roll,
            timers=self._timers,
            workers=self._workers,
            provider=provider,
            outlet=self._fan,
            post=self._inbox.put,
            emit=self._limited,
        )
        self._signals, self._signalled = 0, -ECHO
        self._agenda = Agenda()
        self._desk = Desk(
            settings=settings,
            supervisor=self._supervisor,
            agenda=Agenda(guard),
            clock=clock,
            post=self._inbox.put,
            guard=guard,
        )
        self._readiness = Readiness(self._desk, notifier, emit)
        self._watchdog = self._watched(watchdog) if watchdog is not None else None
        self._recorded = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
        self._reloading: Reloading | None = None
        if source is not None:
            self._recorded.append(signal.SIGHUP)
            self._reloading = Reloading(
                self._desk,
                Reloader(settings, source, emit),
                workers=self._workers,
                publisher=self._publisher,
                readiness=self._readiness,
                emit=emit,
            )

    def run(self) -> bool:
        """Keep everything fresh until SIGTERM or SIGINT; False when a second one forced the end.

        SIGHUP reloads, SIGUSR1 renews all profiles now.
        """
        with signals.recorded(self._recorded, self._inbox.put):
            self._startup()
            try:
                self._loop(lambda: self._signals > 0)
            finally:
                clean = self._shutdown()
        return clean

    def once(self) -> list[ProfileStatus]:
        """Renew what is due, publish, and return what came of it."""
        with signals.recorded(self._recorded, self._inbox.put):
            self._startup()
            try:
                self._loop(lambda: self._signals > 0 or self._tried())
                self._supervisor.drain()  # what takes longer than a session would never be done
                self._loop(lambda: self._signals > 0 or self._done())
            finally:
                self._shutdown()
        return self._supervisor.roster.statuses(self._clock())

    def stop(self) -> None:
        """Ask the daemon to stop; safe from any thread."""
        self._inbox.put(Signal(signal.SIGTERM))

    def _startup(self) -> None:
        settings = self._desk.settings
        self._files.claim()
        try:
            for attendant in self._attendants:
                attendant.open(self._desk)
        except BaseException:
            self._close_attendants()
            self._files.release()
            raise
        standing = self._files.standing(settings.profiles)
        self._emit(
            "daemon_started",
            version=__version__,
            pid=os.getpid(),
            config=settings.path,
            instance=settings.instance,
            profiles=len(settings.profiles),
            standing=len(standing),
        )
        self._publisher.delay(most_delay(settings))
        first = self._supervisor.start(standing)
        self._fan.pass_on(first)
        self._timers.start()
        self._desk.agenda.add(self._readiness.look)
        for chore in (lambda _: self._supervisor.beat(), self._publisher.look, self._limited.look):
            self._agenda.add(chore)
        if self._watchdog is not None:
            self._agenda.add(self._watchdog.look)
        self._desk.agenda.turn(self._clock())
        self._publisher.start(first)  # last: it is busy at once, and would slow down all the rest

    def _loop(self, done: Callable[[], bool]) -> None:
        while not done():
            now = self._clock()
            until = min(self._desk.agenda.turn(now), self._agenda.turn(now))
            pump = self._supervisor.pump()
            self._handle_within(until if pump is None else min(until, pump))

    def _handle_within(self, timeout: float) -> None:
        """Wait up to `timeout` for a message; handle it, and for a turn those behind it."""
        with contextlib.suppress(Empty):
            self._handle(self._inbox.get(timeout=timeout))
            end = self._clock().boot + TURN
            while self._clock().boot < end:
                self._handle(self._inbox.get_nowait())

    def _handle(self, message: Message | Errand | Signal) -> None:
        match message:
            case Signal(number):
                self._act_on(number)
            case Errand(run):
                self._desk.guard(run)
            case Published():
                self._supervisor.handle(message)
                self._desk.published(message)
            case _:
                self._supervisor.handle(message)
        if isinstance(message, Finished | Published):
            self._desk.changed()

    def _act_on(self, number: int) -> None:
        match number:
            case signal.SIGHUP if self._reloading is not None:
                self._reloading.ask()
            case signal.SIGUSR1:
                for entry in [each for each in self._supervisor.roster if not each.withdrawn]:
                    self._supervisor.renew(entry.profile.name)
            case _ if (now := self._clock().boot) >= self._signalled + ECHO:
                self._signals, self._signalled = self._signals + 1, now

    def _watched(self, limit: float) -> Watchdog:
        return Watchdog(
            limit,
            {
                "main": _answer_now,
                "scheduler": self._timers.probe,
                "workers": self._ask_workers,
                "publisher": self._publisher.probe,
            },
            notifier=self._notifier,
            post=self._inbox.put,
            emit=self._emit,
        )

    def _ask_workers(self, answer: Callable[[], None]) -> bool:
        if self._supervisor.overdue():
            return False
        # Where none is free all are within their deadlines, or written off: nobody is wedged.
        return self._workers.probe(answer) or _answer_now(answer)

    def _tried(self) -> bool:
        # Not whether all is quiet: if many profiles fail, a retry of one is always under way.
        return self._supervisor.roster.tried(self._clock()) and self._publisher.idle()

    def _done(self) -> bool:
        return not self._supervisor.in_flight and self._publisher.idle() and self._desk.done()

    def _shutdown(self) -> bool:
        self._notifier.stopping()
        self._emit("daemon_stopping", in_flight=self._supervisor.in_flight)
        self._timers.stop()
        asked, give_up = self._signals, self._clock().boot + DRAIN
        while self._supervisor.in_flight and self._signals == asked:
            left = give_up - self._clock().boot
            if left <= 0:
                break
            self._handle_within(left)
        flushed = self._flush(asked)
        for _ in range(self._inbox.qsize()):  # what has come so far; who asks on is let go
            self._handle(self._inbox.get_nowait())
        self._close_attendants()
        self._workers.stop()
        # Files are for one thread at a time: the publisher's, until it has ended. Where it does
        # not, the end of the process lets go of them.
        if flushed or self._publisher.stop(0.0):
            self._files.release()
        self._limited.close()
        clean = flushed and self._signals == asked
        self._emit("daemon_stopped", clean=clean)
        return clean

    def _flush(self, asked: int) -> bool:
        """Let the publisher write what waits and end; False where it takes too long.

        It has no time any more once more signals have come than were `asked`.
        """
        give_up = self._clock().boot + FLUSH
        while not (flushed := self._publisher.stop(SIGNAL_POLL)) and self._signals == asked:
            if self._clock().boot >= give_up:
                break
            self._handle_within(0.0)
        return flushed

    def _close_attendants(self) -> None:
        for attendant in reversed(self._attendants):
            self._desk.guard(attendant.close)


def _answer_now(answer: Callable[[], None]) -> bool:
    """Answer at once, for a part that is known to be alive."""
    answer()
    return True
