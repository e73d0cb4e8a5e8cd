"""When the service counts as up, and the one line that says how it is."""

from __future__ import annotations

from credfresh.events import Emit
from credfresh.life.desk import Desk
from credfresh.model import Instant
from credfresh.notify import Notifier
from credfresh.publisher import Published
from credfresh.summary import one_line

LIMIT = 300.0
"""Seconds after which readiness is told whatever the state of the profiles."""

WAITING = 1.0
"""Seconds between two looks until the service is up."""

UP = 30.0
"""Seconds between two looks afterwards, at least."""

EACH = 0.012
"""The same for each profile: to look at ten thousand costs as much as ten renewals."""

EXTENSION = 10.0
"""Seconds by which the manager's patience is extended at each look."""


class Readiness:
    """Tells the service manager when we are ready, and keeps its status line."""

    def __init__(self, desk: Desk, notifier: Notifier, emit: Emit) -> None:
        self._desk = desk
        self._notifier = notifier
        self._emit = emit
        self._give_up: float | None = None
        self._published_once = False
        """Whether a first publish has ended, well or not."""
        # Whoever waits for us learns at once that what it needs is on disk.
        desk.on_published.append(self._published)

    def look(self, now: Instant) -> float:
        """Judge, tell, and return the seconds until the next look."""
        if not self._desk.ready:
            self._consider(now)
        self._notifier.status(self._line(now))
        return max(UP, EACH * len(self._desk.supervisor.roster)) if self._desk.ready else WAITING

    def reloading(self) -> None:
        """A reload begins."""
        self._notifier.reloading()

    def reloaded(self, now: Instant) -> None:
        """It has ended, however it went."""
        self._notifier.status(self._line(now))
        if self._desk.ready:
            self._notifier.ready()

    def _published(self, _published: Published) -> None:
        self._published_once = True
        if not self._desk.ready:
            self._desk.agenda.hasten(self.look)

    def _consider(self, now: Instant) -> None:
        if self._give_up is None:
            self._give_up = now.boot + LIMIT
        settings = self._desk.settings
        # What stood in the files says nothing of the twins: they may be gone, or never have been.
        settled = (
            self._published_once or not settings.twin_directories
        ) and self._desk.supervisor.roster.settled(now, fresh=settings.ready == "fresh")
        if settled or now.boot >= self._give_up:
            self._desk.ready = True
            self._notifier.ready()
            self._emit("daemon_ready", settled=settled)
        else:
            self._notifier.extend(EXTENSION)

    def _line(self, now: Instant) -> str:
        line = one_line(
            (e.profile.name, e.state(now), None if e.withdrawn else now.until(e.due))
            for e in self._desk.supervisor.roster
        )
        last = self._desk.last_reload
        refusal = last.refusal if last is not None else None
        return f"{line}; reload refused: {refusal}" if refusal is not None else line
