"""Turns events into lines."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from credfresh.events import EVENTS, Level, undeclared
from credfresh.logs.console import ConsoleRenderer
from credfresh.logs.redaction import redact
from credfresh.logs.stream import Stream
from credfresh.model import Clock, rfc3339

SEVERITY: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Writes events as lines. An `Emit`; safe from every thread; never raises."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Clock,
        level: Level = "info",
        console: bool = False,
        colours: bool = False,
        journal: bool = False,
    ) -> None:
        self.level: Level = level
        self.console = console
        self._clock = clock
        self._stream = Stream(stream, journal=journal)
        renderers: list[Any] = (
            [_printable, ConsoleRenderer(colours=colours)]
            if console
            else [structlog.processors.JSONRenderer()]
        )
        self._logger = structlog.wrap_logger(
            self._stream,
            processors=[self._stamp, *renderers],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            cache_logger_on_first_use=True,
        )

    def __call__(self, event: str, /, **fields: object) -> None:
        """Log an event of ours."""
        if undeclared(event, frozenset(fields)):
            names = " ".join(sorted(fields))
            self.tell("error", "undeclared_event", {"name": event, "fields": names})
            return
        self.tell(EVENTS[event].level, event, fields)

    def tell(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write the line of an event, ours or a library's, if `level` is shown."""
        if SEVERITY[level] < SEVERITY[self.level]:
            return
        lost = self._stream.take_lost()
        if lost:
            self._line("warning", "log_lines_lost", {"lines": lost})
        self._line(level, event, fields)

    def _line(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        known = {name: value for name, value in fields.items() if value is not None}
        getattr(self._logger, level)(event, **redact(known))

    def _stamp(
        self, _logger: Any, level: str, fields: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        wall = self._clock().wall
        stamp = f"{rfc3339(wall)[:-1]}.{int(wall * 1000) % 1000:03}Z"
        return {"timestamp": stamp, "level": level, "event": fields.pop("event"), **fields}


def _printable(
    _logger: Any, _level: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Escape characters that are not printable, which could move a terminal's cursor."""
    return {name: _spelt(value) for name, value in fields.items()}


def _spelt(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelt(each) for each in value]
    if not isinstance(value, str):
        return value
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in value)
