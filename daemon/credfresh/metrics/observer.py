"""Gives views of the daemon to other threads; requests at the same time share one view."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from credfresh.life.desk import Desk, Errand
from credfresh.metrics.reader import Reader, stands
from credfresh.metrics.snapshot import RawSnapshot, Snapshot, unfold
from credfresh.metrics.view import View, judge

PATIENCE = 2.0
"""Seconds that we wait for the main thread; if it is silent for longer it is not healthy."""

LEAST_AGE = 1.0
"""Seconds for which a view is good at least: nobody needs newer ones."""

REST = 20.0
"""A view is good for this many times as long as it took to make: so making takes at most 5 %."""


class Observer:
    """Gets snapshots from the main thread and judges them. For threads other than the main one.

    `take` is called in the main thread; it must be quick and not raise.
    """

    def __init__(
        self, desk: Desk, take: Callable[[], RawSnapshot], *, patience: float = PATIENCE
    ) -> None:
        self._desk = desk
        # A reload may name another, which the files bear from the next start on.
        self._instance = desk.settings.instance
        self._take = take
        self._patience = patience
        self._reader = Reader()
        self._lock = threading.Lock()
        self._asked: SimpleQueue[RawSnapshot | None] | None = None
        self._closed = False
        self._view: View | None = None
        self._good_until = 0.0

    def close(self) -> None:
        """Give no more views; release those who wait for the main thread, which calls this."""
        self._closed = True
        if self._asked is not None:
            self._asked.put(None)

    def view(self, since: float = 0.0) -> View | None:
        """Return a view of now, or of a moment ago but not before boot-clock second `since`.

        None if the main thread does not answer.
        """
        with self._lock:
            began = self._desk.clock().boot
            known = self._view
            if (
                known is not None
                and known.snapshot.taken.boot >= since
                and began < self._good_until
            ):
                return known
            snapshot = self._snapshot(max(since, began - LEAST_AGE))
            if snapshot is None:
                return None
            wall = snapshot.taken.wall
            self._view = judge(
                snapshot, lambda path: self._reader.sections(path, self._instance, wall), stands
            )
            took = self._desk.clock().boot - began
            self._good_until = began + max(LEAST_AGE, REST * took)
            return self._view

    def _snapshot(self, since: float) -> Snapshot | None:
        taken = self._answer()
        if taken is not None and taken.now.boot < since:  # it answers an earlier one
            taken = self._answer()
        return None if taken is None else unfold(taken)

    def _answer(self) -> RawSnapshot | None:
        # If an errand is still waiting, its answer is awaited; no other one is sent.
        asked = self._asked
        if self._closed:
            return None
        if asked is None:
            asked = self._asked = SimpleQueue()
            self._desk.post(Errand(lambda: asked.put(self._take())))
        try:
            taken = asked.get(timeout=self._patience)
        except Empty:
            return None
        self._asked = None
        return taken
