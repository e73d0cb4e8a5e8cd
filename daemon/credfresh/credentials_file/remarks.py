"""The remarks of a destination: events are told each time, conditions when they begin."""

from __future__ import annotations

from credfresh.publication import Remark
from credfresh.splice.ownership import Merge

Value = str | int | float


class Remarks:
    """Collects the remarks of one publish at a time, for one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._events: dict[Remark, None] = {}
        self._conditions: dict[tuple[str, str], Remark] = {}
        self._told: set[tuple[str, str]] = set()
        self._told_for_good: set[str] = set()

    def event(self, name: str, **fields: Value) -> None:
        """Tell of something that has happened."""
        self._events[self._remark(name, fields)] = None

    def once(self, name: str, **fields: Value) -> None:
        """Tell of something once and for all: it stays so."""
        if name not in self._told_for_good:
            self._told_for_good.add(name)
            self.event(name, **fields)

    def condition(self, name: str, about: str = "", /, **fields: Value) -> None:
        """Tell of something that is the case, once until it has ceased to be.

        `about` tells two cases of one name apart; the fields do not.
        """
        self._conditions[name, about] = self._remark(name, fields)

    def merged(self, merged: Merge) -> None:
        """Tell of what a merge has met."""
        for section in merged.repaired:
            self.event("section_repaired", section=section)
        for section in merged.adopted:
            self.event("section_adopted", section=section)
        if merged.flaws:
            worst = next((flaw for flaw in merged.flaws if flaw.fatal), merged.flaws[0])
            self.condition(
                "file_flawed",
                f"{worst.line} {worst.code}",
                line=worst.line,
                code=worst.code,
                reason=worst.reason,
                unreadable=worst.fatal,
                flaws=len(merged.flaws),
            )

    def take(self) -> tuple[Remark, ...]:
        """Return the remarks that are new, and begin anew."""
        new = [remark for case, remark in self._conditions.items() if case not in self._told]
        taken = (*self._events, *new)
        self._told = set(self._conditions)
        self._events.clear()
        self._conditions.clear()
        return taken

    def _remark(self, name: str, fields: dict[str, Value]) -> Remark:
        return Remark(name, (("path", self.path), *fields.items()))
