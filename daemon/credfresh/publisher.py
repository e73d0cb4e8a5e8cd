"""Publishing at the right moment: many renewals in one write, urgent ones at once.

`Coalescer` decides when (pure); `Publisher` owns the thread that writes. Writing costs what the
whole file costs, so a publish waits for quiet; the more it took, the longer the next one waits for
it, and the later it may start. What cannot be written stays in memory and is tried again with the
policy's backoff.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from credfresh import policy
from credfresh.errors import Mend, PublishError
from credfresh.model import Clock, Instant, Roll
from credfresh.publication import Outcomes, Publication
from credfresh.publication import landed as publication_landed
from credfresh.renewer import Destination

QUIET = 0.05
"""Seconds without a new renewal before a publish starts, at least."""

QUIET_TIMES = 10.0
"""How many times what the last publish took it waits for quiet: bursts of calls have gaps."""

MOST_WAIT = 0.5
"""Seconds after the first unpublished renewal at which it starts even so, at least."""

MOST_WAIT_TIMES = 100.0
"""How many times what the last publish took that is."""

REST = 250.0
"""A publish starts no sooner after the last than this many times what that one took: writing costs
at most 0.4 % of the time. (At 50 times, ten thousand profiles spent more on it than on STS.)"""

DELAY_SHARE = 0.005
"""The longest wait and the longest rest, as a share of the shortest lifetime: with the
length of a burst (`policy.BURST`) less than what jitter keeps in hand."""

MOST_DELAY = 10.0
"""The longest wait and the longest rest, seconds."""

URGENT_REST = 0.5
"""The longest rest before an urgent one, seconds: else a cold start would write the whole file
once for each of its profiles."""

LOOK = 10.0
"""Seconds between two looks at what was published, whether it drifted."""

SECOND_LOOK = 5.0
"""Seconds after a publish at which it is looked at for what a rival may have written late."""


@dataclass(slots=True)
class Coalescer:
    """When to publish next. Times are seconds of a clock that cannot be stepped."""

    limit: float = MOST_DELAY
    """The longest wait and the longest rest, seconds, whatever was granted."""
    rest_times: float = REST
    """How many times what a publish took is rested after it, at most."""
    patient: bool = True
    """Whether it waits the longer for quiet the more a publish takes."""
    _first: float | None = None
    _last: float = 0.0
    _urgent: bool = False
    _ended: float = 0.0
    _rest: float = 0.0
    _quiet: float = QUIET
    _most_wait: float = MOST_WAIT

    def note(self, now: float, *, urgent: bool) -> None:
        """A renewal has come in; an urgent one does not wait for quiet."""
        if self._first is None:
            self._first = now
        self._last = now
        self._urgent = self._urgent or urgent

    def due_at(self) -> float | None:
        """Return when to start; None when nothing waits."""
        if self._first is None:
            return None
        if self._urgent:
            return max(self._first, self._ended + min(self._rest, URGENT_REST))
        calm = min(self._last + self._quiet, self._first + self._most_wait)
        return max(calm, self._ended + self._rest)

    def started(self) -> None:
        """A publish takes all that has come in so far."""
        self._first = None
        self._urgent = False

    def ended(self, now: float, took: float, shortest: float = math.inf) -> None:
        """It is done, after `took` seconds; `shortest` is the least lifetime that was granted."""
        self._ended = now
        limit = min(self.limit, DELAY_SHARE * shortest)
        self._rest = min(self.rest_times * took, limit)
        if self.patient:
            self._quiet = max(QUIET, min(QUIET_TIMES * took, limit))
            self._most_wait = max(MOST_WAIT, min(MOST_WAIT_TIMES * took, limit))


@dataclass(frozen=True, slots=True)
class Published:
    """What one publish did: its outcomes, and the publications that are now on disk through it."""

    outcomes: Outcomes
    landed: Mapping[str, Publication]
    took: float


class Publisher:
    """Keeps destinations equal to what was last asked; one thread, its own.

    `report` is called in that thread after each publish; it must not block.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        clock: Clock,
        roll: Roll,
        report: Callable[[Published], None],
    ) -> None:
        self._destination = destination
        self._clock = clock
        self._roll = roll
        self._report = report
        self._changed = threading.Condition()
        self._incoming: dict[str, Publication | None] = {}
        self._coalescer = Coalescer()
        self._wanted: dict[str, Publication] = {}
        self._pending: dict[str, Publication] = {}
        self._failures = 0
        self._retry_at: float | None = None
        self._look_at: float | None = None
        self._looked = 0.0
        self._busy = False
        self._stopping = False
        # By the boot clock; while it is awake it looks at everything before it sleeps again.
        self._sleeps_until = -math.inf
        self._probe: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="credfresh-publisher", daemon=True)

    def delay(self, limit: float) -> None:
        """Wait for others, and rest after a publish, for at most `limit` seconds."""
        with self._changed:
            self._coalescer.limit = limit

    def start(self, wanted: Mapping[str, Publication]) -> None:
        """Begin with `wanted` as what should stand, and bring the destinations to it."""
        self._incoming = dict(wanted)
        self._looked = self._clock().boot
        self._coalescer.note(self._looked, urgent=True)
        self._thread.start()

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Ask for these publications too; None forgets a profile, whose section then goes."""
        with self._changed:
            self._incoming.update(changes)
            self._coalescer.note(self._clock().boot, urgent=urgent)
            due_at = self._coalescer.due_at()
            if due_at is not None and due_at < self._sleeps_until:
                self._changed.notify()

    def look(self, now: Instant) -> float:
        """Look soon whether what was published still stands; return the seconds until the next.

        Asked for by the main thread, which wakes as often: to wake at other times costs twice.
        What has just been published has its own look to come, for which rivals are given time.
        """
        with self._changed:
            if self._look_at is None:
                self._look_at = now.boot
                self._changed.notify()
        return LOOK

    def idle(self) -> bool:
        """Say whether all that was asked has been written, or at least tried."""
        with self._changed:
            return not self._busy and self._coalescer.due_at() is None

    def probe(self, answer: Callable[[], None]) -> bool:
        """Have the publishing thread call `answer` soon; False when that thread is dead."""
        with self._changed:
            self._probe = answer
            self._changed.notify()
        return self._thread.is_alive()

    def stop(self, patience: float) -> bool:
        """Write what waits, then end; False when that took longer than `patience` seconds.

        What could not be written so far is tried once more.
        """
        with self._changed:
            self._stopping = True
            if self._retry_at is not None:
                self._coalescer.note(self._clock().boot, urgent=True)
            self._changed.notify()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                pause = self._pause()
                probe, self._probe = self._probe, None
                if pause > 0 and not self._stopping and probe is None:
                    self._sleeps_until = self._clock().boot + pause
                    self._changed.wait(pause if pause < math.inf else None)
                    self._sleeps_until = -math.inf
                    continue
                now = self._clock().boot
                self._busy = self._is_due(now)
                look = not self._busy and self._look_at is not None and self._look_at <= now
                if look:
                    self._look_at, self._looked = None, now
                if self._busy:
                    self._coalescer.started()
                    self._take_incoming()
                elif self._stopping:
                    return
            if probe is not None:
                probe()
            if self._busy:
                self._publish()
            if look:
                self._tick(now)

    def _tick(self, now: float) -> None:
        try:
            again = self._destination.tick()
        except Exception:  # noqa: BLE001 - a publish meets the same trouble, and reports it
            again = True
        if again:
            with self._changed:
                self._coalescer.note(now, urgent=True)

    def _pause(self) -> float:
        times = (self._look_at, self._coalescer.due_at(), self._retry_at)
        nearest = min((time for time in times if time is not None), default=math.inf)
        return nearest - self._clock().boot

    def _is_due(self, now: float) -> bool:
        due_at = self._coalescer.due_at()
        if self._stopping:
            return due_at is not None
        return (due_at is not None and due_at <= now) or (
            self._retry_at is not None and self._retry_at <= now
        )

    def _take_incoming(self) -> None:
        for name, publication in self._incoming.items():
            if publication is None:
                self._wanted.pop(name, None)
                self._pending.pop(name, None)
            else:
                self._wanted[name] = self._pending[name] = publication
        self._incoming.clear()

    def _publish(self) -> None:
        started = self._clock().boot
        outcomes = self._try()
        now = self._clock()
        took = now.boot - started
        landed = {
            name: publication
            for name, publication in self._pending.items()
            if publication_landed(publication, outcomes)
        }
        for name in landed:
            del self._pending[name]
        failed = any(isinstance(outcome, PublishError) for outcome in outcomes.values())
        with self._changed:
            self._coalescer.ended(now.boot, took, self._shortest())
            self._failures = self._failures + 1 if failed else 0
            self._retry_at = now.boot + self._delay() if failed else None
            # Publishes that follow each other closely put the look off, but not beyond its time.
            self._look_at = max(now.boot, min(now.boot + SECOND_LOOK, self._looked + LOOK))
            self._busy = False
        self._report(Published(outcomes, landed, took))

    def _shortest(self) -> float:
        lifetimes = (p.grant.lifetime for p in self._wanted.values() if p.grant)
        return min(lifetimes, default=math.inf)

    def _try(self) -> Outcomes:
        try:
            return self._destination.publish(self._wanted)
        except Exception as error:  # noqa: BLE001 - nothing may end the thread that publishes
            unforeseen = PublishError(
                f"unforeseen {type(error).__name__}", path="", step="publish", code="unforeseen"
            )
            unforeseen.__cause__ = error
            return {p.profile.target.path: unforeseen for p in self._wanted.values()}

    def _delay(self) -> float:
        now = self._clock()
        lives = (now.until(p.grant.expires_at) for p in self._wanted.values() if p.grant)
        return policy.retry_delay(self._failures, Mend.TIME, min(lives, default=0.0), self._roll())
