"""The thread that publishes, and looks after what it has published."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from credfresh.coalescer import QUIET
from credfresh.errors import PublishError
from credfresh.publication import Outcomes, Publication, Wanted
from credfresh.publisher import LOOK, SECOND_LOOK, Published, Publisher
from fakes import FakeClock, MemoryDestination, grant, profile

PATH = profile().target.path


class Bench:
    """A publisher with its real thread on a memory destination."""

    def __init__(self, *, roll: float = 0.0) -> None:
        self.clock = FakeClock()
        self.destination = MemoryDestination()
        self.reports: queue.SimpleQueue[Published] = queue.SimpleQueue()
        self.publisher = Publisher(
            self.destination, clock=self.clock, roll=lambda: roll, report=self.reports.put
        )

    def next_report(self) -> Published:
        """Wait for the next publish to end."""
        return self.reports.get(timeout=10)

    def wait(self, seconds: float) -> None:
        """Let time pass, and wake the publishing thread to see it."""
        self.clock.advance(seconds)
        answered: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.publisher.probe(lambda: answered.put(None))
        answered.get(timeout=10)


class Slumber(threading.Condition):
    """A condition that records for how long each wait may last."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: queue.SimpleQueue[float | None] = queue.SimpleQueue()

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.put(timeout)
        return super().wait(timeout)


@pytest.fixture(name="bench")
def _bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.publisher.stop(10)


def publication(name: str = "production", *, path: str = PATH) -> Publication:
    """Return credentials to publish."""
    one = profile(name, path=path)
    return Publication(one, grant(one, FakeClock()()))


def test_the_first_publish_tells_the_destination_everything(bench: Bench) -> None:
    """At start the destination is told everything once, without waiting."""
    bench.publisher.start({"production": publication()})

    assert {"production"} == set(bench.next_report().landed)
    assert [{"production"}] == [set(write) for write in bench.destination.writes]


def test_each_publish_hands_over_all_that_should_stand(bench: Bench) -> None:
    """Each publish hands over everything that should stand, and reports only what is new."""
    bench.publisher.start({"production": publication()})
    bench.next_report()
    bench.publisher.update({"dev": publication("dev")}, urgent=True)

    assert {"dev"} == set(bench.next_report().landed)
    assert {"production", "dev"} == set(bench.destination.writes[-1])


def test_a_forgotten_profile_is_no_longer_wanted(bench: Bench) -> None:
    """An update to None takes a profile out of what should stand."""
    bench.publisher.start({"production": publication(), "dev": publication("dev")})
    bench.next_report()
    bench.publisher.update({"dev": None}, urgent=True)
    bench.next_report()

    assert {"production"} == set(bench.destination.writes[-1])


def test_one_failing_file_stops_no_other(bench: Bench) -> None:
    """Landings in one file are reported while the other fails, which is tried again."""
    error = PublishError("no space", path="/b", step="write", code="ENOSPC")
    here, there = publication("here", path="/a"), publication("there", path="/b")
    bench.publisher.start({})
    bench.next_report()
    ok = MemoryDestination().publish({"here": here})
    bench.destination.failing = {**ok, "/b": error}
    bench.publisher.update({"here": here, "there": there}, urgent=True)
    assert {"here"} == set(bench.next_report().landed)

    bench.destination.failing = None
    bench.clock.advance(2)
    bench.publisher.probe(lambda: None)  # wakes the thread, which goes by the fake clock

    assert {"there"} == set(bench.next_report().landed)


def test_an_unforeseen_error_of_a_destination_is_a_failed_publish(bench: Bench) -> None:
    """What a destination raises does not end the publishing thread; where it was is told."""
    bench.destination.failing = RuntimeError("boom")
    bench.publisher.start({"production": publication()})

    outcome = bench.next_report().outcomes[PATH]

    assert isinstance(outcome, PublishError)
    assert outcome.message.startswith(f"{PATH}: unforeseen RuntimeError at fakes.py:")
    assert outcome.__cause__ is None, "its frames hold keys"
    assert bench.publisher.probe(lambda: None)


def test_stopping_writes_what_waits(bench: Bench) -> None:
    """What came in just before the end is written, and so is what failed before."""
    bench.publisher.start({})
    bench.next_report()
    bench.destination.failing = RuntimeError("disk full")
    bench.publisher.update({"production": publication()}, urgent=True)
    bench.next_report()
    bench.destination.failing = None

    assert bench.publisher.stop(10)
    assert {"production"} == set(bench.destination.writes[-1])


def test_the_publisher_is_idle_once_all_that_was_asked_has_been_tried(bench: Bench) -> None:
    """`once` ends then: what waits for quiet, or is being written, has not been tried yet."""
    bench.publisher.start({})
    bench.next_report()
    assert bench.publisher.idle()
    bench.publisher.update({"production": publication()})
    assert not bench.publisher.idle()

    bench.clock.advance(2 * QUIET)
    bench.publisher.probe(lambda: None)  # wakes the thread, which goes by the fake clock
    bench.next_report()
    assert bench.publisher.idle()


def test_stopping_writes_without_waiting_for_quiet(bench: Bench) -> None:
    """A stop, whose time is short, writes also an update that is not urgent."""
    bench.publisher.start({})
    bench.next_report()
    bench.publisher.update({"production": publication()})

    assert bench.publisher.stop(10)
    assert {"production"} == set(bench.destination.writes[-1])


def test_the_publisher_sleeps_until_something_is_due(bench: Bench) -> None:
    """A publisher with nothing to do sleeps, and wakes for what comes first."""
    bench.publisher._changed = slumber = Slumber()
    bench.publisher.start({"production": publication()})
    bench.next_report()
    assert SECOND_LOOK == slumber.waits.get(timeout=10)
    bench.publisher.update({"dev": publication("dev")})
    assert QUIET == pytest.approx(slumber.waits.get(timeout=10))

    bench.clock.advance(2 * QUIET)
    assert {"dev"} == set(bench.next_report().landed)


def test_a_profile_forgotten_before_its_write_never_lands(bench: Bench) -> None:
    """A profile withdrawn while the disk was full is not written when there is room again."""
    bench.publisher.start({})
    bench.next_report()
    bench.destination.failing = RuntimeError("disk full")
    bench.publisher.update({"production": publication(), "dev": publication("dev")}, urgent=True)
    bench.next_report()
    bench.destination.failing = None
    bench.publisher.update({"production": None}, urgent=True)

    assert {"dev"} == set(bench.next_report().landed)


def test_the_shortest_session_of_all_limits_the_rest(bench: Bench) -> None:
    """On a slow disk, one profile among many cannot wait for as long as the others."""

    def slow(wanted: Wanted) -> Outcomes:
        bench.clock.advance(3.0)
        return MemoryDestination().publish(wanted)

    bench.destination.publish = slow  # type: ignore[method-assign]
    short, start = profile("short"), bench.clock()
    bench.publisher.start(
        {"production": publication(), "short": Publication(short, grant(short, start, lifetime=40))}
    )
    bench.next_report()
    bench.publisher.update({"dev": publication("dev")})
    bench.wait(0.3)

    assert {"dev"} == set(bench.next_report().landed)


def test_a_look_that_fails_is_followed_by_a_publish(bench: Bench) -> None:
    """The publish meets the same trouble, and tells it."""

    def fails() -> bool:
        raise OSError("the disk is gone")

    bench.publisher.start({"production": publication()})
    bench.next_report()
    bench.destination.tick = fails  # type: ignore[method-assign]
    bench.wait(SECOND_LOOK)

    bench.next_report()
    assert 2 == len(bench.destination.writes)


def test_expired_profiles_slow_down_no_retry_of_valid_ones() -> None:
    """A failed write is tried again by the life that is left, also beside expired profiles."""
    bench = Bench(roll=1.0)
    slumber = bench.publisher._changed = Slumber()
    start, dead, alive = bench.clock(), profile("dead"), profile("alive")
    bench.destination.failing = PublishError("full", path=PATH, step="write", code="ENOSPC")
    bench.publisher.start(
        {
            "dead": Publication(dead, grant(dead, start + -7200)),
            "alive": Publication(alive, grant(alive, start, lifetime=20.0)),
        }
    )
    for _ in range(8):
        bench.next_report()
        bench.publisher.update({}, urgent=True)
    bench.next_report()
    bench.publisher.stop(10)

    waits = [slumber.waits.get_nowait() for _ in range(slumber.waits.qsize())]
    assert 2.0 == max(wait for wait in waits if wait is not None)


def test_a_probe_is_answered_by_the_publishing_thread(bench: Bench) -> None:
    """It wakes for a probe, answers in its own thread, and publishes nothing for it."""
    bench.publisher.start({})
    bench.next_report()
    written = len(bench.destination.writes)
    answered = threading.Event()
    names: list[str] = []

    def answer() -> None:
        names.append(threading.current_thread().name)
        answered.set()

    assert bench.publisher.probe(answer)
    assert answered.wait(10)
    assert ["credfresh-publisher"] == names
    assert written == len(bench.destination.writes)


def test_a_probe_of_a_dead_publisher_returns_false(bench: Bench) -> None:
    """`probe` returns False when the thread is dead."""
    bench.publisher.start({})
    bench.publisher.stop(10)

    assert not bench.publisher.probe(lambda: None)


def test_drift_is_looked_for_when_asked_and_published_again(bench: Bench) -> None:
    """What has drifted is published again then."""
    bench.publisher.start({"production": publication()})
    bench.next_report()
    bench.clock.advance(SECOND_LOOK)
    bench.publisher.probe(lambda: None)
    bench.destination.looks.get(timeout=10)
    bench.destination.drifted = True

    assert LOOK == bench.publisher.look(bench.clock())

    assert bench.next_report().outcomes
    assert 2 == len(bench.destination.writes)


def test_a_publish_is_followed_by_a_look_for_late_writes(bench: Bench) -> None:
    """A rival may write late: the look comes when it has had the time to, whoever asks."""
    answered: queue.SimpleQueue[str] = queue.SimpleQueue()
    bench.publisher.start({"production": publication()})
    bench.next_report()
    bench.publisher.look(bench.clock())
    for word in ("first", "second"):  # a look would come before the second
        bench.publisher.probe(partial(answered.put, word))
        assert word == answered.get(timeout=10)
    assert bench.destination.looks.empty()

    bench.clock.advance(SECOND_LOOK)
    bench.publisher.probe(lambda: None)  # wakes the thread, which goes by the fake clock
    assert bench.destination.looks.get(timeout=10) is None


def test_frequent_publishes_put_the_look_for_drift_off_by_ten_seconds_at_most(bench: Bench) -> None:
    """Where a fleet publishes every few seconds, drift is still seen within ten."""
    bench.publisher.start({"production": publication()})
    bench.next_report()
    for _ in range(10):
        bench.wait(SECOND_LOOK - 1)
        bench.publisher.update({"dev": publication("dev")}, urgent=True)
        bench.next_report()
    bench.wait(0)

    assert bench.destination.looks.qsize() >= 3
