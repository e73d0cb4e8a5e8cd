"""What a publish asks of one file, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from credfresh import ownership
from credfresh.model import Grant
from credfresh.ownership import Piece
from credfresh.publication import Publication, Refusal, Wanted

REMEMBERED = 3600.0
"""Seconds after its expiration that an access key id of ours is still known as ours."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The sections to put, to leave as they stand, and to take away."""

    put: Mapping[str, Piece]
    leave: frozenset[str]
    withdraw: frozenset[str]
    refused: tuple[Refusal, ...]


class Pieces:
    """Renders publications, each once while it stays the same object, and knows what we issued."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._rendered: dict[str, tuple[Publication, Piece]] = {}
        self.issued: dict[str, float] = {}
        """The access key ids that we issued or believe that we did, with their expiration."""

    def ask(self, wanted: Wanted) -> Asked:
        """Sort what is wanted; what cannot be written is refused and its section left alone."""
        put: dict[str, Piece] = {}
        leave: set[str] = set()
        withdraw: set[str] = set()
        refused: list[Refusal] = []
        for name, publication in wanted.items():
            held = self._rendered.get(name)
            section = publication.profile.section
            if held is not None and held[0] is publication:
                put[section] = held[1]
            elif publication.withdraw:
                withdraw.add(section)
            elif publication.grant is None:
                leave.add(section)
            else:
                try:
                    put[section] = self._render(publication, publication.grant)
                except ValueError as error:
                    leave.add(section)
                    refused.append(_unwritable(publication, error))
        for name in self._rendered.keys() - wanted.keys():
            del self._rendered[name]
        return Asked(put, frozenset(leave), frozenset(withdraw), tuple(refused))

    def forget(self, now: float) -> None:
        """Forget ids that expired long before wall second `now`."""
        for key in [key for key, end in self.issued.items() if end + REMEMBERED < now]:
            del self.issued[key]

    def _render(self, publication: Publication, grant: Grant) -> Piece:
        piece = ownership.piece(publication, self._instance)
        self._rendered[publication.profile.name] = publication, piece
        self.issued[grant.credentials.access_key_id] = grant.credentials.expiration
        return piece


def _unwritable(publication: Publication, error: ValueError) -> Refusal:
    return Refusal(
        publication.profile.name,
        "unwritable",
        f"what was granted cannot be written: {error}",
        "a shared credentials file takes printable ASCII alone: look at what answers for STS",
    )
