"""The attempts to renew: those that wait for their turn, and those in flight.

A profile is handed in with `queue`, starts when rate, probe and workers allow, and comes back
through `ended` or, past the deadline, through `overdue`. One that has not started can be taken out
with `discard`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile

from credfresh import policy
from credfresh.errors import RenewalError, Scope
from credfresh.life.admission import Admission, Lane
from credfresh.life.entry import Entry, Phase
from credfresh.life.ports import Finished, Workers
from credfresh.model import Grant, Instant
from credfresh.renewer import Progress, hung, threadless
from credfresh.settings import StsLimits
from credfresh.values import dataclass

Work = Callable[[Progress], Grant | RenewalError]
"""One attempt, run in a worker; it does not raise."""


@dataclass(frozen=True, slots=True)
class Flight:
    """An attempt in flight: for which entry, through which lane, for which generation of it."""

    ticket: int
    entry: Entry
    lane: Lane
    generation: int
    started: Instant
    progress: Progress


class Attempts:
    """The attempts that wait and those in flight. `post` is called by the workers."""

    def __init__(
        self, limits: StsLimits, *, workers: Workers, post: Callable[[Finished], None]
    ) -> None:
        self._admission = Admission(limits.calls_per_second)
        self._workers = workers
        self._post = post
        self._queued: dict[str, Entry] = {}
        self._flights: dict[int, Flight] = {}  # in the order of their start
        self._hung: dict[int, Lane] = {}
        self._last_ticket = 0
        self._round = 0.0  # seconds in which each profile can have its turn once

    def limit(self, limits: StsLimits, lanes: Iterable[Lane]) -> None:
        """Apply other limits, and forget what is known of lanes that nobody takes.

        `lanes` has one for each profile.
        """
        each = list(lanes)
        self._round = len(each) / limits.calls_per_second + policy.ATTEMPT_LIMIT
        self._admission.limit(limits.calls_per_second, limits.max_concurrency, each)

    def queue(self, entry: Entry, now: Instant) -> None:
        """Let `entry` wait for its turn; of those that may start, the nearest to expiry goes first.

        What failed, has expired or was never published is ordered as if it expired a whole round
        from now, or later. If it came first, such profiles could use up the rate (for ever, where
        they fail), while others, for which one call would do, expire in the queue (I4).
        """
        entry.phase = Phase.QUEUED
        name = entry.profile.name
        self._queued[name] = entry
        expires = entry.published.expires_at.boot if entry.published else 0.0
        if entry.failures or expires <= now.boot:
            expires = max(expires, now.boot + self._round)
        self._admission.enqueue(name, entry.lane, expires)

    def discard(self, name: str) -> None:
        """Let `name` wait no more; nothing happens to what is in flight."""
        self._admission.discard(name)
        self._queued.pop(name, None)

    def start(self, now: Instant, work: Callable[[Entry], Work]) -> None:
        """Start the attempts that may start now; `work` makes the attempt for an entry."""
        for name in self._admission.admit(now.boot, self._workers.free):
            self._launch(self._queued.pop(name), now, work)

    def ended(self, ticket: int, result: Grant | RenewalError) -> Flight | None:
        """Return the attempt that has reported; None if it was given up before."""
        self._workers.finish(ticket)
        flight = self._flights.pop(ticket, None)
        if flight is not None:
            self._admission.finished(flight.lane, _evidence(result))
        return flight

    def overdue(self, now: Instant) -> Iterable[tuple[Flight, RenewalError]]:
        """Give up the attempts past their deadline, and return them: late answers are dropped.

        Only the boot clock counts: a step of the wall clock ends no attempt. Attempts of profiles
        that are gone are given up too: each may be its endpoint's one probe.
        """
        for ticket in self._workers.recovered():
            self._admission.hangs_no_more(self._hung.pop(ticket))
        oldest = now.boot - policy.ATTEMPT_LIMIT
        late = list(takewhile(lambda f: f.started.boot <= oldest, self._flights.values()))
        return [(flight, self._give_up(flight)) for flight in late]

    def longest(self, now: Instant) -> float:
        """Return for how many seconds the oldest attempt has been in flight; 0 for none."""
        oldest = next(iter(self._flights.values()), None)
        return now.boot - oldest.started.boot if oldest is not None else 0.0

    def deadline_in(self, now: Instant) -> float:
        """Return the seconds until the oldest attempt in flight is to be given up, or more."""
        return policy.ATTEMPT_LIMIT - self.longest(now)

    def next_in(self, now: Instant) -> float | None:
        """Return the seconds until the rate allows another to start; None if none waits for it.

        Those that wait for a worker or a probe start when an attempt ends.
        """
        return self._admission.next_in(now.boot)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queued)

    @property
    def in_flight(self) -> int:
        """How many have started and not ended."""
        return len(self._flights)

    def _launch(self, entry: Entry, now: Instant, work: Callable[[Entry], Work]) -> None:
        self._last_ticket += 1
        ticket, job, progress = self._last_ticket, work(entry), Progress()
        entry.phase, entry.started = Phase.IN_FLIGHT, now
        self._flights[ticket] = Flight(ticket, entry, entry.lane, entry.generation, now, progress)
        try:
            self._workers.start(ticket, lambda: self._post(Finished(ticket, job(progress))))
        except RuntimeError:  # the next attempt may have more luck
            self._post(Finished(ticket, threadless()))

    def _give_up(self, flight: Flight) -> RenewalError:
        error = hung(flight.progress)
        del self._flights[flight.ticket]
        self._admission.finished(flight.lane, error.scope)
        if self._workers.write_off(flight.ticket):
            self._hung[flight.ticket] = flight.lane
            self._admission.hangs(flight.lane)
        return error


def _evidence(result: Grant | RenewalError) -> Scope | None:
    """Return what the result of an attempt is evidence about; None: all of its lane is well."""
    if isinstance(result, RenewalError):
        return result.scope
    return Scope.NONE if result.from_another_hub else None
