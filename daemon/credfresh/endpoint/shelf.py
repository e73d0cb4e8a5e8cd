"""The credentials that the endpoint can serve, by the name in its URL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from credfresh import twin
from credfresh.model import Grant, Instant
from credfresh.publication import Publication
from credfresh.settings import Profile


class Shelf:
    """Filled by one thread and read by others: each entry is replaced in one step.

    An answer is rendered only when it is asked for: few hosts have the endpoint, all have renewals.
    """

    def __init__(self) -> None:
        self._offers: dict[str, tuple[Profile, Grant]] = {}

    def update(self, changes: Mapping[str, Publication | None]) -> None:
        """Offer what was granted; stop offering what was withdrawn or is gone.

        A publication without a grant says that nothing is in hand: what is offered stays.
        """
        for name, publication in changes.items():
            key = twin.safe_name(name)
            if publication is None or publication.withdraw:
                self._offers.pop(key, None)
            elif publication.grant is not None:
                self._offers[key] = publication.profile, publication.grant

    def keep(self, names: Iterable[str]) -> None:
        """Stop offering all other profiles than these."""
        for key in self._offers.keys() - {twin.safe_name(name) for name in names}:
            self._offers.pop(key, None)

    def take(self, key: str, now: Instant) -> bytes | None:
        """Return the answer for a profile; None if it has no valid credentials."""
        offer = self._offers.get(key)
        if offer is None:
            return None
        profile, grant = offer
        if now.reached(grant.expires_at):
            return None
        return twin.container_json(profile, grant.credentials)
