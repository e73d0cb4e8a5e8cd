"""Where attendants meet the main thread: parts that serve others while the daemon runs.

An attendant (control socket, endpoint, metrics, hooks) is opened before the first renewal and
closed after the last. It may have threads of its own. The daemon's state belongs to the main
thread, so an attendant that wants to see or change it sends an errand there. Errands are guarded:
no mistake of an attendant ends the daemon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from functools import partial
from typing import Protocol

from credfresh.life.agenda import Agenda
from credfresh.life.guard import Guard
from credfresh.life.reloader import Reload
from credfresh.life.supervisor import Supervisor
from credfresh.model import Clock
from credfresh.publisher import Published
from credfresh.settings import Settings
from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class Errand:
    """Something that the main thread is asked to do; it must be quick."""

    run: Callable[[], None]


@dataclass(slots=True)
class Desk:
    """What an attendant is given of the daemon. All but `post` is for the main thread."""

    settings: Settings
    """The settings in force; a reload replaces them."""
    supervisor: Supervisor
    agenda: Agenda
    clock: Clock
    post: Callable[[Errand], None]
    """Send an errand, from any thread."""
    guard: Guard
    reload: Callable[[], Reload] | None = None
    """Read the configuration again now; None where there is nothing to read it from."""
    last_reload: Reload | None = None
    """The outcome of the last reload; None before the first."""
    ready: bool = False
    """Whether the service manager has been told that the service is up."""
    on_changed: list[Callable[[], None]] = field(default_factory=list)
    """Called after each end of an attempt and each publish."""
    on_published: list[Callable[[Published], None]] = field(default_factory=list)
    """Called after each publish, when the supervisor has taken note of it."""
    on_reloaded: list[Callable[[Settings], None]] = field(default_factory=list)
    """Called after each reload that was accepted."""
    unfinished: list[Callable[[], bool]] = field(default_factory=list)
    """Asked before `once` ends: True while something that was begun is not done."""

    def changed(self) -> None:
        """Call `on_changed`."""
        for watcher in self.on_changed:
            self.guard(watcher)

    def published(self, message: Published) -> None:
        """Call `on_published`."""
        for listener in self.on_published:
            self.guard(partial(listener, message))

    def reloaded(self) -> None:
        """Call `on_reloaded`."""
        for listener in self.on_reloaded:
            self.guard(partial(listener, self.settings))

    def done(self) -> bool:
        """Say whether all that was begun is done."""
        return not any(unfinished() for unfinished in self.unfinished)


class Attendant(Protocol):
    """Serves others for as long as the daemon runs."""

    def open(self, desk: Desk) -> None:
        """Begin; called in the main thread, once.

        Raises:
            CredfreshError: it cannot; the daemon does not start then.
        """

    def close(self) -> None:
        """End within a second; called in the main thread, once, also when `open` raised."""
