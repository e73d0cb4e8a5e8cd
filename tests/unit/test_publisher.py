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


class Harness:
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


@pytest.fixture(name="harness")
def _harness() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.publisher.stop(10)


def publication(name: str = "production", *, path: str = PATH) -> Publication:
    """Return credentials to publish."""
    one = profile(name, path=path)
    return Publication(one, grant(one, FakeClock()()))


def test_the_first_publish_tells_the_destination_everything(harness: Harness) -> None:
    """At start the destination is told everything once, without waiting."""
    harness.publisher.start({"production": publication()})

    assert {"production"} == set(harness.next_report().landed)
    assert [{"production"}] == [set(write) for write in harness.destination.writes]


def test_each_publish_hands_over_all_that_should_stand(harness: Harness) -> None:
    """Each publish hands over everything that should stand, and reports only what is new."""
    harness.publisher.start({"production": publication()})
    harness.next_report()
    harness.publisher.update({"dev": publication("dev")}, urgent=True)

    assert {"dev"} == set(harness.next_report().landed)
    assert {"production", "dev"} == set(harness.destination.writes[-1])


def test_a_forgotten_profile_is_no_longer_wanted(harness: Harness) -> None:
    """An update to None takes a profile out of what should stand."""
    harness.publisher.start({"production": publication(), "dev": publication("dev")})
    harness.next_report()
    harness.publisher.update({"dev": None}, urgent=True)
    harness.next_report()

    assert {"production"} == set(harness.destination.writes[-1])


def test_one_failing_file_stops_no_other(harness: Harness) -> None:
    """Landings in one file are reported while the other fails, which is tried again."""
    error = PublishError("no space", path="/b", step="write", code="ENOSPC")
    here, there = publication("here", path="/a"), publication("there", path="/b")
    harness.publisher.start({})
    harness.next_report()
    ok = MemoryDestination().publish({"here": here})
    harness.destination.failing = {**ok, "/b": error}
    harness.publisher.update({"here": here, "there": there}, urgent=True)
    assert {"here"} == set(harness.next_report().landed)

    harness.destination.failing = None
    harness.clock.advance(2)
    harness.publisher.probe(lambda: None)  # wakes the thread, which goes by the fake clock

    assert {"there"} == set(harness.next_report().landed)


def test_an_unforeseen_error_of_a_destination_is_a_failed_publish(harness: Harness) -> None:
    """What a destination raises does not end the publishing thread; where it was is told."""
    harness.destination.failing = RuntimeError("boom")
    harness.publisher.start({"production": publication()})

    outcome = harness.next_report().outcomes[PATH]

    assert isinstance(outcome, PublishError)
    assert outcome.message.startswith(f"{PATH}: unforeseen RuntimeError at fakes.py:")
    assert outcome.__cause__ is None, "its frames hold keys"
    assert harness.publisher.probe(lambda: None)


def test_stopping_writes_what_waits(harness: Harness) -> None:
    """What came in just before the end is written, and so is what failed before."""
    harness.publisher.start({})
    harness.next_report()
    harness.destination.failing = RuntimeError("disk full")
    harness.publisher.update({"production": publication()}, urgent=True)
    harness.next_report()
    harness.destination.failing = None

    assert harness.publisher.stop(10)
    assert {"production"} == set(harness.destination.writes[-1])


def test_the_publisher_is_idle_once_all_that_was_asked_has_been_tried(harness: Harness) -> None:
    """`once` ends then: what waits for quiet, or is being written, has not been tried yet."""
    harness.publisher.start({})
    harness.next_report()
    assert harness.publisher.idle()
    harness.publisher.update({"production": publication()})
    assert not harness.publisher.idle()

    harness.clock.advance(2 * QUIET)
    harness.publisher.probe(lambda: None)  # wakes the thread, which goes by the fake clock
    harness.next_report()
    assert harness.publisher.idle()


def test_the_publisher_is_not_idle_while_it_writes(harness: Harness) -> None:
    """`once` would end before the outcome is known."""
    writes, over = threading.Event(), threading.Event()

    def slow(wanted: Wanted) -> Outcomes:
        writes.set()
        over.wait(10)
        return MemoryDestination().publish(wanted)

    harness.destination.publish = slow  # type: ignore[method-assign]
    harness.publisher.start({"production": publication()})
    assert writes.wait(10)
    assert not harness.publisher.idle()

    over.set()
    harness.next_report()
    assert harness.publisher.idle()


def test_a_success_ends_the_backoff() -> None:
    """The next failure is tried again as soon as the first one."""
    harness = Harness(roll=1.0)
    harness.publisher.start({"production": publication()})
    harness.next_report()
    error = PublishError("full", path=PATH, step="write", code="ENOSPC")
    for failing in (error, error, error, error, error, None, error):
        harness.destination.failing = failing
        harness.publisher.update({}, urgent=True)
        harness.next_report()
    harness.destination.failing = None
    harness.wait(2.0)

    assert harness.next_report().outcomes
    assert harness.publisher.stop(10)


def test_stopping_writes_without_waiting_for_quiet(harness: Harness) -> None:
    """A stop, whose time is short, writes also an update that is not urgent."""
    harness.publisher.start({})
    harness.next_report()
    harness.publisher.update({"production": publication()})

    assert harness.publisher.stop(10)
    assert {"production"} == set(harness.destination.writes[-1])


def test_the_publisher_sleeps_until_something_is_due(harness: Harness) -> None:
    """A publisher with nothing to do sleeps, and wakes for what comes first."""
    harness.publisher._changed = slumber = Slumber()
    harness.publisher.start({"production": publication()})
    harness.next_report()
    assert SECOND_LOOK == slumber.waits.get(timeout=10)
    harness.publisher.update({"dev": publication("dev")})
    assert QUIET == pytest.approx(slumber.waits.get(timeout=10))

    harness.clock.advance(2 * QUIET)
    assert {"dev"} == set(harness.next_report().landed)


def test_a_profile_forgotten_before_its_write_never_lands(harness: Harness) -> None:
    """A profile withdrawn while the disk was full is not written when there is room again."""
    harness.publisher.start({})
    harness.next_report()
    harness.destination.failing = RuntimeError("disk full")
    harness.publisher.update({"production": publication(), "dev": publication("dev")}, urgent=True)
    harness.next_report()
    harness.destination.failing = None
    harness.publisher.update({"production": None}, urgent=True)

    assert {"dev"} == set(harness.next_report().landed)


def test_the_shortest_session_of_all_limits_the_rest(harness: Harness) -> None:
    """On a slow disk, one profile among many cannot wait for as long as the others."""

    def slow(wanted: Wanted) -> Outcomes:
        harness.clock.advance(3.0)
        return MemoryDestination().publish(wanted)

    harness.destination.publish = slow  # type: ignore[method-assign]
    short, start = profile("short"), harness.clock()
    harness.publisher.start(
        {"production": publication(), "short": Publication(short, grant(short, start, lifetime=40))}
    )
    harness.next_report()
    harness.publisher.update({"dev": publication("dev")})
    harness.wait(0.3)

    assert {"dev"} == set(harness.next_report().landed)


def test_a_look_that_fails_is_followed_by_a_publish(harness: Harness) -> None:
    """The publish meets the same trouble, and tells it."""

    def fails() -> bool:
        raise OSError("the disk is gone")

    harness.publisher.start({"production": publication()})
    harness.next_report()
    harness.destination.tick = fails  # type: ignore[method-assign]
    harness.wait(SECOND_LOOK)

    harness.next_report()
    assert 2 == len(harness.destination.writes)


def test_expired_profiles_slow_down_no_retry_of_valid_ones() -> None:
    """A failed write is tried again by the life that is left, also beside expired profiles."""
    harness = Harness(roll=1.0)
    slumber = harness.publisher._changed = Slumber()
    start, dead, alive = harness.clock(), profile("dead"), profile("alive")
    harness.destination.failing = PublishError("full", path=PATH, step="write", code="ENOSPC")
    harness.publisher.start(
        {
            "dead": Publication(dead, grant(dead, start + -7200)),
            "alive": Publication(alive, grant(alive, start, lifetime=20.0)),
        }
    )
    for _ in range(8):
        harness.next_report()
        harness.publisher.update({}, urgent=True)
    harness.next_report()
    harness.publisher.stop(10)

    waits = [slumber.waits.get_nowait() for _ in range(slumber.waits.qsize())]
    assert 2.0 == max(wait for wait in waits if wait is not None)


def test_a_probe_is_answered_by_the_publishing_thread(harness: Harness) -> None:
    """It wakes for a probe, answers in its own thread, and publishes nothing for it."""
    harness.publisher.start({})
    harness.next_report()
    written = len(harness.destination.writes)
    answered = threading.Event()
    names: list[str] = []

    def answer() -> None:
        names.append(threading.current_thread().name)
        answered.set()

    assert harness.publisher.probe(answer)
    assert answered.wait(10)
    assert ["credfresh-publisher"] == names
    assert written == len(harness.destination.writes)


def test_a_probe_of_a_dead_publisher_returns_false(harness: Harness) -> None:
    """`probe` returns False when the thread is dead."""
    harness.publisher.start({})
    harness.publisher.stop(10)

    assert not harness.publisher.probe(lambda: None)


def test_drift_is_looked_for_when_asked_and_published_again(harness: Harness) -> None:
    """What has drifted is published again then."""
    harness.publisher.start({"production": publication()})
    harness.next_report()
    harness.clock.advance(SECOND_LOOK)
    harness.publisher.probe(lambda: None)
    harness.destination.looks.get(timeout=10)
    harness.destination.drifted = True

    assert LOOK == harness.publisher.look(harness.clock())

    assert harness.next_report().outcomes
    assert 2 == len(harness.destination.writes)


def test_a_publish_is_followed_by_a_look_for_late_writes(harness: Harness) -> None:
    """A rival may write late: the look comes when it has had the time to, whoever asks."""
    answered: queue.SimpleQueue[str] = queue.SimpleQueue()
    harness.publisher.start({"production": publication()})
    harness.next_report()
    harness.publisher.look(harness.clock())
    for word in ("first", "second"):  # a look would come before the second
        harness.publisher.probe(partial(answered.put, word))
        assert word == answered.get(timeout=10)
    assert harness.destination.looks.empty()

    harness.clock.advance(SECOND_LOOK)
    harness.publisher.probe(lambda: None)  # wakes the thread, which goes by the fake clock
    assert harness.destination.looks.get(timeout=10) is None


def test_frequent_publishes_put_the_look_for_drift_off_by_ten_seconds_at_most(
    harness: Harness,
) -> None:
    """Where a fleet publishes every few seconds, drift is still seen within ten."""
    harness.publisher.start({"production": publication()})
    harness.next_report()
    for _ in range(10):
        harness.wait(SECOND_LOOK - 1)
        harness.publisher.update({"dev": publication("dev")}, urgent=True)
        harness.next_report()
    harness.wait(0)

    assert harness.destination.looks.qsize() >= 3
