"""When to write: many renewals in one write, urgent ones at once. Pure.

A write costs as much for one renewal as for all, so it waits for quiet. The longer a write took,
the longer the next one waits, and the later it may start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

QUIET = 0.05
"""Seconds without a new renewal before a publish starts, at least."""

QUIET_TIMES = 15.0
"""The quiet before a publish, as a multiple of what the last one took: bursts have gaps."""

MOST_WAIT = 0.5
"""Seconds after the first unpublished renewal at which a publish starts without quiet, at least."""

MOST_WAIT_TIMES = 200.0
"""The longest wait before a publish for quiet, as a multiple of what the last one took."""

REST = 250.0
"""The rest after a publish, as a multiple of what it took: so writing takes at most 0.4 % of the
time. (At 50 times, ten thousand profiles spent more on it than on STS.)"""

DELAY_SHARE = 0.005
"""The longest wait and the longest rest, as a share of the shortest lifetime: together with the
length of a burst (`policy.BURST`) less than the least jitter."""

MOST_DELAY = 20.0
"""The longest wait and the longest rest, seconds."""

URGENT_REST = 0.5
"""The longest rest before an urgent publish, seconds: without a rest, a cold start would write the
whole file once for each of its profiles."""


@dataclass(slots=True)
class Coalescer:
    """Says when to publish next. Times are seconds of a clock that cannot be stepped."""

    limit: float = MOST_DELAY
    """The longest wait and the longest rest, seconds, for any lifetime."""
    rest_times: float = REST
    """The rest after a publish at most, as a multiple of what it took."""
    patient: bool = True
    """Whether the wait for quiet grows with the time that a publish takes."""
    _first: float | None = None
    _last: float = 0.0
    _urgent: bool = False
    _ended: float = 0.0
    _rest: float = 0.0
    _quiet: float = QUIET
    _most_wait: float = MOST_WAIT

    def note(self, now: float, *, urgent: bool) -> None:
        """Note that a renewal has come in; an urgent one does not wait for quiet."""
        if self._first is None:
            self._first = now
        self._last = now
        self._urgent = self._urgent or urgent

    def due_at(self) -> float | None:
        """Return when to start; None if nothing waits."""
        if self._first is None:
            return None
        if self._urgent:
            return max(self._first, self._ended + min(self._rest, URGENT_REST))
        calm = min(self._last + self._quiet, self._first + self._most_wait)
        return max(calm, self._ended + self._rest)

    def started(self) -> None:
        """Note that a publish has started, with all that has come in so far."""
        self._first = None
        self._urgent = False

    def ended(self, now: float, took: float, shortest: float = math.inf) -> None:
        """Note that a publish has ended, after `took` seconds; `shortest` is the least lifetime."""
        self._ended = now
        limit = min(self.limit, DELAY_SHARE * shortest)
        self._rest = min(self.rest_times * took, limit)
        if self.patient:
            self._quiet = max(QUIET, min(QUIET_TIMES * took, limit))
            self._most_wait = max(MOST_WAIT, min(MOST_WAIT_TIMES * took, limit))
