"""Which of the attempts that are due may start now. Pure: the time is passed in.

An attempt that is due waits for three things and nothing else: the rate (calls per second),
a free worker, and, while its endpoint or source is suspect, the one probe that is allowed
there. Of those that may start, the one whose published credentials expire first goes first.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field

from credfresh.errors import Scope

BURST_SECONDS = 0.1
"""Calls that may start at once after a rest, as seconds of the rate (at least one call)."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The two things that an attempt depends on beside its own request."""

    endpoint: str
    source: str


@dataclass(slots=True)
class Admission:
    """The queue of attempts that are due. Times are seconds of a clock that cannot be stepped."""

    calls_per_second: float
    _queues: dict[Lane, list[tuple[float, str]]] = field(default_factory=dict)
    _lane_of: dict[str, Lane] = field(default_factory=dict)
    _flying: Counter[str] = field(default_factory=Counter)
    _suspect: set[str] = field(default_factory=set)
    _next_call: float = -math.inf
    _full: bool = False
    """Whether the last `admit` ended for want of slots."""

    def enqueue(self, name: str, lane: Lane, expires: float) -> None:
        """Let `name` wait for its turn; `expires` orders (the earliest first)."""
        if name in self._lane_of:
            return
        self._lane_of[name] = lane
        heapq.heappush(self._queues.setdefault(lane, []), (expires, name))

    def discard(self, name: str) -> None:
        """Forget a waiting `name` (its profile is gone)."""
        lane = self._lane_of.pop(name, None)
        if lane is not None:
            kept = [item for item in self._queues[lane] if item[1] != name]
            heapq.heapify(kept)
            self._queues[lane] = kept

    def waiting(self) -> int:
        """Return how many attempts wait."""
        return len(self._lane_of)

    def admit(self, now: float, slots: int) -> list[str]:
        """Take up to `slots` attempts that may start now off the queue; they are in flight then."""
        admitted: list[str] = []
        while len(admitted) < slots and self._next_call <= now:
            lane = self._first_lane()
            if lane is None:
                break
            _, name = heapq.heappop(self._queues[lane])
            del self._lane_of[name]
            self._flying.update(_keys(lane))
            self._spend(now)
            admitted.append(name)
        self._full = len(admitted) >= slots
        return admitted

    def finished(self, lane: Lane, failed: Scope | None) -> None:
        """Note the end of an attempt: `failed` says what it is evidence about, None a success."""
        endpoint, source = _keys(lane)
        self._flying.subtract((endpoint, source))
        match failed:
            case None:
                self._suspect -= {endpoint, source}
            case Scope.ENDPOINT:
                self._suspect.add(endpoint)
            case Scope.SOURCE:
                self._suspect.add(source)
            case Scope.PROFILE:
                # The endpoint answered with an opinion on this request: it is reachable.
                self._suspect.discard(endpoint)
            case Scope.NONE:
                pass

    def next_in(self, now: float) -> float | None:
        """Return the seconds until the rate allows what waits; None if none waits for it.

        Those that wait start together, as many as a burst may be: one wake-up serves them all.
        Attempts that wait for a worker or a probe go when something finishes.
        """
        if self._full or self._first_lane() is None:
            return None
        burst = max(1, int(self.calls_per_second * BURST_SECONDS))
        together = min(self.waiting(), burst)
        return max(0.0, self._next_call + (together - 1) / self.calls_per_second - now)

    def _first_lane(self) -> Lane | None:
        open_lanes = [
            (queue[0], lane)
            for lane, queue in self._queues.items()
            if queue and not any(k in self._suspect and self._flying[k] > 0 for k in _keys(lane))
        ]
        return min(open_lanes, key=lambda item: item[0])[1] if open_lanes else None

    def _spend(self, now: float) -> None:
        burst = max(1.0 / self.calls_per_second, BURST_SECONDS)
        earliest = now - burst + 1.0 / self.calls_per_second
        self._next_call = max(self._next_call, earliest) + 1.0 / self.calls_per_second


def _keys(lane: Lane) -> tuple[str, str]:
    return (f"endpoint {lane.endpoint}", f"source {lane.source}")
