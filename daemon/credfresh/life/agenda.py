"""What the main thread does from time to time: each chore says when it wants its next turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from credfresh.life.guard import Guard
from credfresh.model import Instant

AGAIN = 10.0
"""Seconds after which a chore that went wrong has another turn."""

Chore = Callable[[Instant], float]
"""Takes its turn, quickly; returns the seconds until the next one."""


@dataclass(slots=True)
class Agenda:
    """Chores and their next turns, by a clock that cannot be stepped.

    With a `guard` a chore that raises ends nothing and is tried again.
    """

    guard: Guard | None = None
    _next: dict[Chore, float] = field(default_factory=dict)

    def add(self, chore: Chore) -> None:
        """Give `chore` its first turn now."""
        self._next[chore] = 0.0

    def hasten(self, chore: Chore) -> None:
        """Give `chore` its next turn now."""
        self._next[chore] = 0.0

    def remove(self, chore: Chore) -> None:
        """Give `chore` no turn any more."""
        self._next.pop(chore, None)

    def turn(self, now: Instant) -> float:
        """Do what is due; return the seconds until something is."""
        for chore, at in list(self._next.items()):
            if at <= now.boot:
                self._take_turn(chore, now)
        return max(0.0, min(self._next.values(), default=now.boot) - now.boot)

    def _take_turn(self, chore: Chore, now: Instant) -> None:
        def act() -> None:
            self._next[chore] = now.boot + chore(now)

        if self.guard is None:
            act()
        elif not self.guard(act):
            self._next[chore] = now.boot + AGAIN
