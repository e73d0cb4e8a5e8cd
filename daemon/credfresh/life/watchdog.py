"""Feeds systemd's watchdog while every part of the daemon shows life.

systemd restarts a service that has not sent WATCHDOG=1 for WatchdogSec. A daemon that sends it
from a timer proves only that the timer works; ours sends it when each part has answered, in the
thread that does its work, since it was last sent. What merely waits for the network is alive: a
worker inside its deadline, and one that was written off and replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from credfresh.events import Emit
from credfresh.life.desk import Errand
from credfresh.life.vitals import Vitals
from credfresh.model import Instant
from credfresh.notify import Notifier

Ask = Callable[[Callable[[], None]], bool]
"""Has a part call its argument soon, in the part's own thread; False when the part is dead."""

ASKED = 4
"""How often within WatchdogSec the parts are asked: one late answer must not be fatal."""


class Watchdog:
    """Asks every part for a sign of life, and tells the service manager when it has all of them.

    `limit` is WatchdogSec, in seconds; `post` sends an errand to the main thread.
    """

    def __init__(
        self,
        limit: float,
        parts: Mapping[str, Ask],
        *,
        notifier: Notifier,
        post: Callable[[Errand], None],
        emit: Emit,
    ) -> None:
        self._limit = limit
        self._parts = parts
        self._notifier = notifier
        self._post = post
        self._emit = emit
        self._vitals = Vitals(parts)
        self._asked_at = 0.0
        self._told = ""
        self._triggered = False

    def look(self, now: Instant) -> float:
        """Ask the parts that have not answered; return the seconds until the next look."""
        if self._vitals.complete:
            self._vitals.open()
            self._asked_at = now.boot
        silent = self._vitals.silent
        dead = [part for part in silent if not self._parts[part](self._answer_of(part))]
        if dead:
            if not self._triggered:
                self._triggered = True
                self._emit("watchdog_triggered", parts=" ".join(dead))
            # Sent at every look for as long as we live: a message may be lost.
            self._notifier.watchdog_trigger()
        elif now.boot - self._asked_at >= self._limit / 2 and not self._told:
            self._told = " ".join(silent)
            waited = round(now.boot - self._asked_at)
            self._emit("part_silent", parts=self._told, for_s=waited, limit_s=self._limit)
        return self._limit / ASKED

    def _answer_of(self, part: str) -> Callable[[], None]:
        # By way of the inbox: that the main thread takes what is sent to it is proved with each.
        return partial(self._post, Errand(partial(self._heard, part, self._vitals.round)))

    def _heard(self, part: str, number: int) -> None:
        if self._vitals.answer(part, number):
            self._notifier.watchdog()
            if self._told:
                self._emit("part_recovered", parts=self._told)
                self._told = ""
