"""Uses APScheduler as an alarm clock, with a job store of our own that rings due keys by itself.

The scheduler provides the thread, its sleep and its waking; keys wait in a heap. A job costs a
hundred times as much as a place there (ten thousand jobs took a third of a second of every start),
and running jobs through an executor took a quarter of a renewal when a few were due together.

APScheduler has traps, each of which was reproduced and is avoided: a job later than the default
grace of one second is deleted, and so is one that is armed anew in its own run (we have no jobs);
local time zones stall through a DST gap (we use UTC); it sleeps on the monotonic clock, so steps of
the wall clock and suspends go unnoticed (the owner calls `wakeup` at every beat).
"""

from __future__ import annotations

import contextlib
import heapq
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler


class _Alarms(MemoryJobStore):  # type: ignore[misc] # apscheduler gives no types
    """The keys and when they are due. The scheduler's thread asks it what is due, and when next."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        super().__init__()
        self.probes: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._ring = ring
        self._lock = threading.Lock()
        self._armed: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []  # a heap; entries not as in `_armed` are stale
        self._sleeps_until = math.inf

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Answer the probes, and ring what is due; return no jobs."""
        with contextlib.suppress(Empty):
            while True:
                self.probes.get_nowait()()
        wall, due = now.timestamp(), []
        with self._lock:
            while self._nearest() <= wall:
                key = heapq.heappop(self._queue)[1]
                del self._armed[key]
                due.append(key)
        for key in due:
            self._ring(key)
        return []

    def get_next_run_time(self) -> datetime | None:
        """Return when the scheduler should ask again; None: not before it is woken."""
        with self._lock:
            self._sleeps_until = self._nearest()
        return None if self._sleeps_until == math.inf else _when(self._sleeps_until)

    def arm(self, key: str, at: float) -> bool:
        """Have `key` ring at wall second `at`; True if the scheduler must be woken for that."""
        with self._lock:
            self._armed[key] = at
            heapq.heappush(self._queue, (at, key))
            if len(self._queue) > 2 * len(self._armed) + 64:
                self._queue = [(at, key) for key, at in self._armed.items()]
                heapq.heapify(self._queue)
            if at >= self._sleeps_until:
                return False
            self._sleeps_until = at
            return True

    def armed(self, key: str) -> bool:
        """Say whether `key` will ring."""
        return key in self._armed

    def overslept(self, wall: float) -> bool:
        """Say whether an alarm should have rung by `wall`."""
        with self._lock:
            return self._nearest() <= wall

    def clear(self) -> None:
        """Forget all keys."""
        with self._lock:
            self._armed.clear()

    def _nearest(self) -> float:
        while self._queue:
            at, key = self._queue[0]
            if self._armed.get(key) == at:
                return at
            heapq.heappop(self._queue)
        return math.inf


class ApschedulerTimers:
    """Calls `ring(key)`, which must not raise, in its own thread when a key is due.

    It calls once for each `arm`.
    """

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._alarms = _Alarms(ring)
        self._scheduler = BackgroundScheduler(jobstores={"default": self._alarms}, timezone=UTC)

    def start(self) -> None:
        """Start the scheduler's thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop the scheduler's thread; nothing rings afterwards."""
        self._alarms.clear()
        self._scheduler.shutdown(wait=False)

    def arm(self, key: str, at: float) -> None:
        """Ring `key` at wall-clock second `at`, or at once if that is past.

        A time that was set for `key` before is forgotten.
        """
        if self._alarms.arm(key, at) and self._scheduler.running:
            self._scheduler.wakeup()

    def armed(self, key: str) -> bool:
        """Say whether `key` will ring."""
        return self._alarms.armed(key)

    def probe(self, answer: Callable[[], None]) -> bool:
        """Have the scheduler's thread call `answer` now; it must not raise. Always True.

        Never waits, even if that thread hangs.
        """
        self._alarms.probes.put(answer)
        self._scheduler.wakeup()
        return True

    def wakeup(self, wall: float) -> None:
        """Make the scheduler read the clock again if it has slept through an alarm by `wall`."""
        if self._alarms.overslept(wall):
            self._scheduler.wakeup()


def _when(wall: float) -> datetime:
    """Return a time for the scheduler, rounded up to the millisecond.

    The scheduler must not look before the deadline has passed.
    """
    return datetime.fromtimestamp(int(wall * 1000 + 1) / 1000, UTC)
