"""Several outlets as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from credfresh.life.guard import Guard
from credfresh.life.ports import Outlet
from credfresh.publication import Publication


class Fan:
    """An `Outlet` that passes everything on: to `first`, and guarded to all the others."""

    def __init__(self, first: Outlet, others: Iterable[Outlet], guard: Guard) -> None:
        self._first = first
        self._others = tuple(others)
        self._guard = guard

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Pass these on to all."""
        self._first.update(changes, urgent=urgent)
        self.pass_on(changes, urgent=urgent)

    def pass_on(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Pass these on to all but the first, which has them already."""
        for outlet in self._others:
            self._guard(partial(outlet.update, changes, urgent=urgent))
