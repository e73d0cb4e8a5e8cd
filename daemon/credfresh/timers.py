"""APScheduler as an alarm clock: one job, that runs when the nearest of all keys is due.

Only the nearest key concerns the scheduler, the others wait in a heap: a job costs a hundred times
as much as a place there (ten thousand of them were a third of a second of every start). The job is
the same for ever; its trigger says when the nearest key is due: to make one for each alarm was a
twentieth of all that a renewal costs.

Its traps, each reproduced before it was shut: a job later than the default grace of one second
is deleted (grace None); a job whose trigger knows no next time is deleted, also when it was armed
anew in its own run (ours always knows one; actions put into a queue and cannot raise); local time
zones stall through a DST gap (UTC); it sleeps on the monotonic clock, so steps of the wall clock
and suspends go unnoticed (`wakeup`, at every beat of the owner).
"""

from __future__ import annotations

import contextlib
import heapq
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

from apscheduler.events import EVENT_JOB_REMOVED, JobEvent
from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

JOB = "alarm"

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When the job runs while nothing is armed."""


class _Trigger(BaseTrigger):  # type: ignore[misc] # apscheduler gives no types
    """Asks when to run next. The scheduler asks before each run, too, for runs that were missed."""

    def __init__(self, ask: Callable[[datetime], datetime | None]) -> None:
        self._ask = ask

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime | None:
        """Return when to run next, None for no run between the last and `now`."""
        return self._ask(now)


class _Store(MemoryJobStore):  # type: ignore[misc] # apscheduler gives no types
    """Jobs in memory; who looks for due ones, the scheduler's thread, gives a sign of life."""

    def __init__(self) -> None:
        super().__init__()
        self.probes: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def get_due_jobs(self, now: datetime) -> Any:
        """Answer whoever asked, and return the jobs that are due."""
        with contextlib.suppress(Empty):
            while True:
                self.probes.get_nowait()()
        return super().get_due_jobs(now)


class ApschedulerTimers:
    """Calls `ring(key)` in its own thread when a key's time comes; once for each `arm`."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        # Never held while calling the scheduler, which calls us with its own lock held.
        self._lock = threading.Lock()
        self._armed: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []  # a heap; what `_armed` contradicts is stale
        self._aim = math.inf  # when the job is to run
        self._stands = False  # whether the scheduler has the job
        self._running: float | None = None  # the wall second of the run that is under way
        self._store = _Store()
        self._scheduler = BackgroundScheduler(
            jobstores={"default": self._store},
            # The action only puts words into a queue: it runs in the scheduler's own thread.
            executors={"default": DebugExecutor()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        self._scheduler.add_listener(self._removed, EVENT_JOB_REMOVED)

    def start(self) -> None:
        """Start the scheduler's thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop it; nothing rings afterwards."""
        with self._lock:
            self._armed.clear()
        # A job that ran while the state became "stopped" would be looked for in vain afterwards,
        # and the scheduler's thread end with a traceback: let the round that is under way end.
        self._scheduler.pause()
        self._scheduler.get_jobs()
        self._scheduler.shutdown(wait=False)

    def arm(self, key: str, at: float) -> None:
        """Ring `key` at wall-clock second `at`, or at once when that is past.

        What was armed under `key` before is forgotten.
        """
        with self._lock:
            self._armed[key] = at
            heapq.heappush(self._queue, (at, key))
            if len(self._queue) > 2 * len(self._armed) + 64:
                self._queue = [(at, key) for key, at in self._armed.items()]
                heapq.heapify(self._queue)
            if self._running is not None or (self._stands and self._aim <= at):
                return
            self._aim = self._nearest()
        self._set()

    def disarm(self, key: str) -> None:
        """Forget `key`; no error when it is not armed."""
        with self._lock:
            self._armed.pop(key, None)

    def armed(self, key: str) -> bool:
        """Say whether `key` will ring."""
        return key in self._armed and self._stands

    def whole(self) -> bool:
        """Say whether all that is armed will ring; the scheduler drops all or nothing."""
        return self._stands or not self._armed

    def probe(self, answer: Callable[[], None]) -> bool:
        """Have the scheduler's thread call `answer` now; it must not raise. Always True.

        Never waits, however that thread hangs: a job would have to be added under its lock.
        """
        self._store.probes.put(answer)
        self._scheduler.wakeup()
        return True

    def wakeup(self) -> None:
        """Make the scheduler read the clock again."""
        self._scheduler.wakeup()

    def _set(self) -> None:
        """Have the job run when it is to, whatever others change meanwhile."""
        while True:
            with self._lock:
                aim, stands = self._aim, self._stands
                if self._running is not None:
                    return  # it asks afterwards
                self._stands = True
            if stands:
                with contextlib.suppress(JobLookupError):  # dropped at this very moment
                    self._scheduler.modify_job(JOB, next_run_time=_when(aim))
            else:
                self._scheduler.add_job(
                    self._fire,
                    _Trigger(self._next),
                    id=JOB,
                    next_run_time=_when(aim),
                    replace_existing=True,
                )
            with self._lock:
                if self._aim == aim and self._stands:
                    return

    def _nearest(self) -> float:
        while self._queue:
            at, key = self._queue[0]
            if self._armed.get(key) == at:
                return at
            heapq.heappop(self._queue)
        return math.inf

    def _next(self, now: datetime) -> datetime | None:
        """Answer the trigger: asked before a run, and again after it."""
        with self._lock:
            if self._running is None:
                self._running = now.timestamp()
                return None
            self._running = None
            self._aim = self._nearest()
            return _when(self._aim)

    def _fire(self) -> None:
        """Ring all that is due."""
        due = []
        with self._lock:
            while self._running is not None and self._nearest() <= self._running:
                key = heapq.heappop(self._queue)[1]
                del self._armed[key]
                due.append(key)
        for key in due:
            self._ring(key)

    def _removed(self, event: JobEvent) -> None:
        """Note that the scheduler dropped the job by itself, so that the owner arms again."""
        with self._lock:
            if event.job_id == JOB:
                self._stands, self._running = False, None


def _when(wall: float) -> datetime:
    """Return a time for the scheduler.

    Rounded up to the millisecond: the job must not run before its deadline has passed.
    """
    if wall == math.inf:
        return NEVER
    return datetime.fromtimestamp(int(wall * 1000 + 1) / 1000, UTC)
