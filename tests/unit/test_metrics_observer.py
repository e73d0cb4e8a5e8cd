"""Views are shared, bounded in number, and absent when the main thread is silent."""

from __future__ import annotations

import threading

from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk, Errand
from credfresh.metrics.observer import LEAST_AGE, REST, Observer
from credfresh.metrics.snapshot import RawSnapshot, take
from fakes import FakeClock, Unguarded, profile, settings
from simulation import Simulation


class Counter:
    """Takes and counts snapshots; keeps errands back while the main thread is said to hang."""

    def __init__(self, *, patience: float = 0.01, took: float = 0.0) -> None:
        self.clock = FakeClock()
        self.took = took
        self.taken = 0
        self.hangs = False
        self.errands: list[Errand] = []
        sim = Simulation(settings(profile()))
        sim.start()
        self.desk = Desk(sim.settings, sim.supervisor, Agenda(), self.clock, self.post, Unguarded())
        self.observer = Observer(self.desk, self.take, patience=patience)

    def take(self) -> RawSnapshot:
        self.taken += 1
        self.clock.advance(self.took)
        return take(self.desk, {}, None)

    def post(self, errand: Errand) -> None:
        if self.hangs:
            self.errands.append(errand)
        else:
            errand.run()


def test_requests_within_a_second_share_one_snapshot() -> None:
    """All who ask within a second get the same view."""
    counter = Counter()

    views = [counter.observer.view() for _ in range(1000)]

    assert 1 == counter.taken
    assert 1 == len({id(view) for view in views})


def test_a_view_that_is_a_second_old_is_not_served_again() -> None:
    """A view that is a second old is not served again."""
    counter = Counter()
    first = counter.observer.view()
    counter.clock.advance(LEAST_AGE)

    assert counter.observer.view() is not first


def test_a_costly_view_is_served_for_longer() -> None:
    """Whoever asks without end costs a twentieth of the time at most."""
    counter = Counter(took=1.0)

    counter.observer.view()
    counter.clock.advance(REST - 1.1)
    counter.observer.view()
    assert 1 == counter.taken
    counter.clock.advance(0.1)
    counter.observer.view()
    assert 2 == counter.taken


def test_a_view_asked_for_since_a_moment_is_newer_than_that() -> None:
    """With `since` the view is newer, so a change is in whatever is written after it."""
    counter = Counter()
    first = counter.observer.view()
    counter.clock.advance(0.5)

    second = counter.observer.view(since=counter.clock().boot)

    assert second is not first
    assert second is counter.observer.view(since=counter.clock().boot)


def test_a_file_that_is_gone_is_seen_although_the_daemon_believes_otherwise() -> None:
    """The daemon says fresh and the disk has nothing, so the profile is missing and unhealthy."""
    counter = Counter()

    view = counter.observer.view()

    assert view is not None
    assert not view.healthy
    assert ["missing"] == [one.state for one in view.profiles]


def test_a_silent_main_thread_is_asked_once() -> None:
    """However long it hangs, one errand waits for it, and its answer is used when it comes."""
    counter = Counter()
    counter.hangs = True

    assert [None, None] == [counter.observer.view() for _ in range(2)]
    assert 1 == len(counter.errands)
    counter.errands[0].run()
    assert counter.observer.view() is not None


def test_an_answer_that_nobody_waited_for_is_not_served_later() -> None:
    """The main thread hung once, and nobody asked for an hour: how things were then is no news."""
    counter = Counter()
    counter.hangs = True
    assert counter.observer.view() is None
    counter.errands[0].run()
    counter.hangs = False
    counter.clock.advance(3600)

    view = counter.observer.view()

    assert view is not None
    assert counter.clock() == view.snapshot.taken


def test_a_view_asked_for_since_a_change_contains_it() -> None:
    """An answer that was taken before the change will not do, however new it is."""
    counter = Counter()
    counter.hangs = True
    assert counter.observer.view() is None
    counter.errands[0].run()
    counter.hangs = False
    counter.clock.advance(LEAST_AGE / 2)

    view = counter.observer.view(since=counter.clock().boot)

    assert view is not None
    assert counter.clock() == view.snapshot.taken


def test_closing_frees_callers_that_wait() -> None:
    """A caller that waits gets None when the observer is closed."""
    counter = Counter(patience=60)
    counter.hangs = True
    got: list[object] = []
    waiting = threading.Thread(target=lambda: got.append(counter.observer.view()))
    waiting.start()
    while not counter.errands:
        threading.Event().wait(0.001)

    counter.observer.close()

    waiting.join(10)
    assert [None] == got
    assert counter.observer.view() is None
    assert 1 == len(counter.errands)


def test_a_main_thread_that_falls_silent_is_not_served_from_memory() -> None:
    """The last view from before it hung is not served as the present state."""
    counter = Counter()
    assert counter.observer.view() is not None
    counter.hangs = True
    counter.clock.advance(LEAST_AGE)

    assert counter.observer.view() is None
