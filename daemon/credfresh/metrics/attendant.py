"""Writes and serves the figures as the configuration says, for as long as the daemon runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from credfresh.errors import PublishError
from credfresh.events import Emit
from credfresh.life.desk import Desk
from credfresh.metrics.observer import Observer
from credfresh.metrics.snapshot import RawSnapshot, take
from credfresh.model import Instant
from credfresh.publisher import Published
from credfresh.settings import Address, MetricsSettings, Settings, TcpAddress

if TYPE_CHECKING:
    from credfresh.listener import Listening
    from credfresh.metrics.textfile import Textfile

AGAIN = 30.0
"""Seconds between two attempts to listen, and between two checks that it still does."""

OUTCOMES = ("written", "unchanged", "failed")
"""The possible outcomes of a publish of one file."""


class Metrics:
    """An attendant. If it cannot write or listen, an event says so, and it is tried again.

    `hostname` is what the page calls this host.
    """

    def __init__(self, emit: Emit, *, hostname: str) -> None:
        self._emit = emit
        self._hostname = hostname
        self._writes = Counter(dict.fromkeys(OUTCOMES, 0))
        self._last_write: float | None = None
        self._settings = MetricsSettings()
        self._observer: Observer | None = None
        self._textfile: Textfile | None = None
        self._listening: Listening | None = None

    def open(self, desk: Desk) -> None:
        """Start to write and serve; publishes are counted even if neither is configured."""
        self._desk = desk
        self._observer = Observer(desk, self._take)
        self._view = self._observer.view
        desk.on_published.append(self._count)
        desk.on_reloaded.append(self._reloaded)
        desk.on_changed.append(self._note)
        self._reloaded(desk.settings)

    def close(self) -> None:
        """Stop; the textfile stays, as what it says of the credentials stays true."""
        if self._observer is not None:
            self._observer.close()
        if self._textfile is not None:
            self._textfile.close()
        self._stop_listening()

    def _take(self) -> RawSnapshot:
        return take(self._desk, self._writes, self._last_write)

    def _count(self, message: Published) -> None:
        for outcome in message.outcomes.values():
            if isinstance(outcome, PublishError):
                self._writes["failed"] += 1
            elif outcome.written:
                self._writes["written"] += 1
                self._last_write = self._desk.clock().wall
            else:
                self._writes["unchanged"] += 1

    def _note(self) -> None:
        if self._textfile is not None:
            self._textfile.note()

    def _reloaded(self, settings: Settings) -> None:
        old, new = self._settings, settings.metrics
        self._settings = new
        if (old.textfile, old.textfile_mode) != (new.textfile, new.textfile_mode):
            self._change_textfile(old, new)
        if old.listen != new.listen:
            self._stop_listening()
            self._desk.agenda.remove(self._look)
            if new.listen is not None:
                self._desk.agenda.add(self._look)
        self._note()

    def _change_textfile(self, old: MetricsSettings, new: MetricsSettings) -> None:
        if self._textfile is not None:
            self._textfile.close(remove=old.textfile != new.textfile)
            self._textfile = None
        if new.textfile is not None:
            # Imported here: a daemon without metrics does not need it.
            from credfresh.metrics.textfile import Textfile  # noqa: PLC0415

            self._textfile = Textfile(
                new.textfile,
                new.textfile_mode,
                render=self._render,
                clock=self._desk.clock,
                emit=self._emit,
            )
            self._textfile.open()

    def _render(self, since: float) -> bytes | None:
        from credfresh.metrics import exposition  # noqa: PLC0415 - the same

        view = self._view(since)
        return None if view is None else exposition.render(view)

    def _look(self, _now: Instant) -> float:
        """Listen, unless it does already; return the seconds to the next look."""
        address = self._settings.listen
        if address is not None and (self._listening is None or not self._listening.alive):
            self._listen(address)
        return AGAIN

    def _listen(self, address: Address) -> None:
        from credfresh.listener import Listening  # noqa: PLC0415 - the same
        from credfresh.metrics.site import LOCAL_HOSTS, Site  # noqa: PLC0415 - the same

        hosts = None
        if isinstance(address, TcpAddress):
            hosts = LOCAL_HOSTS | {address.url_host.lower()}
        site = Site(self._view, hosts=hosts, hostname=self._hostname, clock=self._desk.clock)
        if self._listening is None:
            self._listening = Listening(self._emit)
        self._listening.open(address, site)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
