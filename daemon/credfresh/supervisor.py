"""The life of the daemon: every profile is always armed, queued, or in flight (I1).

All state is owned by one thread, the main one. Other threads (scheduler, workers, publisher)
only post messages into its inbox; the main thread handles them one by one and comes back to
`beat` at least every ten seconds, which trusts nobody: it reads both clocks, takes what is due
whether or not its alarm rang, arms again what the scheduler lost, and gives up attempts that
are past their deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from credfresh import policy
from credfresh.admission import Admission
from credfresh.announcer import Announcer
from credfresh.errors import PublishError, RenewalError, Scope
from credfresh.events import Emit
from credfresh.model import Clock, Grant, Instant, Roll
from credfresh.ports import Due, Finished, Message, Outlet, Timers, Workers
from credfresh.publication import Publication, PublishReport
from credfresh.publisher import Published
from credfresh.renewer import Provider, attempt, hung, parent_unusable
from credfresh.roster import Changes, Entry, Flight, Phase, Roster
from credfresh.settings import Settings

BEAT = 10.0
"""The longest time between two beats, seconds."""


class Supervisor:
    """Keeps every profile of `settings` renewed. One thread calls it; `post` is for the others."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        roll: Roll,
        timers: Timers,
        workers: Workers,
        provider: Provider,
        outlet: Outlet,
        post: Callable[[Message], None],
        emit: Emit,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._roll = roll
        self._timers = timers
        self._workers = workers
        self._provider = provider
        self._outlet = outlet
        self._post = post
        self._emit = emit
        self._tell = Announcer(emit)
        self._admission = Admission(settings.sts.calls_per_second)
        self.roster = Roster()
        self._flights: dict[int, Flight] = {}
        self._last_ticket = 0
        self._exhausted = False
        self._draining = False

    def start(self, standing: Mapping[str, Grant]) -> dict[str, Publication]:
        """Take in all profiles; those whose `standing` credentials still fit cost no call.

        Returns what should stand published at first.
        """
        now = self._clock()
        for profile in self._settings.profiles.values():
            entry = self.roster.add(profile, self._settings.sts, now)
            grant = standing.get(profile.name)
            if grant is not None:
                entry.published = grant
                plan = entry.take(grant)
                if entry.fits() and entry.usable(now):
                    entry.due = plan.renew_at
            self._arm(entry, entry.due)
        return {entry.profile.name: entry.publication(now) for entry in self.roster}

    def reload(self, settings: Settings, provider: Provider | None = None) -> Changes:
        """Go over to other settings; profiles that did not change keep credentials and due time.

        What changed in its request is renewed now, what is gone leaves the file. `provider`
        replaces the old one, which stays without it.
        """
        now = self._clock()
        self._settings = settings
        self._provider = provider or self._provider
        self._admission.calls_per_second = settings.sts.calls_per_second
        changes = self.roster.reload(settings, now)
        for name in changes.removed:
            self._timers.disarm(name)
            self._tell.forgotten(name)
        for name in changes.removed | changes.changed:
            self._admission.discard(name)
        for name in changes.changed | changes.added:
            entry = self.roster[name]
            if entry.phase is not Phase.IN_FLIGHT:
                self._arm(entry, entry.due)
        gone: dict[str, Publication | None] = dict.fromkeys(changes.removed)
        kept = {entry.profile.name: entry.publication(now) for entry in self.roster}
        self._outlet.update(gone | kept, urgent=True)
        return changes

    def handle(self, message: Message) -> None:
        """Act on one message."""
        match message:
            case Due(name):
                entry = self.roster.get(name)
                if entry is not None and entry.phase is Phase.ARMED:
                    self._come_due(entry, self._clock())
            case Finished(ticket, result):
                self._finish(ticket, result)
            case Published():
                self._published(message)

    def beat(self) -> float:
        """Look after everything; return the seconds after which to call again, at the latest."""
        now = self._clock()
        self._tell.clock(now)
        self._timers.wakeup()
        for entry in self.roster:
            match entry.phase:
                case Phase.ARMED if now.reached(entry.due):
                    self._timers.disarm(entry.profile.name)
                    self._come_due(entry, now)
                case Phase.ARMED if not self._timers.armed(entry.profile.name):
                    self._emit("profile_orphaned", profile=entry.profile.name)
                    self._arm(entry, entry.due)
                case Phase.IN_FLIGHT if self._past_deadline(entry, now):
                    self._abandon(entry)
                case _:
                    pass
            self._notice_expiry(entry, now)
        self.pump()
        return BEAT

    def pump(self) -> float | None:
        """Start what may start; return the seconds until more may, None if that is not known."""
        now = self._clock()
        for name in self._admission.admit(now.boot, 0 if self._draining else self._workers.free):
            self._launch(self.roster[name], now)
        if self._workers.exhausted != self._exhausted:
            self._exhausted = self._workers.exhausted
            if self._exhausted:
                self._emit("workers_exhausted", waiting=self._admission.waiting())
        return None if self._draining else self._admission.next_in(now.boot)

    def drain(self) -> None:
        """Start nothing more; attempts in flight may still end."""
        self._draining = True
        for entry in self.roster:
            self._timers.disarm(entry.profile.name)

    @property
    def in_flight(self) -> int:
        """How many attempts have not ended."""
        return len(self._flights)

    @property
    def busy(self) -> bool:
        """Whether an attempt is in flight or waits for its turn."""
        return bool(self._flights) or self._admission.waiting() > 0

    def _arm(self, entry: Entry, due: Instant) -> None:
        entry.phase = Phase.ARMED
        entry.due = due
        if self._draining:
            return
        if self._clock().reached(due):
            self._timers.disarm(entry.profile.name)
            self._post(Due(entry.profile.name))
        else:
            self._timers.arm(entry.profile.name, due.wall)

    def _come_due(self, entry: Entry, now: Instant) -> None:
        """Queue the attempt, unless it is too early or has to wait for its parent's."""
        if now.boot < entry.not_before or not now.reached(entry.due):
            # The wall clock was stepped since the alarm was set; the boot clock knows (I6).
            self._arm(entry, now + max(entry.not_before - now.boot, now.until(entry.due)))
            return
        parent = self.roster.parent(entry)
        if parent is not None and not entry.waits_for_parent and self._about_to_renew(parent, now):
            entry.waits_for_parent = True
            self._arm(entry, now + policy.ATTEMPT_LIMIT)
            return
        entry.waits_for_parent = False
        if parent is not None and not parent.usable(now):
            self._failed(entry, parent_unusable(parent.profile.name, parent.error))
            return
        entry.phase = Phase.QUEUED
        expires = entry.published.expires_at.boot if entry.published else 0.0
        self._admission.enqueue(entry.profile.name, entry.lane, expires)

    def _about_to_renew(self, parent: Entry, now: Instant) -> bool:
        return parent.phase is not Phase.ARMED or now.reached(parent.due)

    def _launch(self, entry: Entry, now: Instant) -> None:
        self._last_ticket += 1
        ticket = entry.ticket = self._last_ticket
        entry.started, entry.phase = now, Phase.IN_FLIGHT
        self._flights[ticket] = Flight(entry, entry.lane, entry.profile.request)
        parent = self.roster.parent(entry)
        credentials = parent.grant.credentials if parent and parent.grant else None
        work = partial(attempt, self._provider, entry.profile, credentials)
        self._workers.start(ticket, lambda: self._post(Finished(ticket, work())))

    def _finish(self, ticket: int, result: Grant | RenewalError) -> None:
        self._workers.finish(ticket)
        flight = self._flights.pop(ticket, None)
        if flight is None:
            return  # too late: the attempt was given up
        entry = flight.entry
        self._admission.finished(
            flight.lane, result.scope if isinstance(result, RenewalError) else None
        )
        if self.roster.get(entry.profile.name) is not entry:
            return  # its profile is gone
        if flight.request != entry.profile.request:
            self._arm(entry, self._clock())  # its request has changed meanwhile: ask again
        elif isinstance(result, RenewalError):
            self._failed(entry, result)
        else:
            self._renewed(entry, result)

    def _abandon(self, entry: Entry) -> None:
        """Count an attempt past its deadline as failed; its late answer will be dropped."""
        flight = self._flights.pop(entry.ticket)
        self._workers.write_off(entry.ticket)
        self._emit("attempt_abandoned", profile=entry.profile.name, after_s=policy.ATTEMPT_LIMIT)
        self._admission.finished(flight.lane, Scope.ENDPOINT)
        self._failed(entry, hung(policy.ATTEMPT_LIMIT))

    def _renewed(self, entry: Entry, grant: Grant) -> None:
        now = self._clock()
        urgent = entry.life_left(now) <= 0
        plan = entry.take(grant)
        self._tell.renewed(entry, grant, plan)
        entry.attempt_ended(now)
        entry.failures, entry.error, entry.told_expired = 0, None, False
        self._arm(entry, plan.renew_at)
        self._outlet.update({entry.profile.name: entry.publication(now)}, urgent=urgent)
        for child in self.roster.children(entry):
            if child.waits_for_parent or child.starved():
                self._arm(child, now)

    def _failed(self, entry: Entry, error: RenewalError) -> None:
        now = self._clock()
        entry.attempt_ended(now)
        entry.failures += 1
        entry.error = error
        delay = policy.retry_delay(
            entry.failures, error.mend, entry.life_left(now), self._roll(), error.retry_after
        )
        self._tell.failed(entry, error, delay)
        self._arm(entry, now + delay)
        for child in self.roster.children(entry):
            if child.waits_for_parent:
                self._arm(child, now)

    def _published(self, message: Published) -> None:
        for name, publication in message.landed.items():
            entry = self.roster.get(name)
            if entry is not None:
                entry.published = publication.grant or entry.published
                if publication.withdraw:
                    entry.published = None
        for path, outcome in message.outcomes.items():
            if isinstance(outcome, PublishError):
                self._tell.publish_failed(path, outcome)
            else:
                self._tell.published(path, outcome, message.took)
                self._note_refusals(path, outcome)

    def _note_refusals(self, path: str, report: PublishReport) -> None:
        refused = {refusal.profile: refusal for refusal in report.refused}
        for entry in self.roster:
            if entry.profile.target.path == path and (refused or entry.refusal):
                entry.refusal = refused.get(entry.profile.name)
                self._tell.refused(entry.profile.name, entry.refusal)

    def _past_deadline(self, entry: Entry, now: Instant) -> bool:
        # By the boot clock alone: a step of the wall clock ends no attempt.
        started = entry.started or now
        return now.boot - started.boot >= policy.ATTEMPT_LIMIT

    def _notice_expiry(self, entry: Entry, now: Instant) -> None:
        published = entry.published
        if published is None or entry.told_expired or not now.reached(published.expires_at):
            return
        entry.told_expired = True
        self._tell.expired(entry, published)
        if entry.profile.on_expired == "remove":
            self._outlet.update({entry.profile.name: entry.publication(now)}, urgent=True)
