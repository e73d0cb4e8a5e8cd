"""Limits how many lines of one kind are logged: ten thousand profiles may fail at once.

Of each kind so many lines a minute are told; the rest of that minute is counted, and told as one
line. What the others would have said of their profiles is in status, metrics and page.
"""

from __future__ import annotations

from dataclasses import dataclass

from credfresh.events import Emit
from credfresh.model import Clock, Instant

MOST = 100
"""Lines of one kind that are told in one window."""

WINDOW = 60.0
"""Seconds."""

ALWAYS = frozenset({"credentials_renewed"})
"""Told each time: the access key id in it is what CloudTrail is searched by, and there are no
more of them a second than `sts.calls_per_second` allows."""


@dataclass(slots=True)
class _Window:
    ends: float
    told: int = 0
    withheld: int = 0
    profile: object = None


class RateLimited:
    """An `Emit` for one thread; `look` wants turns, and `close` a call at the end."""

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit = emit
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def __call__(self, event: str, /, **fields: object) -> None:
        """Tell an event, or count it."""
        if event in ALWAYS:
            self._emit(event, **fields)
            return
        now = self._clock().boot
        window = self._windows.get(event)
        if window is None or now >= window.ends:
            self._end(event)
            window = self._windows[event] = _Window(ends=now + WINDOW)
        if window.told < MOST:
            window.told += 1
            self._emit(event, **fields)
        else:
            window.withheld += 1
            window.profile = fields.get("profile")

    def look(self, now: Instant) -> float:
        """Tell what was withheld in windows that have ended; return the seconds until the next."""
        for event in [event for event, window in self._windows.items() if now.boot >= window.ends]:
            self._end(event)
        return WINDOW

    def close(self) -> None:
        """Tell what was withheld so far."""
        for event in list(self._windows):
            self._end(event)

    def _end(self, event: str) -> None:
        window = self._windows.pop(event, None)
        if window is not None and window.withheld:
            self._emit("lines_withheld", name=event, lines=window.withheld, profile=window.profile)
