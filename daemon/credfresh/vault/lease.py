"""Which of several hubs renews: a lease kept by check-and-set in the engine itself.

Nobody compares clocks. The leader counts from the moment before its last write left, and stops
before the lease is up; the others count from when they first saw the record as it stands, and take
it when it has not changed for a whole lease. So a leader that was paused, or partitioned, has
stopped by its own clock before another one starts by its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LEASE = 15.0
"""Seconds that a lease lasts without a word of its holder."""

MARGIN = 0.8
"""The share of the lease after which the holder itself stops believing in it."""

BEAT = 3.0
"""Seconds between two looks."""

RECORD = ".lease"
"""The name of the record below the prefix; no profile can be called so."""


@dataclass(frozen=True, slots=True)
class Record:
    """What stands in the engine: who holds the lease, None when it was given back."""

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
    """This hub: unique among hubs, another one at each start."""
    _version: int = 0
    _held_until: float | None = None
    _seen: int | None = None
    _seen_at: float = 0.0

    def held(self, now: float) -> bool:
        """Say whether this hub leads."""
        return self._held_until is not None and now < self._held_until

    def next(self, now: float) -> Write | Literal["read"]:
        """Say what to do at a look."""
        return Write(self._version, self.name) if self.held(now) else "read"

    def saw(self, record: Record, now: float) -> Write | None:
        """Take note of the record, read by a hub that does not lead; a write where it is free."""
        if record.version != self._seen:
            self._seen, self._seen_at = record.version, now
        free = record.holder is None or record.holder == self.name
        return Write(record.version, self.name) if free or now - self._seen_at >= LEASE else None

    def wrote(self, version: int, sent: float) -> None:
        """The record is ours, by a write that left at `sent`."""
        self._version, self._held_until, self._seen = version, sent + MARGIN * LEASE, None

    def lost(self) -> None:
        """Somebody else wrote it."""
        self._held_until = self._seen = None

    def give_back(self, now: float) -> Write | None:
        """Return the write that lets another hub lead at once; None when this one does not."""
        held, self._held_until = self.held(now), None
        return Write(self._version, None) if held else None


def encoded(holder: str | None) -> dict[str, object]:
    """Return the record's document."""
    return {"v": 1, "holder": holder or ""}


def decoded(version: int, document: Mapping[str, object] | None) -> Record:
    """Read the record; what is not understood is nobody's, but takes a whole lease to be so."""
    holder = document.get("holder") if document is not None else ""
    return Record(version, str(holder) if holder else None)
