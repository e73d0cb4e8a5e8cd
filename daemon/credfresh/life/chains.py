"""Role chaining: a profile is renewed after its `source_profile`, and with its new keys."""

from __future__ import annotations

from collections.abc import Iterator

from credfresh.errors import RenewalError
from credfresh.life.entry import Entry, Phase
from credfresh.life.roster import Roster
from credfresh.model import Instant, SessionCredentials
from credfresh.renewer import parent_unusable


class Chains:
    """Answers, for the entries of `roster`, which one waits for which."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def must_wait(self, entry: Entry, now: Instant) -> bool:
        """Say whether its parent is about to renew, so that it should wait for the new keys.

        Only once: an entry that has waited goes ahead with the keys that there are.
        """
        parent = self._roster.parent(entry)
        if parent is None or entry.waits_for_parent or parent.withdrawn:
            return False
        return parent.waits_for_parent or parent.phase is not Phase.ARMED or now.reached(parent.due)

    def starves(self, entry: Entry, now: Instant) -> RenewalError | None:
        """Return why no attempt can be made, None if one can: its parent must have valid keys.

        Keys that the parent was granted for another request (another role) do not count.
        """
        parent = self._roster.parent(entry)
        if parent is None or (parent.usable(now) and parent.fits()):
            return None
        return parent_unusable(parent.profile.name, parent.error)

    def keys(self, entry: Entry) -> SessionCredentials | RenewalError | None:
        """Return its parent's keys, None without a parent; an error if the keys have gone."""
        parent = self._roster.parent(entry)
        if parent is None:
            return None
        if parent.grant is None:  # withdrawn since it was queued
            return parent_unusable(parent.profile.name, parent.error)
        return parent.grant.credentials

    def freed(self, parent: Entry, *, renewed: bool) -> Iterator[Entry]:
        """Yield the children whose wait ends with this attempt of `parent`."""
        for child in self._roster.children(parent):
            if child.waits_for_parent or (renewed and child.starved()):
                yield child
