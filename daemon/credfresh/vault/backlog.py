"""What a hub still has to publish in the engine: the newest of each profile, nothing older."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from credfresh.publication import Publication


class Backlog:
    """Profiles that wait, each with what should stand now. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Publication | None] = {}

    def note(self, changes: Mapping[str, Publication | None]) -> bool:
        """Let these wait too; what waited of the same profile is overtaken. Say if any does."""
        with self._lock:
            for name, publication in changes.items():
                if publication is None or publication.withdraw or publication.grant is not None:
                    self._waiting[name] = publication
            return bool(self._waiting)

    def waiting(self) -> list[tuple[str, Publication | None]]:
        """Return what waits: what came first, and has not been postponed since, first."""
        with self._lock:
            return list(self._waiting.items())

    def postpone(self, name: str) -> None:
        """Let all others go before it."""
        with self._lock:
            self._waiting[name] = self._waiting.pop(name)

    def done(self, name: str, publication: Publication | None) -> None:
        """It need not wait any more, unless it was overtaken meanwhile."""
        with self._lock:
            if name in self._waiting and self._waiting[name] is publication:
                del self._waiting[name]
