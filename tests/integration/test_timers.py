"""The timers on the real APScheduler, with a test for each of its pitfalls."""

from __future__ import annotations

import contextlib
import queue
import random  # noqa: TID251 - from a seed
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from credfresh.timers import ApschedulerTimers


class Alarm:
    """Timers, and the queue of keys that have rung."""

    def __init__(self) -> None:
        self.rung: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.timers = ApschedulerTimers(self.rung.put)
        self.timers.start()

    def wait(self) -> str:
        """Return the next key that rings, within 10 s."""
        return self.rung.get(timeout=10)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Occupy the scheduler's thread: nothing rings within the context."""
        holds, over = threading.Event(), threading.Event()

        def hold() -> None:
            holds.set()
            over.wait(30)

        self.timers.probe(hold)
        assert holds.wait(10)
        try:
            yield
        finally:
            over.set()

    def silent(self, seconds: float = 0.0) -> bool:
        """Say whether nothing rings for `seconds`."""
        try:
            self.rung.get(timeout=seconds)
        except queue.Empty:
            return True
        return False


@pytest.fixture(name="alarm")
def _alarm() -> Iterator[Alarm]:
    alarm = Alarm()
    yield alarm
    alarm.timers.stop()


@pytest.fixture(name="now")
def _now() -> Callable[[], float]:
    return time.time  # noqa: TID251 - the real scheduler goes by the real clock


def test_a_key_rings_once_and_not_before_its_time(alarm: Alarm, now: Callable[[], float]) -> None:
    """An armed key rings once the wall clock has reached its time, and is armed no more."""
    at = now() + 0.2
    alarm.timers.arm("a", at)
    assert alarm.timers.armed("a")

    assert "a" == alarm.wait()
    assert now() >= at
    assert not alarm.timers.armed("a")
    assert alarm.silent(0.1)


def test_a_key_five_minutes_late_rings(alarm: Alarm, now: Callable[[], float]) -> None:
    """By default APScheduler would delete a one-shot job that is a second late."""
    alarm.timers.arm("late", now() - 300)

    assert "late" == alarm.wait()


def test_a_hundred_keys_due_at_once_all_ring(alarm: Alarm, now: Callable[[], float]) -> None:
    """By default APScheduler would lose most of a hundred jobs that are due together."""
    at = now() + 0.1
    for n in range(100):
        alarm.timers.arm(f"p{n}", at)

    assert {f"p{n}" for n in range(100)} == {alarm.wait() for _ in range(100)}


def test_a_key_armed_again_while_it_rings_rings_again(now: Callable[[], float]) -> None:
    """APScheduler would delete a job that re-arms its own id while it runs."""
    rung: queue.SimpleQueue[int] = queue.SimpleQueue()
    count = 0

    def ring(key: str) -> None:
        nonlocal count
        count += 1
        if count < 300:
            timers.arm(key, now())
        rung.put(count)

    timers = ApschedulerTimers(ring)
    timers.start()
    timers.arm("again", now())

    assert list(range(1, 301)) == [rung.get(timeout=10) for _ in range(300)]
    timers.stop()


def test_a_key_armed_before_all_others_rings_first(alarm: Alarm, now: Callable[[], float]) -> None:
    """The scheduler's thread sleeps until the first key; arming an earlier one wakes it."""
    began = now()
    for key, after in [("hour", 3600.0), ("later", 0.6), ("day", 86400.0), ("sooner", 0.3)]:
        alarm.timers.arm(key, began + after)

    assert ["sooner", "later"] == [alarm.wait(), alarm.wait()]
    assert now() < began + 5


def test_a_key_after_one_that_was_put_off_rings(alarm: Alarm, now: Callable[[], float]) -> None:
    """When the thread wakes for a key that was put off meanwhile, the next one still rings."""
    first = now() + 0.2
    alarm.timers.arm("first", first)
    alarm.timers.arm("second", first + 0.1)
    alarm.timers.arm("first", first + 3600)
    late = now() >= first

    rung = alarm.wait()
    if late and rung == "first":  # it rang before it could be put off
        rung = alarm.wait()
    assert "second" == rung


def test_no_alarm_is_lost_or_early_when_two_threads_arm(now: Callable[[], float]) -> None:
    """Two threads arm keys, some in the past, while the job runs and is rescheduled."""
    dice = random.Random(7)
    rung: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
    timers = ApschedulerTimers(lambda key: rung.put((key, now())))
    timers.start()
    times: dict[str, float] = {}

    def arm(name: str) -> None:
        for number in range(500):
            key = f"{name}{number}"
            times[key] = now() + dice.choice([-1.0, 0.0, 0.001, 0.01, 0.05])
            timers.arm(key, times[key])

    others = [threading.Thread(target=arm, args=(name,)) for name in "ab"]
    for other in others:
        other.start()
    heard = dict(rung.get(timeout=10) for _ in range(1000))
    for other in others:
        other.join()
    timers.stop()

    assert times.keys() == heard.keys()
    assert [] == [key for key, at in times.items() if heard[key] < at]


def test_arming_anew_forgets_the_old_time(alarm: Alarm, now: Callable[[], float]) -> None:
    """After arming a key twice, only the last time counts."""
    began = now()
    with alarm.busy():
        alarm.timers.arm("a", began - 2)
        alarm.timers.arm("a", began + 3600)
        alarm.timers.arm("after", began - 1)

    assert "after" == alarm.wait()
    assert alarm.silent()
    assert alarm.timers.armed("a")


def test_the_scheduler_sleeps_until_the_nearest_key_that_is_armed(now: Callable[[], float]) -> None:
    """Times that have passed or were put off must not keep the scheduler awake."""
    timers = ApschedulerTimers(print)
    alarms = timers._alarms
    assert alarms.get_next_run_time() is None
    timers.arm("past", now() - 1)
    timers.arm("soon", now() + 100)
    timers.arm("later", at := now() + 1000)
    timers.arm("soon", at + 1000)
    alarms.get_due_jobs(datetime.fromtimestamp(now(), UTC))

    woken = alarms.get_next_run_time()
    assert woken is not None
    assert at == pytest.approx(woken.timestamp(), abs=0.002)


def test_arming_the_same_keys_for_ever_takes_no_more_memory(now: Callable[[], float]) -> None:
    """Arming the same keys for months needs no more memory, and they still ring in order."""
    rung: list[str] = []
    timers = ApschedulerTimers(rung.append)
    due = {f"p{n}": now() - 100 + n * 7 % 50 for n in range(50)}
    for turn in range(100, 0, -1):
        for key, at in due.items():
            timers.arm(key, at - turn)

    assert len(timers._alarms._queue) < 4 * len(due)
    timers._alarms.get_due_jobs(datetime.fromtimestamp(now(), UTC))
    assert sorted(due, key=due.__getitem__) == rung


def test_the_scheduler_is_woken_only_if_it_has_slept_through_an_alarm(
    alarm: Alarm, now: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a suspend or clock step the scheduler is woken, but only if an alarm was missed."""
    woken: list[bool] = []
    alarm.timers.arm("a", now() + 3600)
    monkeypatch.setattr(alarm.timers._scheduler, "wakeup", lambda: woken.append(True))

    alarm.timers.wakeup(now() + 3599)
    assert [] == woken
    alarm.timers.wakeup(now() + 3601)
    assert [True] == woken


def test_keys_armed_before_the_start_ring_after_it(now: Callable[[], float]) -> None:
    """A warm start arms all profiles before any thread runs."""
    rung: queue.SimpleQueue[str] = queue.SimpleQueue()
    timers = ApschedulerTimers(rung.put)
    timers.arm("a", now() - 1)
    timers.start()

    assert "a" == rung.get(timeout=10)
    timers.stop()


def test_a_probe_is_answered_in_the_schedulers_thread(alarm: Alarm) -> None:
    """A sign of life comes from the thread that rings, and is not an alarm."""
    answered: queue.SimpleQueue[str] = queue.SimpleQueue()

    assert alarm.timers.probe(lambda: answered.put(threading.current_thread().name))

    assert "APScheduler" == answered.get(timeout=10)
    assert alarm.silent(0.1)


def test_a_probe_never_waits_for_a_scheduler_that_hangs(alarm: Alarm) -> None:
    """The scheduler may hang with its own lock held, and a probe must return all the same."""
    hangs, over = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        over.wait(10)

    alarm.timers.probe(hang)
    assert hangs.wait(10)
    answered = threading.Event()
    asked = threading.Thread(target=alarm.timers.probe, args=(answered.set,))
    asked.start()
    asked.join(5)

    assert not asked.is_alive()
    assert not answered.is_set()
    over.set()
    assert answered.wait(10)


def test_the_scheduler_stops_without_an_error_during_a_ring(now: Callable[[], float]) -> None:
    """A stop during a ring lets the scheduler's thread end without an error."""
    rung = threading.Event()

    def ring(_: str) -> None:
        rung.set()
        threading.Event().wait(0.2)

    timers = ApschedulerTimers(ring)
    timers.start()
    timers.arm("a", now())
    assert rung.wait(10)
    timers.stop()
    assert "APScheduler" not in {thread.name for thread in threading.enumerate()}
