"""Where threads and child processes may run while calls are under way, by the real kernel."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from credfresh.hooks.process import Order, Run
from credfresh.one_cpu import EVERYWHERE
from credfresh.sts.processes import BoundedProcess
from credfresh.workers import Workers

pytestmark = pytest.mark.skipif(len(EVERYWHERE) < 2, reason="this machine has one CPU alone")

SAY_WHERE = (sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))")


def test_workers_and_their_owner_share_a_cpu_until_the_last_job_has_ended() -> None:
    """Both of two workers run where their owner does; afterwards it may run anywhere again."""
    workers, said, hold = Workers(2), SimpleQueue[set[int]](), threading.Event()

    def job() -> None:
        said.put(os.sched_getaffinity(0))
        hold.wait(10)

    workers.start(1, job)
    workers.start(2, job)
    shared = os.sched_getaffinity(0)
    assert 1 == len(shared)
    assert [shared, shared] == [said.get(timeout=10), said.get(timeout=10)]

    workers.finish(1)
    assert shared == os.sched_getaffinity(0)
    workers.finish(2)
    assert EVERYWHERE == os.sched_getaffinity(0)
    hold.set()
    workers.stop()


def test_an_owner_whose_last_job_is_written_off_may_run_anywhere() -> None:
    """A call that hangs keeps nobody but its own thread on the CPU."""
    workers, hold = Workers(1), threading.Event()

    def hang() -> None:
        hold.wait(10)

    workers.start(1, hang)
    workers.write_off(1)

    assert EVERYWHERE == os.sched_getaffinity(0)
    hold.set()


def test_jobs_run_where_the_kernel_does_not_let_us_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call filter may forbid it."""

    def forbidden(_thread: int, _cpus: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    workers, said = Workers(1), SimpleQueue[str]()
    workers.start(1, lambda: said.put("done"))

    assert "done" == said.get(timeout=10)
    workers.finish(1)
    workers.stop()
    monkeypatch.undo()


def by_a_source() -> str:
    """Start a source's process; return what it prints."""
    process = BoundedProcess(SAY_WHERE, name="ci", environ=os.environ)
    return process.communicate()[0].decode().strip()


def by_a_hook() -> str:
    """Run a hook; return what it prints."""
    return Run(Order(SAY_WHERE, 20.0, {})).carry_out().output


@pytest.mark.parametrize("started", [by_a_source, by_a_hook])
def test_what_a_thread_starts_may_run_anywhere(started: Callable[[], str]) -> None:
    """A process outlives the calls during which it is started, and may start others."""
    os.sched_setaffinity(0, {min(EVERYWHERE)})

    assert str(sorted(EVERYWHERE)) == started()
