"""Arms profiles: sets the alarm for the next attempt of each. Alarms are allowed to fail."""

from __future__ import annotations

import math
from collections.abc import Callable

from credfresh.events import Emit
from credfresh.life.entry import Entry, Phase
from credfresh.life.ports import Due, Timers
from credfresh.life.roster import Roster
from credfresh.model import Clock, Instant

ROUND = 60.0
"""Seconds between two visits to everybody: ten thousand profiles cost as much as ten renewals."""

SPARE = 15.0
"""Seconds by which a round may begin late."""


class Schedule:
    """Arms entries. `timers` ring for those due later; for those due already, `Due` is posted."""

    def __init__(
        self,
        *,
        clock: Clock,
        timers: Timers,
        post: Callable[[Due], None],
        emit: Emit,
    ) -> None:
        self._clock = clock
        self._timers = timers
        self._post = post
        self._emit = emit
        self._near: set[str] = set()
        self._next_round = -math.inf

    def arm(self, entry: Entry, now: Instant, due: Instant | None = None) -> None:
        """Make the next attempt for `entry` eligible at `due`, or else now."""
        due = due or now
        entry.phase = Phase.ARMED
        entry.due = due
        self._near.add(entry.profile.name)
        if now.reached(due):
            self._post(Due(entry.profile.name))
        else:
            self._timers.arm(entry.profile.name, due.wall)

    def early(self, entry: Entry, now: Instant) -> bool:
        """Arm again an entry that has come due too early; say whether it has.

        The wall clock was stepped since the alarm was set, or the floor after the last attempt
        is not over (I6); the boot clock knows.
        """
        if now.boot >= entry.not_before and now.reached(entry.due):
            return False
        # At least a millisecond: sums of two clocks are rounded, and must not come out as "now".
        wait = max(entry.not_before - now.boot, now.until(entry.due), 0.001)
        self.arm(entry, now, now + wait)
        return True

    def keep(self, entry: Entry) -> None:
        """Arm `entry` again if its alarm was lost (I1)."""
        if self._timers.armed(entry.profile.name):
            return
        now = self._clock()
        if now.reached(entry.due):
            return  # it has rung meanwhile; if not, the next beat takes what is due
        self._emit("profile_orphaned", profile=entry.profile.name)
        self.arm(entry, now, entry.due)

    def reread(self, now: Instant, *, stepped: bool) -> None:
        """Make the timers read the clock again; if it was stepped, the next visit is to all."""
        self._timers.wakeup(now.wall)
        if stepped:
            self._next_round = -math.inf

    def visit(self, roster: Roster, now: Instant) -> list[Entry]:
        """Return the entries to look at now: all of them in each round, once a minute.

        In between, those that are due or whose credentials expire before the next round, and those
        that were armed since the last.
        """
        if now.boot < self._next_round:
            return [entry for name in self._near if (entry := roster.get(name)) is not None]
        self._next_round = now.boot + ROUND
        soon = now + (ROUND + SPARE)
        self._near = {entry.profile.name for entry in roster if entry.needs_visit(soon)}
        return list(roster)
