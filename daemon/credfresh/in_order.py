"""Several destinations as one.

The first one remembers: what stands in it is believed at the next start, and the others are
brought to it. So it is published first. Whatever happens between two of them (a crash, a full
disk), what is believed then is never older than what stands in the others, and no reader is taken
back. That one is ahead of the other for a moment hurts nobody: the keys of the section and those
of the twin are both valid until their own expiration, and a renewal revokes nothing.

Taking away goes the same way, and one that fails stops no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from credfresh.model import Grant
from credfresh.publication import Outcomes, Wanted
from credfresh.renewer import Destination
from credfresh.settings import Profile


class Claimable(Destination, Protocol):
    """A destination that is claimed for life."""

    def claim(self) -> None:
        """Become the only daemon that keeps it.

        Raises:
            AlreadyRunningError: another one does.
        """

    def release(self) -> None:
        """Let another one have it."""


class Remembering(Claimable, Protocol):
    """One that knows, after a restart, what was published."""

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        """Return what is still published, by profile."""


class InOrder:
    """Publishes to the one that remembers, then to the others."""

    def __init__(self, first: Remembering, *others: Claimable) -> None:
        self._first = first
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
        """Let another daemon have them."""
        for destination in self._all:
            destination.release()

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        """Return what the first says is published, by profile."""
        return self._first.standing(profiles)

    def publish(self, wanted: Wanted) -> Outcomes:
        """Publish everywhere, each one whatever became of those before it."""
        outcomes = dict(self._first.publish(wanted))
        for destination in self._all[1:]:
            outcomes.update(destination.publish(wanted))
        return outcomes

    def tick(self) -> bool:
        """Look after all of them; True asks for another `publish`."""
        again = [destination.tick() for destination in self._all]  # all of them: no generator
        return any(again)
