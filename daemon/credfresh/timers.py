"""APScheduler as an alarm clock: one date job, for the nearest of all keys. Nobody else knows it.

Only the nearest key has a job, the others wait in a heap: a job costs a hundred times as much as
a place there (ten thousand of them were a third of a second of every start).

Its traps, each reproduced before it was shut: a job later than the default grace of one second
is deleted (grace None); a job that raises is deleted, and one re-armed under its own id from
inside its own run too (actions put into a queue and cannot raise; a new id per job); local time
zones stall through a DST gap (UTC); it sleeps on the monotonic clock, so steps of the wall clock
and suspends go unnoticed (`wakeup`, at every beat of the owner).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from apscheduler.events import EVENT_JOB_REMOVED, JobEvent
from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler


class _Job(NamedTuple):
    """A job of the scheduler, and the wall-clock second from which it may run."""

    name: str
    at: float


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
        self._numbers = itertools.count()
        # Never held while calling the scheduler, which calls us with its own lock held.
        self._lock = threading.Lock()
        self._armed: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []  # a heap; what `_armed` contradicts is stale
        self._job: _Job | None = None
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
        self._cover(superseding=True)

    def disarm(self, key: str) -> None:
        """Forget `key`; no error when it is not armed."""
        with self._lock:
            self._armed.pop(key, None)

    def armed(self, key: str) -> bool:
        """Say whether `key` will ring."""
        return key in self._armed and self._job is not None

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

    def _cover(self, *, superseding: bool) -> None:
        """See to it that a job runs when the nearest key is due.

        The scheduler's own thread takes no job away: it may be the next that it goes to run. One
        that is left rings nobody twice.
        """
        with self._lock:
            before, nearest = self._job, self._nearest()
            if nearest is None or (before is not None and before.at <= nearest):
                return
            job = self._job = _Job(f"alarm#{next(self._numbers)}", nearest)
        if before is not None and superseding:
            # It may run, and so be gone, at this very moment.
            with contextlib.suppress(JobLookupError):
                self._scheduler.remove_job(before.name)
        # Rounded up to the millisecond: a job must not run before its deadline has passed.
        when = datetime.fromtimestamp(int(job.at * 1000 + 1) / 1000, UTC)
        self._scheduler.add_job(self._fire, "date", run_date=when, id=job.name, args=(job,))

    def _nearest(self) -> float | None:
        while self._queue:
            at, key = self._queue[0]
            if self._armed.get(key) == at:
                return at
            heapq.heappop(self._queue)
        return None

    def _fire(self, job: _Job) -> None:
        """Ring all that is due when `job` is, and go over to the next."""
        due = []
        with self._lock:
            if self._job == job:
                self._job = None
            while (at := self._nearest()) is not None and at <= job.at:
                key = heapq.heappop(self._queue)[1]
                del self._armed[key]
                due.append(key)
        for key in due:
            self._ring(key)
        self._cover(superseding=False)

    def _removed(self, event: JobEvent) -> None:
        """Note a job that the scheduler dropped by itself, so that the owner arms again."""
        with self._lock:
            if self._job is not None and self._job.name == event.job_id:
                self._job = None
