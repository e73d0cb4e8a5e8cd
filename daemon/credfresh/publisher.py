"""The thread that publishes what was last asked for, when the `Coalescer` says so.

What cannot be written stays in memory and is tried again with the policy's backoff. What has been
written is looked after: does it still stand?
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping

from credfresh import policy
from credfresh.coalescer import Coalescer
from credfresh.errors import Mend, PublishError
from credfresh.model import Clock, Instant, Roll
from credfresh.publication import Outcomes, Publication, has_landed
from credfresh.renewer import Destination
from credfresh.values import dataclass

LOOK = 10.0
"""Seconds between two looks whether what was published has drifted."""

SECOND_LOOK = 5.0
"""Seconds after a publish until the look for what a rival may have written late."""


@dataclass(frozen=True, slots=True)
class Published:
    """What one publish did: its outcomes, and the publications that it brought to disk."""

    outcomes: Outcomes
    landed: Mapping[str, Publication]
    took: float


class Publisher:
    """Keeps a destination equal to what was last asked for, in a thread of its own.

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
        # Boot-clock second; -inf while the thread is awake, as it looks at all before it sleeps.
        self._sleeps_until = -math.inf
        self._probe: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="credfresh-publisher", daemon=True)

    def delay(self, limit: float) -> None:
        """Limit how long a publish waits for others, and the rest after it, to `limit` seconds."""
        with self._changed:
            self._coalescer.limit = limit

    def start(self, wanted: Mapping[str, Publication]) -> None:
        """Start, and make the destination equal to `wanted`, as changed by updates before."""
        self._incoming = {**wanted, **self._incoming}
        self._looked = self._clock().boot
        self._coalescer.note(self._looked, urgent=True)
        self._thread.start()

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Ask for these publications as well; None forgets a profile, whose section is removed."""
        with self._changed:
            self._incoming.update(changes)
            self._coalescer.note(self._clock().boot, urgent=urgent)
            due_at = self._coalescer.due_at()
            if due_at is not None and due_at < self._sleeps_until:
                self._changed.notify()

    def look(self, now: Instant) -> float:
        """Have it checked soon that what was published stands; return the seconds to the next time.

        The main thread asks, which wakes as often anyway: waking at other times costs twice. What
        has just been published is checked a little later, for rivals that write late.
        """
        with self._changed:
            if self._look_at is None:
                self._look_at = now.boot
                self._changed.notify()
        return LOOK

    def idle(self) -> bool:
        """Say whether all that was asked for has been written, or at least tried."""
        with self._changed:
            return not self._busy and self._coalescer.due_at() is None

    def probe(self, answer: Callable[[], None]) -> bool:
        """Have the publishing thread call `answer` soon; False if that thread is dead."""
        with self._changed:
            self._probe = answer
            self._changed.notify()
        return self._thread.is_alive()

    def stop(self, patience: float) -> bool:
        """Write what waits, then end; False if that takes longer than `patience` seconds.

        What could not be written so far is tried once more. Another call waits again.
        """
        with self._changed:
            if self._retry_at is not None and not self._stopping:
                self._coalescer.note(self._clock().boot, urgent=True)
            self._stopping = True
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
            if has_landed(publication, outcomes)
        }
        for name in landed:
            del self._pending[name]
        failed = any(isinstance(outcome, PublishError) for outcome in outcomes.values())
        with self._changed:
            self._coalescer.ended(now.boot, took, self._shortest())
            self._failures = self._failures + 1 if failed else 0
            self._retry_at = now.boot + self._delay(now) if failed else None
            # Publishes in quick succession put the look off, but not beyond LOOK after the last.
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
            paths = dict.fromkeys(p.profile.target.path for p in self._wanted.values())
            return {path: PublishError.unforeseen(path, error) for path in paths}

    def _delay(self, now: Instant) -> float:
        """Return the seconds until the next attempt to write what could not be written."""
        lives = [now.until(p.grant.expires_at) for p in self._pending.values() if p.grant]
        soonest = min((life for life in lives if life > 0), default=0.0)
        return policy.retry_delay(self._failures, Mend.TIME, soonest, self._roll())
