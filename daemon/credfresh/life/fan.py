"""Several outlets as one: what is renewed goes to each of them, and none waits for another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from credfresh.life.ports import Outlet
from credfresh.publication import Publication


class Fan:
    """An `Outlet` that passes everything on."""

    def __init__(self, outlets: Iterable[Outlet]) -> None:
        self._outlets = tuple(outlets)

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Publish these too, everywhere."""
        for outlet in self._outlets:
            outlet.update(changes, urgent=urgent)
