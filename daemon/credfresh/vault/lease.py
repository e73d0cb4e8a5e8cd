"""Decides which of several hubs renews, by a lease that is kept by check-and-set in the engine.

No two clocks are compared. The leader counts from just before it sent its last write, and stops
before the lease is up. The others count from when they first saw the record's present version, and
take the lease when that has not changed for a whole lease. So a leader that was paused or cut off
stops by its own clock before another hub starts by its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from credfresh.values import dataclass

LEASE = 15.0
"""Seconds that a lease lasts after its holder's last write."""

MARGIN = 0.8
"""The share of the lease after which the holder stops leading."""

BEAT = 3.0
"""Seconds between two looks at the lease."""

RECORD = ".lease"
"""The name of the record below the prefix; no profile can have this name."""


@dataclass(frozen=True, slots=True)
class Record:
    """What stands in the engine: the hub that holds the lease, None if it was given back."""

    version: int
    holder: str | None


@dataclass(frozen=True, slots=True)
class Write:
    """What to do next: write the record for `holder`, if `cas` is still the newest version."""

    cas: int
    holder: str | None


@dataclass(slots=True)
class Lease:
    """One hub's view of the lease. Times are seconds of a clock that cannot be stepped."""

    name: str
    """The name of this hub: unique among hubs, and different at each start."""
    _version: int = 0
    _held_until: float | None = None
    _seen: int | None = None
    _seen_at: float = 0.0

    def held(self, now: float) -> bool:
        """Say whether this hub leads."""
        return self._held_until is not None and now < self._held_until

    def next(self, now: float) -> Write | Literal["read"]:
        """Return what to do at a look: write if this hub leads, else read the record."""
        return Write(self._version, self.name) if self.held(now) else "read"

    def saw(self, record: Record, now: float) -> Write | None:
        """Note the record that a hub has read which does not lead; return a write if it is free."""
        if record.version != self._seen:
            self._seen, self._seen_at = record.version, now
        free = record.holder is None or record.holder == self.name
        return Write(record.version, self.name) if free or now - self._seen_at >= LEASE else None

    def wrote(self, version: int, sent: float) -> None:
        """Note that our write succeeded, as this version; it was sent at `sent`."""
        self._version, self._held_until, self._seen = version, sent + MARGIN * LEASE, None

    def lost(self) -> None:
        """Note that another hub has written the record."""
        self._held_until = self._seen = None

    def give_back(self, now: float) -> Write | None:
        """Stop leading; return the write that frees the lease, None if this hub does not lead."""
        held, self._held_until = self.held(now), None
        return Write(self._version, None) if held else None


def encoded(holder: str | None) -> dict[str, object]:
    """Return the record's document."""
    return {"v": 1, "holder": holder or ""}


def decoded(version: int, document: Mapping[str, object] | None) -> Record:
    """Return what a document says; without a holder in it, the lease is free."""
    holder = document.get("holder") if document is not None else ""
    return Record(version, str(holder) if holder else None)
