"""Keeps the status page, rendered once for all requests with the same filter.

A view is good for a second at least, and its pages are kept as long as it is. So a flood of
requests for one page costs one rendering for each view; a flood of ever new filters takes a fifth
of the time.
"""

from __future__ import annotations

import threading

from credfresh.metrics import page
from credfresh.metrics.view import View
from credfresh.model import Clock

REST = 4.0
"""After a filtered page the next new filter waits this many times as long as that took to make."""

MOST_KEPT = 16
"""Pages of one view that are kept, 300 KB each at most."""

EVERYTHING = page.Filter()


class PageCache:
    """Renders and keeps pages. Any thread may ask."""

    def __init__(self, *, hostname: str, clock: Clock) -> None:
        self._hostname = hostname
        self._clock = clock
        self._lock = threading.Lock()
        self._of: View | None = None
        self._kept: dict[page.Filter, bytes] = {}
        self._next = 0.0

    def get(self, view: View, chosen: page.Filter) -> bytes | None:
        """Return the page; None if too many filters were asked for: ask again in a second."""
        with self._lock:
            if view is not self._of:
                self._of, self._kept = view, {}
            known = self._kept.get(chosen)
            if known is not None:
                return known
            began = self._clock().boot
            if chosen != EVERYTHING and began < self._next:
                return None
            body = page.render(view, chosen, hostname=self._hostname).encode()
            if chosen != EVERYTHING:
                now = self._clock().boot
                self._next = now + REST * (now - began)
            self._keep(chosen, body)
            return body

    def _keep(self, chosen: page.Filter, body: bytes) -> None:
        self._kept[chosen] = body
        if len(self._kept) > MOST_KEPT:
            oldest = next(one for one in self._kept if one != EVERYTHING)
            del self._kept[oldest]
