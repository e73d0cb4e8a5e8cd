"""Whether every part of the daemon has shown life since the watchdog was last fed. Pure.

The parts are asked in rounds: in each, every part has to answer once. A part that is asked twice
may answer twice, and an answer that belongs to an earlier round proves nothing about this one.
"""

from __future__ import annotations

from collections.abc import Iterable


class Vitals:
    """The parts, and which of them have not answered in the round that is open."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._parts = tuple(parts)
        self._silent: set[str] = set()
        self.round = 0

    def open(self) -> None:
        """Begin a new round: nobody has answered."""
        self.round += 1
        self._silent = set(self._parts)

    @property
    def complete(self) -> bool:
        """Whether no round is open: all have answered, or none has been begun."""
        return not self._silent

    @property
    def silent(self) -> tuple[str, ...]:
        """Who has not answered, in the order of the parts."""
        return tuple(part for part in self._parts if part in self._silent)

    def answer(self, part: str, number: int) -> bool:
        """Take the answer that `part` gave to round `number`; say if it was the one missing."""
        if number != self.round or part not in self._silent:
            return False
        self._silent.discard(part)
        return self.complete
