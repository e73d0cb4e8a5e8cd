"""APScheduler as an alarm clock: one date job a key. The only module that knows it.

Its traps, each reproduced before it was shut: a job later than the default grace of one second
is deleted (grace None); a job that raises is deleted, and one re-armed under its own id from
inside its own run too (actions put into a queue and cannot raise; a new id per arm); local time
zones stall through a DST gap (UTC); it sleeps on the monotonic clock, so steps of the wall clock
and suspends go unnoticed (`wakeup`, at every beat of the owner).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.events import EVENT_JOB_REMOVED, JobEvent
from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler


class _Scheduler(BackgroundScheduler):  # type: ignore[misc]  # it has no types
    """One whose thread is woken only by a job that comes before all others.

    Nearly every job lies half a session ahead, behind others that wake it earlier anyway.
    """

    adding: datetime | None = None
    """When the job that is being added will run."""

    def __init__(self) -> None:
        self._store = MemoryJobStore()
        super().__init__(
            jobstores={"default": self._store},
            # The action only puts a word into a queue: it runs in the scheduler's own thread.
            executors={"default": DebugExecutor()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )

    def wakeup(self) -> None:
        """Wake the thread; called by `add_job`, too, once the job is in the store."""
        if self.adding is None or self._store.get_next_run_time() >= self.adding:
            super().wakeup()


class ApschedulerTimers:
    """Calls `ring(key)` in its own thread when a key's time comes; once for each `arm`."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._numbers = itertools.count()
        # Never held while calling the scheduler, which calls us with its own lock held.
        self._lock = threading.Lock()
        self._jobs: dict[str, str] = {}
        self._scheduler = _Scheduler()
        self._scheduler.add_listener(self._removed, EVENT_JOB_REMOVED)

    def start(self) -> None:
        """Start the scheduler's thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop it; nothing rings afterwards."""
        with self._lock:
            self._jobs.clear()
        self._scheduler.shutdown(wait=False)

    def arm(self, key: str, at: float) -> None:
        """Ring `key` at wall-clock second `at`, or at once when that is past.

        What was armed under `key` before is forgotten.
        """
        self.disarm(key)
        job = f"{key}#{next(self._numbers)}"
        with self._lock:
            self._jobs[key] = job
        # Rounded up to the millisecond: a job must not ring before its deadline has passed.
        when = datetime.fromtimestamp(int(at * 1000 + 1) / 1000, UTC)
        self._scheduler.adding = when
        self._scheduler.add_job(self._fire, "date", run_date=when, id=job, args=(key, job))
        self._scheduler.adding = None

    def disarm(self, key: str) -> None:
        """Forget `key`; no error when it is not armed."""
        with self._lock:
            job = self._jobs.pop(key, None)
        if job is not None:
            # It may ring, and so be gone, at this very moment.
            with contextlib.suppress(JobLookupError):
                self._scheduler.remove_job(job)

    def armed(self, key: str) -> bool:
        """Say whether `key` will ring."""
        return key in self._jobs

    def probe(self, answer: Callable[[], None]) -> bool:
        """Have the scheduler's thread call `answer` now; it must not raise. Always True."""
        self._scheduler.add_job(answer, "date")
        return True

    def wakeup(self) -> None:
        """Make the scheduler read the clock again."""
        self._scheduler.wakeup()

    def _fire(self, key: str, job: str) -> None:
        if self._take(key, job):
            self._ring(key)

    def _removed(self, event: JobEvent) -> None:
        """Note a job that the scheduler dropped by itself, so that its owner arms it again."""
        key, _, _ = event.job_id.rpartition("#")
        self._take(key, event.job_id)

    def _take(self, key: str, job: str) -> bool:
        with self._lock:
            current = self._jobs.get(key) == job
            if current:
                del self._jobs[key]
        return current
