"""Threads that carry out attempts; a thread that hangs is written off and replaced.

A thread cannot be killed, and neither the SDK's timeouts nor a pool can bound a resolver that
hangs or a server that drips. So a worker whose attempt is past its deadline is written off and
replaced; at most as many are written off at once as there are workers. It is also made to give up,
by an exception that is raised as soon as it runs any Python: at the next byte that drips, but not
inside a system call. Threads are daemonic: a hung one never holds up the exit.

While jobs run, the workers and their owner share one CPU (`one_cpu`).
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable
from queue import SimpleQueue

from credfresh import one_cpu

Job = Callable[[], None]
"""A function that a worker calls: it reports its own outcome and does not raise."""


class Workers:
    """Up to `count` working threads, started when first needed.

    All methods are for one thread, the owner's; jobs run in the workers.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._idle: list[_Worker] = []
        self._busy: dict[int, _Worker] = {}
        self._hung: dict[int, _Worker] = {}
        self._cpus = one_cpu.EVERYWHERE

    @property
    def free(self) -> int:
        """How many more jobs may start now."""
        hung = sum(worker.thread.is_alive() for worker in self._hung.values())
        # There may be at most twice `_count` threads, the hung ones included.
        replaceable = 2 * self._count - hung - len(self._busy)
        return max(0, min(self._count - len(self._busy), replaceable))

    @property
    def exhausted(self) -> bool:
        """Whether so many workers hang that no attempt can start."""
        return not self._busy and self.free == 0

    def start(self, ticket: int, job: Job) -> None:
        """Run `job` in a free worker; `ticket` identifies it until `finish` or `write_off`.

        Raises:
            RuntimeError: the system gives no more threads; nothing was started.
        """
        worker = self._idle.pop() if self._idle else _Worker()
        if not self._busy:
            self._cpus = one_cpu.stay()
        self._busy[ticket] = worker
        worker.cpus = self._cpus
        worker.jobs.put(job)

    def probe(self, answer: Job) -> bool:
        """Have the worker that is next in line call `answer`; False if none is free."""
        if not self._idle:
            if self.free == 0:
                return False
            try:
                self._idle.append(_Worker())
            except RuntimeError:  # the system gives no more threads
                return False
        self._idle[-1].jobs.put(answer)
        return True

    def finish(self, ticket: int) -> None:
        """Take back the worker whose job has reported."""
        worker = self._release(ticket)
        if worker is not None:
            self._idle.append(worker)

    def write_off(self, ticket: int) -> bool:
        """Give up the worker of a job past its deadline; the worker ends when its job does.

        False if there is none: the job could not be started, and nobody has been told yet.
        """
        worker = self._release(ticket)
        if worker is None:
            return False
        worker.give_up()
        self._hung[ticket] = worker
        return True

    def recovered(self) -> list[int]:
        """Return the tickets that were written off and whose threads have ended since."""
        ended = [t for t, worker in self._hung.items() if not worker.thread.is_alive()]
        for ticket in ended:
            del self._hung[ticket]
        return ended

    def resize(self, count: int) -> None:
        """Change how many workers there are; running jobs go on."""
        self._count = count

    def stop(self) -> None:
        """Have idle and busy workers end after their jobs; does not wait."""
        for worker in [*self._idle, *self._busy.values()]:
            worker.jobs.put(None)
        self._idle.clear()

    def _release(self, ticket: int) -> _Worker | None:
        worker = self._busy.pop(ticket, None)
        if worker is not None and not self._busy:
            one_cpu.go(one_cpu.EVERYWHERE)
        return worker


class _Worker:
    """One thread and its inbox; None ends it."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.cpus = one_cpu.EVERYWHERE
        """Where it is to run its next job."""
        self.thread = threading.Thread(target=self._run, name="credfresh-worker", daemon=True)
        self.thread.start()

    def give_up(self) -> None:
        """End the thread as soon as its job can be interrupted, or ends by itself."""
        self.jobs.put(None)
        # https://docs.python.org/3/c-api/threads.html: raised in that thread, asynchronously.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self.thread.ident or 0), ctypes.py_object(_GivenUp)
        )

    def _run(self) -> None:
        with contextlib.suppress(_GivenUp):
            while (job := self.jobs.get()) is not None:
                one_cpu.go(self.cpus)
                job()
                # A thread may idle for good: it keeps no provider and no keys from its last job.
                del job


class _GivenUp(SystemExit):
    """Ends a worker's thread: no `except Exception` stops it, and no traceback is printed."""
