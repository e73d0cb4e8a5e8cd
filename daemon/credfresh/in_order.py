"""Several destinations as one.

The first one remembers: what stands in it is believed at the next start, and the others are made
equal to it. So it is published first. Whatever happens between two of them (a crash, a full disk),
what is believed then is never older than what stands in the others, and no reader gets older keys
than before. It hurts nobody if one is ahead of the other for a moment: the keys of the section and
those of the twin are valid until their own expiration, and a renewal revokes nothing.

Removals go in the same order, and a failure of one stops no other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from credfresh.model import Grant
from credfresh.publication import Outcomes, Wanted
from credfresh.renewer import Destination
from credfresh.settings import Profile


class Claimable(Destination, Protocol):
    """A destination that one daemon claims for as long as it runs."""

    def claim(self) -> None:
        """Become the only daemon that writes it.

        Raises:
            AlreadyRunningError: another one does.
        """

    def release(self) -> None:
        """Give the claim up."""


class Remembering(Claimable, Protocol):
    """A destination that knows, after a restart, what was published."""

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        """Return the credentials that are still published, by profile."""


class First(Remembering, Protocol):
    """A destination that remembers, and whose memory others can help."""

    def recognise(self, access_key_ids: Collection[str]) -> None:
        """Know these access key ids, too, as ones that we issued."""


class Following(Claimable, Protocol):
    """A destination that is made equal to the one that remembers."""

    def issued_to(self, profiles: Mapping[str, Profile]) -> Collection[str]:
        """Return the access key ids that stand in it for `profiles`, if we provably issued them."""


class InOrder:
    """Publishes to the destination that remembers, then to the others."""

    def __init__(self, first: First, *others: Following) -> None:
        self._first = first
        self._others = others
        self._all: tuple[Claimable, ...] = (first, *others)

    def claim(self) -> None:
        """Claim all of them, or none.

        Raises:
            AlreadyRunningError: another daemon keeps one.
        """
        try:
            for destination in self._all:
                destination.claim()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give all claims up."""
        for destination in self._all:
            destination.release()

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        """Return the credentials that stand in the first, by profile.

        What somebody altered there while no daemon ran is not believed; but if the others prove
        that we issued it, it can be put back.
        """
        grants = self._first.standing(profiles)
        doubtful = {name: profile for name, profile in profiles.items() if name not in grants}
        for other in self._others if doubtful else ():
            self._first.recognise(other.issued_to(doubtful))
        return grants

    def publish(self, wanted: Wanted) -> Outcomes:
        """Publish everywhere; a failure of one stops no other."""
        outcomes = dict(self._first.publish(wanted))
        for destination in self._others:
            outcomes.update(destination.publish(wanted))
        return outcomes

    def tick(self) -> bool:
        """Look after all of them; True asks for another `publish`."""
        again = [destination.tick() for destination in self._all]  # all of them: no generator
        return any(again)
