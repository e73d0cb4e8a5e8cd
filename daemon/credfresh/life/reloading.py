"""Carrying out a reload: all parts take over the new settings, and everybody is told."""

from __future__ import annotations

import gc

from credfresh.coalescer import DELAY_SHARE, MOST_DELAY
from credfresh.errors import Problem
from credfresh.events import Emit
from credfresh.life.desk import Desk
from credfresh.life.readiness import Readiness
from credfresh.life.reloader import POLL, Reload, Reloader, Taken
from credfresh.life.roster import Changes
from credfresh.model import Instant
from credfresh.publisher import Publisher
from credfresh.settings import Settings
from credfresh.workers import Workers

IDLE = 3600.0
"""Seconds between two looks where only a signal reloads."""


class Reloading:
    """Reloads when asked and, with `reload: auto`, when the configuration file has changed."""

    def __init__(
        self,
        desk: Desk,
        reloader: Reloader,
        *,
        workers: Workers,
        publisher: Publisher,
        readiness: Readiness,
        emit: Emit,
    ) -> None:
        self._desk = desk
        self._reloader = reloader
        self._workers = workers
        self._publisher = publisher
        self._readiness = readiness
        self._emit = emit
        self._asked = False
        desk.reload = self.reload
        desk.agenda.add(self.look)

    def ask(self) -> None:
        """Reload soon; many requests in a burst are one reload."""
        self._asked = True
        self._desk.agenda.hasten(self.look)

    def look(self, _now: Instant) -> float:
        """Reload if that was asked or the file has changed; return the seconds to the next look."""
        if self._asked:
            self.reload()
        elif self._desk.settings.reload == "auto" and self._reloader.changed():
            self._follow()
        return POLL if self._desk.settings.reload == "auto" else IDLE

    def reload(self) -> Reload:
        """Read the configuration and go over to it, if it is valid."""
        self._asked = False
        self._readiness.reloading()
        done = self._conclude(self._reloader.take())
        self._desk.agenda.hasten(self.look)  # from now on the file may be watched
        return done

    def _follow(self) -> None:
        """Go over to what the file says now, if that differs.

        Nobody asked for it: if the file was merely touched, what was withdrawn by hand stays so.
        """
        taken = self._reloader.take()
        if isinstance(taken, Taken) and not taken.other:
            last = self._desk.last_reload
            if last is not None and last.problems:  # a file that was refused has been mended
                self._tell(Changes(), taken)
                self._end(Reload(needs_restart=taken.needs_restart))
            return
        self._readiness.reloading()
        self._conclude(taken)

    def _conclude(self, taken: Taken | tuple[Problem, ...]) -> Reload:
        if isinstance(taken, Taken):
            return self._end(self._take_over(taken))
        return self._end(Reload(problems=taken))

    def _end(self, done: Reload) -> Reload:
        self._desk.last_reload = done
        self._readiness.reloaded(self._desk.clock())
        return done

    def _take_over(self, taken: Taken) -> Reload:
        settings = self._desk.settings = taken.settings
        self._workers.resize(settings.sts.max_concurrency)
        self._publisher.delay(most_delay(settings))
        changes = self._desk.supervisor.reload(settings, taken.provider)
        if taken.provider is not None:
            # The old one is cycles, and megabytes: left alone, dozens of them would pile up.
            gc.collect()
        self._desk.reloaded()
        self._tell(changes, taken)  # now that it is true of all: who left is not served any more
        for notice in settings.notices:
            self._emit(notice.event, **dict(notice.fields))
        return Reload(changes=changes, needs_restart=taken.needs_restart)

    def _tell(self, changes: Changes, taken: Taken) -> None:
        self._emit(
            "config_reloaded",
            added=len(changes.added),
            removed=len(changes.removed),
            changed=len(changes.changed),
            needs_restart=" ".join(taken.needs_restart) or None,
        )


def most_delay(settings: Settings) -> float:
    """Return the most by which the publisher may delay what need not be there at once, seconds."""
    shortest = min(profile.duration for profile in settings.profiles.values())
    return min(MOST_DELAY, DELAY_SHARE * shortest)
