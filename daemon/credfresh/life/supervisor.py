"""Keeps every profile armed, queued or in flight, always (I1).

All state belongs to the main thread. Other threads (scheduler, workers, publisher) only post
messages into its inbox. The main thread handles them one by one, and calls `beat` at least every
ten seconds. `beat` trusts nobody: it reads both clocks, takes what is due whether or not its
alarm rang, arms again what the scheduler lost, and gives up attempts past their deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from credfresh import policy
from credfresh.errors import RenewalError
from credfresh.events import Emit
from credfresh.life.announcer import Announcer
from credfresh.life.attempts import Attempts, Flight, Work
from credfresh.life.chains import Chains
from credfresh.life.entry import Entry, Phase
from credfresh.life.ondisk import OnDisk
from credfresh.life.ports import Due, Finished, Message, Outlet, Timers, Workers
from credfresh.life.roster import Changes, Roster
from credfresh.life.schedule import Schedule
from credfresh.model import Clock, Grant, Instant, Roll
from credfresh.publication import Publication
from credfresh.publisher import Published
from credfresh.renewer import Provider, attempt
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
        self._workers = workers
        self._provider = provider
        self._outlet = outlet
        self._emit = emit
        self._tell = Announcer(emit)
        self._schedule = Schedule(clock=clock, timers=timers, post=post, emit=emit)
        self._attempts = Attempts(settings.sts, workers=workers, post=post)
        self.roster = Roster()
        self._chains = Chains(self.roster)
        self._disk = OnDisk(self.roster, self._tell, outlet)
        self._exhausted = False
        self._draining = False

    def start(self, standing: Mapping[str, Grant]) -> dict[str, Publication]:
        """Take in all profiles, and return what should stand published at first.

        Those whose `standing` credentials still fit cost no call.
        """
        now = self._clock()
        for profile in self._settings.profiles.values():
            entry = self.roster.add(profile, now)
            grant = standing.get(profile.name)
            if grant is not None:
                entry.published, entry.published_as = grant, profile
                plan = entry.take(grant)
                if entry.fits():  # where they have expired, that is past as well
                    entry.due = plan.renew_at
            self._schedule.arm(entry, now, entry.due)
        self._attempts.limit(self._settings.sts, (entry.lane for entry in self.roster))
        return {entry.profile.name: entry.publication(now) for entry in self.roster}

    def reload(self, settings: Settings, provider: Provider | None = None) -> Changes:
        """Go over to other settings; profiles that did not change keep credentials and due time.

        Those whose request changed are renewed now, as are those that fail or were withdrawn; those
        that are gone leave the file. A new `provider` replaces the old one: attempts in flight
        through the old one are made again, however they end.
        """
        now = self._clock()
        before, self._settings = self._settings, settings
        self._provider = provider or self._provider
        changes = self.roster.reload(settings, now, anew=provider is not None)
        for name in changes.removed | changes.changed:
            self._attempts.discard(name)
        self._attempts.limit(settings.sts, (entry.lane for entry in self.roster))
        self._tell.reloaded(before, settings, (entry.lane for entry in self.roster))
        for name in changes.changed | changes.added:
            self._tell.changed(name)
            entry = self.roster[name]
            if entry.phase is not Phase.IN_FLIGHT:
                self._schedule.arm(entry, now, entry.due)
        for entry in self.roster:
            if entry.withdrawn or entry.failures:
                self.renew(entry.profile.name)
        gone: dict[str, Publication | None] = dict.fromkeys(changes.removed)
        kept = {entry.profile.name: entry.publication(now) for entry in self.roster}
        self._outlet.update(gone | kept, urgent=True)
        return changes

    def renew(self, name: str, *, awaited: bool = False) -> bool:
        """Make an attempt for this profile eligible now; False when there is no such profile.

        An attempt that is queued or in flight already is the one that was asked for, and the floor
        between two attempts holds (I6). If it is `awaited` it is published at once. A profile that
        was withdrawn comes back.
        """
        entry = self.roster.get(name)
        if entry is None:
            return False
        entry.bring_back()
        entry.awaited = entry.awaited or awaited
        if entry.phase in (Phase.ARMED, Phase.WITHDRAWN):
            self._schedule.arm(entry, self._clock())
        return True

    def publish_now(self, name: str) -> None:
        """Publish at once what is in memory for this profile."""
        entry = self.roster.get(name)
        if entry is not None:
            self._outlet.update({name: entry.publication(self._clock())}, urgent=True)

    def withdraw(self, names: Iterable[str]) -> frozenset[str]:
        """Take the sections of these profiles away at once; return the profiles that we know.

        Each rests until `renew` names it, a reload is accepted, or the daemon starts again: that
        is the one exception to I1, made by hand and undone by hand, and until then it counts as
        if it were not enabled. Its credentials are forgotten. An attempt in flight ends as any
        other does, but what it brings is not published, not even after a `renew` meanwhile.
        Profiles that are chained to it keep what they have and cannot renew without it.
        """
        now = self._clock()
        known = [entry for name in names if (entry := self.roster.get(name)) is not None]
        for entry in known:
            entry.withdraw()
            self._attempts.discard(entry.profile.name)
        self._outlet.update({e.profile.name: e.publication(now) for e in known}, urgent=True)
        return frozenset(entry.profile.name for entry in known)

    def handle(self, message: Message) -> None:
        """Act on one message."""
        match message:
            case Due(name):
                # No alarm is taken back: it may ring for who is gone, withdrawn or under way.
                entry = self.roster.get(name)
                if entry is not None and entry.phase is Phase.ARMED:
                    self._come_due(entry, self._clock())
            case Finished(ticket, result):
                self._finish(ticket, result)
            case Published():
                self._disk.note(message)

    def beat(self) -> float:
        """Look after everything; return the seconds after which to call again, at the latest."""
        now = self._clock()
        self._schedule.reread(now, stepped=self._tell.clock_jumped(now))
        for entry in self._schedule.visit(self.roster, now):
            if entry.phase is Phase.ARMED:
                if now.reached(entry.due):
                    self._come_due(entry, now)
                else:
                    self._schedule.keep(entry)
            self._disk.look(entry, now)
        for flight, error in self._attempts.overdue(now):
            self._emit(
                "attempt_abandoned",
                profile=flight.entry.profile.name,
                after_s=policy.ATTEMPT_LIMIT,
            )
            self._judge(flight, error)
        return min(BEAT, self._attempts.deadline_in(now))

    def pump(self) -> float | None:
        """Start the attempts that may start; return the seconds until more may, None if unknown."""
        if self._draining:
            return None
        now = self._clock()
        self._attempts.start(now, self._work)
        if self._workers.exhausted != self._exhausted:
            self._exhausted = self._workers.exhausted
            if self._exhausted:
                self._emit("workers_exhausted", waiting=self._attempts.waiting)
        return self._attempts.next_in(now)

    def overdue(self) -> bool:
        """Say whether an attempt is so far past its deadline that a beat should have ended it."""
        return self._attempts.longest(self._clock()) > policy.ATTEMPT_LIMIT + 2 * BEAT

    def drain(self) -> None:
        """Start nothing more; attempts in flight may still end."""
        self._draining = True

    @property
    def in_flight(self) -> int:
        """How many attempts have not ended."""
        return self._attempts.in_flight

    def _come_due(self, entry: Entry, now: Instant) -> None:
        """Queue the attempt, unless it is too early or has to wait for its parent's."""
        if self._schedule.early(entry, now):
            return
        if self._chains.must_wait(entry, now):
            entry.waits_for_parent = True
            self._schedule.arm(entry, now, now + policy.ATTEMPT_LIMIT)
            return
        entry.waits_for_parent = False
        starving = self._chains.starves(entry, now)
        if starving is not None:
            entry.attempt_ended(now, starving)
            self._failed(entry, starving, now)
            return
        self._attempts.queue(entry, now)

    def _work(self, entry: Entry) -> Work:
        """Return the attempt for `entry`; a chained profile is given its parent's keys."""
        keys = self._chains.keys(entry)
        if isinstance(keys, RenewalError):
            starving = keys
            return lambda _: starving
        return partial(attempt, self._provider, entry.profile, keys)

    def _finish(self, ticket: int, result: Grant | RenewalError) -> None:
        flight = self._attempts.ended(ticket, result)
        if flight is not None:
            self._judge(flight, result)
            self._follow()

    def _follow(self) -> None:
        """Let all who failed with an endpoint or a source try again when it has recovered."""
        recovered = self._tell.recovered()
        if recovered:
            now = self._clock()
            for entry in self.roster:
                if entry.phase is Phase.ARMED and entry.failed_with() in recovered:
                    self._schedule.arm(entry, now)

    def _judge(self, flight: Flight, result: Grant | RenewalError) -> None:
        """Count an attempt that has ended, and decide what follows from it."""
        entry, now = flight.entry, self._clock()
        entry.attempt_ended(now, result)
        if self.roster.get(entry.profile.name) is not entry:
            # Its profile is gone; should it come back soon, its entry does as well.
            entry.phase = Phase.ARMED
        elif entry.withdrawn:
            entry.phase = Phase.WITHDRAWN
        elif flight.generation != entry.generation:
            # It answers what is no longer asked: ask again.
            self._schedule.arm(entry, now)
        elif isinstance(result, RenewalError):
            self._failed(entry, result, now)
        else:
            self._renewed(entry, result, now)

    def _renewed(self, entry: Entry, grant: Grant, now: Instant) -> None:
        urgent = entry.awaited or entry.life_left(now) <= 0
        entry.awaited = False
        plan = entry.take(grant)
        self._tell.renewed(entry, grant, plan)
        entry.failures, entry.error = 0, None
        self._schedule.arm(entry, now, plan.renew_at)
        self._outlet.update({entry.profile.name: entry.publication(now)}, urgent=urgent)
        for child in self._chains.freed(entry, renewed=True):
            self._schedule.arm(child, now)

    def _failed(self, entry: Entry, error: RenewalError, now: Instant) -> None:
        entry.failures += 1
        entry.error = error
        delay = policy.retry_delay(
            entry.failures, error.mend, entry.life_left(now), self._roll(), error.retry_after
        )
        self._tell.failed(entry, error, delay)
        self._schedule.arm(entry, now, now + delay)
        for child in self._chains.freed(entry, renewed=False):
            self._schedule.arm(child, now)
