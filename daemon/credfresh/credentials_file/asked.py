"""What a publish asks of one file, section by section."""

from __future__ import annotations

from collections.abc import Mapping

from credfresh.publication import Publication, Refusal, Wanted
from credfresh.splice import ownership
from credfresh.splice.ownership import Piece
from credfresh.values import dataclass

REMEMBERED = 3600.0
"""Seconds after its expiration that an access key id of ours is still known as ours, at least."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The sections to put, to leave as they stand, and to take away. Valid until the next `ask`."""

    put: Mapping[str, Piece]
    leave: frozenset[str]
    withdraw: frozenset[str]
    refused: tuple[Refusal, ...]


class Pieces:
    """Renders publications, each object once, and remembers the access key ids that we issued."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._known: dict[str, Publication] = {}
        self._put: dict[str, Piece] = {}
        self._leave: set[str] = set()
        self._withdraw: set[str] = set()
        self._refused: dict[str, Refusal] = {}
        self.issued: dict[str, float] = {}
        """The access key ids that we issued or believe that we did, with their expiration."""
        self._forget_at = 0.0

    def ask(self, wanted: Wanted) -> Asked:
        """Sort what is wanted. What cannot be written is refused, and its section left alone.

        Only what changed since the last call is looked at.
        """
        known = self._known
        changed = [name for name, each in wanted.items() if known.get(name) is not each]
        for name in [name for name in changed if name in known] + self._gone(wanted, changed):
            self._take_out(name, stays=wanted.get(name))
        for name in changed:
            known[name] = wanted[name]
            self._sort(wanted[name])
        return Asked(
            self._put,
            frozenset(self._leave),
            frozenset(self._withdraw),
            tuple(self._refused.values()),
        )

    def forget(self, now: float) -> None:
        """Forget ids that expired long before wall second `now`, except those still published."""
        if now < self._forget_at:
            return
        lapsed = {key for key, end in self.issued.items() if end + REMEMBERED < now}
        for key in lapsed.difference(
            each.grant.credentials.access_key_id for each in self._known.values() if each.grant
        ):
            del self.issued[key]
        self._forget_at = max(now, min(self.issued.values(), default=now)) + REMEMBERED

    def _gone(self, wanted: Wanted, changed: list[str]) -> list[str]:
        known = self._known
        if len(known) + sum(name not in known for name in changed) == len(wanted):
            return []
        return [name for name in known if name not in wanted]

    def _take_out(self, name: str, *, stays: Publication | None) -> None:
        section = self._known.pop(name).profile.section
        self._refused.pop(name, None)
        self._leave.discard(section)
        self._withdraw.discard(section)
        if stays is None or stays.grant is None or stays.profile.section != section:
            self._put.pop(section, None)  # else it is replaced, and keeps its place in the order

    def _sort(self, publication: Publication) -> None:
        section = publication.profile.section
        if publication.withdraw:
            self._withdraw.add(section)
            return
        if publication.grant is None:
            self._leave.add(section)
            return
        try:
            piece = ownership.piece(publication, self._instance)
        except ValueError as error:
            self._put.pop(section, None)
            self._leave.add(section)
            self._refused[publication.profile.name] = _unwritable(publication, error)
            return
        self._put[section] = piece
        credentials = publication.grant.credentials
        self.issued[credentials.access_key_id] = credentials.expiration


def _unwritable(publication: Publication, error: ValueError) -> Refusal:
    return Refusal(
        publication.profile.name,
        "unwritable",
        f"what was granted cannot be written: {error}",
        "a shared credentials file takes printable ASCII alone: look at what answers for STS",
    )
