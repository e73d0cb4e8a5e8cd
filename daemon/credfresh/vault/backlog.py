"""What a hub still has to publish in the engine: only the newest publication of each profile."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from credfresh.publication import Publication


class Backlog:
    """The profiles that wait, each with its newest publication. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Publication | None] = {}

    def note(self, changes: Mapping[str, Publication | None]) -> bool:
        """Add these, in place of older ones of the same profiles; say whether any profile waits."""
        with self._lock:
            for name, publication in changes.items():
                if publication is None or publication.withdraw or publication.grant is not None:
                    self._waiting[name] = publication
            return bool(self._waiting)

    def waiting(self) -> list[tuple[str, Publication | None]]:
        """Return the profiles that wait, in order, with their publications."""
        with self._lock:
            return list(self._waiting.items())

    def postpone(self, name: str) -> None:
        """Put a profile behind all others that wait."""
        with self._lock:
            self._waiting[name] = self._waiting.pop(name)

    def done(self, name: str, publication: Publication | None) -> None:
        """Remove a publication that is done, unless a newer one has replaced it meanwhile."""
        with self._lock:
            if name in self._waiting and self._waiting[name] is publication:
                del self._waiting[name]
