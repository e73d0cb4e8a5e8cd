"""What the publisher reports of the disk: what has landed, what is refused, what has expired."""

from __future__ import annotations

from credfresh.errors import PublishError
from credfresh.life.announcer import Announcer
from credfresh.life.entry import Entry
from credfresh.life.ports import Outlet
from credfresh.life.roster import Roster
from credfresh.model import Instant
from credfresh.publication import Outcomes, PublishReport
from credfresh.publisher import Published


class OnDisk:
    """Keeps the entries of `roster` in step with their files."""

    def __init__(self, roster: Roster, tell: Announcer, outlet: Outlet) -> None:
        self._roster = roster
        self._tell = tell
        self._outlet = outlet
        self._unwritten: dict[str, PublishError] = {}

    def note(self, message: Published) -> None:
        """Take note of one publish."""
        for name, publication in message.landed.items():
            entry = self._roster.get(name)
            if entry is not None:
                if publication.grant is not None:
                    entry.published_as = publication.profile
                if publication.grant is not None and publication.grant is not entry.published:
                    entry.published = publication.grant
                    entry.told_expired = False  # it may have lapsed before it could be written
                if publication.withdraw:
                    entry.published = None
        self._note_errors(message.outcomes)
        for path, outcome in message.outcomes.items():
            if isinstance(outcome, PublishError):
                self._tell.publish_failed(path, outcome)
            else:
                self._tell.published(path, outcome, message.took)
                self._judged(path, outcome)

    def look(self, entry: Entry, now: Instant) -> None:
        """Tell, once, that what is published for `entry` has expired; do what `on_expired` says."""
        published = entry.published
        if published is None or entry.told_expired or not now.reached(published.expires_at):
            return
        entry.told_expired = True
        self._tell.expired(entry, published)
        if entry.profile.on_expired == "remove":
            self._outlet.update({entry.profile.name: entry.publication(now)}, urgent=True)

    def _note_errors(self, outcomes: Outcomes) -> None:
        before = self._unwritten
        self._unwritten = {p: o for p, o in outcomes.items() if isinstance(o, PublishError)}
        if not (before or self._unwritten):
            return
        for entry in self._roster:
            profile = entry.profile
            entry.unwritten = self._unwritten.get(profile.target.path)
            places = (profile.twin.path, profile.twin.directory) if profile.twin else ()
            entry.twin_unwritten = next(filter(None, map(self._unwritten.get, places)), None)

    def _judged(self, path: str, report: PublishReport) -> None:
        refused = {refusal.profile: refusal for refusal in report.refused}
        for entry in self._roster:
            if entry.profile.target.path != path:
                continue
            entry.flaw = report.flaw
            if refused or entry.refusal:
                entry.refusal = refused.get(entry.profile.name)
                self._tell.refused(entry.profile.name, path, entry.refusal)
