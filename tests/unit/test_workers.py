"""Worker threads that can be written off."""

from __future__ import annotations

import operator
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from credfresh.workers import Workers


class Hold:
    """Keeps jobs from returning, as the system would, until it lets go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._threads: list[threading.Thread] = []

    def let_go(self) -> None:
        """Let all jobs return."""
        self._lock.release()

    def ended(self) -> bool:
        """Wait for the jobs' threads, whose workers are stopped; say whether all ended."""
        for thread in self._threads:
            thread.join(10)
        return not any(thread.is_alive() for thread in self._threads)

    def hang(self, workers: Workers, ticket: int) -> threading.Thread:
        """Start a job that hangs; return its thread once it does.

        Telling that it runs and hanging are one call that runs no Python: a worker that is
        written off in between would be made to give up, for it would not hang yet.
        """
        running = threading.Lock()
        running.acquire()
        steps: list[Callable[[], object]] = [
            running.release,
            self._lock.acquire,
            self._lock.release,
        ]

        def job() -> None:
            self._threads.append(threading.current_thread())
            deque(map(operator.call, steps), 0)

        workers.start(ticket, job)
        assert running.acquire(timeout=10)
        return self._threads[-1]


@pytest.fixture(name="hold")
def _hold() -> Iterator[Hold]:
    # While an exception is pending for a thread that hangs, CPython 3.11 runs no traced function of
    # any thread past its first instruction, so coverage's tracer is taken off.
    tracers = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    hold = Hold()
    yield hold
    assert hold.ended()
    sys.settrace(tracers[0])
    threading.settrace(tracers[1])


class Attempt:
    """A job that can be referred to weakly."""

    def __call__(self) -> None:
        """Do nothing."""


def start(workers: Workers, ticket: int, job: Callable[[], None]) -> threading.Thread:
    """Start a job; return its thread once the job runs."""
    running = threading.Event()
    threads: list[threading.Thread] = []

    def told() -> None:
        threads.append(threading.current_thread())
        running.set()
        job()

    workers.start(ticket, told)
    assert running.wait(10)
    return threads[0]


def test_a_job_runs_and_its_worker_is_used_again() -> None:
    """A hundred jobs one after the other need one thread."""
    workers = Workers(4)
    names = set()
    for ticket in range(100):
        done = threading.Event()

        def job(done: threading.Event = done) -> None:
            names.add(threading.current_thread().ident)
            done.set()

        workers.start(ticket, job)
        assert done.wait(10)
        workers.finish(ticket)
    workers.stop()

    assert 1 == len(names)


def test_a_running_job_takes_a_slot(hold: Hold) -> None:
    """A running job takes a slot until it is finished."""
    workers = Workers(2)
    hold.hang(workers, 1)
    assert 1 == workers.free
    hold.let_go()
    workers.finish(1)
    assert 2 == workers.free
    workers.stop()


def test_a_hung_worker_is_replaced(hold: Hold) -> None:
    """Writing a job off frees its slot although the thread still hangs."""
    workers = Workers(1)
    hold.hang(workers, 1)
    workers.write_off(1)

    assert 1 == workers.free
    assert not workers.exhausted
    hold.let_go()
    workers.stop()


def test_a_job_without_a_thread_leaves_nothing_to_write_off() -> None:
    """It could not be started, and its owner gives it up before it hears of that."""
    workers = Workers(1)

    assert not workers.write_off(1)
    assert 1 == workers.free
    assert [] == workers.recovered()


def test_at_most_twice_the_count_of_threads_exist(hold: Hold) -> None:
    """When as many hang as may be written off, no job is started, and `exhausted` says so."""
    workers = Workers(2)
    for ticket in range(4):
        hold.hang(workers, ticket)
        workers.write_off(ticket)

    assert 0 == workers.free
    assert workers.exhausted
    hold.let_go()
    workers.stop()


def test_running_threads_count_among_twice_the_count(hold: Hold) -> None:
    """With most of that number hung, fewer jobs than the count may run."""
    workers = Workers(2)
    for ticket in range(3):
        hold.hang(workers, ticket)
        workers.write_off(ticket)
    assert 1 == workers.free

    hold.hang(workers, 3)

    assert 0 == workers.free
    hold.let_go()
    workers.stop()


def test_a_hung_worker_that_comes_back_frees_its_place(hold: Hold) -> None:
    """Once hung jobs end, their threads end too and new ones may start."""
    workers = Workers(1)
    threads = []
    for ticket in range(2):
        threads.append(hold.hang(workers, ticket))
        workers.write_off(ticket)
    assert workers.exhausted
    assert [] == workers.recovered()

    hold.let_go()
    for thread in threads:
        thread.join(10)

    assert 1 == workers.free
    assert [0, 1] == workers.recovered()
    assert [] == workers.recovered()
    workers.stop()


def test_a_probe_is_answered_by_a_worker() -> None:
    """The worker next in line answers in its own thread, and still takes jobs afterwards."""
    workers = Workers(2)
    names: list[str] = []
    answered = threading.Event()

    def answer() -> None:
        names.append(threading.current_thread().name)
        answered.set()

    assert workers.probe(answer)
    assert answered.wait(10)
    assert ["credfresh-worker"] == names
    assert 2 == workers.free
    workers.stop()


def test_no_worker_is_probed_where_all_are_busy_or_hang(hold: Hold) -> None:
    """Then there is no worker to ask, and no thread beyond the limit is made to ask."""
    workers = Workers(1)
    asked: list[int] = []
    hold.hang(workers, 1)
    assert not workers.probe(lambda: asked.append(1))
    workers.write_off(1)
    hold.hang(workers, 2)
    workers.write_off(2)

    assert not workers.probe(lambda: asked.append(2))
    assert [] == asked
    hold.let_go()
    workers.stop()


def test_a_written_off_job_that_runs_now_and_then_is_made_to_give_up() -> None:
    """A job that reads byte by byte runs Python at each: there it ends, whatever it catches."""
    workers = Workers(1)

    def drip() -> None:
        while True:
            try:
                threading.Event().wait(0.01)
            except Exception as error:
                raise AssertionError from error

    thread = start(workers, 1, drip)
    workers.write_off(1)
    thread.join(10)

    assert not thread.is_alive()
    assert [1] == workers.recovered()


def test_without_threads_nothing_is_started_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the limit of tasks the caller gets an error, and all places are free afterwards."""
    workers = Workers(2)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            workers.start(1, lambda: None)
        assert not workers.probe(lambda: None)
    assert 2 == workers.free
    assert not workers.exhausted


def test_an_idle_worker_keeps_nothing_of_its_last_job() -> None:
    """Each worker would keep a provider that a reload has replaced, with all its clients."""
    workers = Workers(1)
    forgotten = threading.Event()
    job = Attempt()
    weakref.finalize(job, forgotten.set)
    workers.start(1, job)
    del job

    assert forgotten.wait(10)
    workers.stop()
