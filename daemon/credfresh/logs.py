"""The log: one line an event, JSON for machines or colours for people. The only door to structlog.

Rules: an event is a name and fields, never prose; every line of stdout and stderr is one event,
also what other libraries, warnings and uncaught errors have to say. Of an error only its type
and the places it came through are shown, never its text nor local variables: both may quote a
secret. Library loggers that print whole answers of STS stay at INFO whatever the level.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from credfresh.events import EVENTS, undeclared
from credfresh.model import Clock, rfc3339
from credfresh.settings import LogSettings

Level = Literal["debug", "info", "warning", "error"]
SEVERITY: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}

PRIORITY: Mapping[str, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""sd-daemon(3): the number between `<` and `>` before a line, where journald listens."""

CLAMPED = {"botocore": 20, "boto3": 20, "urllib3": 20, "s3transfer": 20, "apscheduler": 30}
"""Libraries and the most talkative level that they are allowed."""

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(r"secret|token|password", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?:IQoJ|FwoG|FQoG)[A-Za-z0-9+/=]{16,}"  # how STS's session tokens begin
    r"|(?<![A-Za-z0-9/+=])(?![0-9a-f]{40})[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])"  # a secret key
)


class Log:
    """Writes events as lines. An `Emit`; safe from every thread; never raises."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Clock,
        level: Level = "info",
        console: bool = False,
        journal: bool = False,
    ) -> None:
        self.level: Level = level
        self.console = console
        self._clock = clock
        renderer: Any = (
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                pad_event_to=24,
                exception_formatter=structlog.dev.plain_traceback,
            )
            if console
            else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
        )
        self._logger = structlog.wrap_logger(
            _Lines(stream, journal=journal),
            processors=[self._stamp, redact, renderer],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            cache_logger_on_first_use=True,
        )

    def __call__(self, event: str, /, **fields: object) -> None:
        """Tell an event of ours."""
        if undeclared(event, frozenset(fields)):
            names = " ".join(sorted(fields))
            self.tell("error", "undeclared_event", {"name": event, "fields": names})
            return
        self.tell(EVENTS[event].level, event, fields)

    def tell(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write one line, if `level` is to be shown."""
        if SEVERITY[level] < SEVERITY[self.level]:
            return
        known = {name: value for name, value in fields.items() if value is not None}
        getattr(self._logger, level)(event, **known)

    def _stamp(
        self, _logger: Any, level: str, fields: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        wall = self._clock().wall
        stamp = f"{rfc3339(wall)[:-1]}.{int(wall * 1000) % 1000:03}Z"
        return {"timestamp": stamp, "level": level, "event": fields.pop("event"), **fields}


class _Lines:
    """Where structlog leaves finished lines: one method a level."""

    def __init__(self, stream: TextIO, *, journal: bool) -> None:
        self._stream = stream
        self._journal = journal
        self._lock = threading.Lock()

    def debug(self, line: str) -> None:
        self._write("debug", line)

    def info(self, line: str) -> None:
        self._write("info", line)

    def warning(self, line: str) -> None:
        self._write("warning", line)

    def error(self, line: str) -> None:
        self._write("error", line)

    def _write(self, level: str, line: str) -> None:
        prefix = f"<{PRIORITY[level]}>" if self._journal else ""
        # A reader that has gone away must not cost the daemon its life.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{prefix}{line}\n")
            self._stream.flush()


def redact(_logger: Any, _level: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what looks like a secret: a second wall, behind never logging one."""
    return {name: _redacted(name, value) for name, value in fields.items()}


def configure(
    settings: LogSettings,
    *,
    stream: TextIO,
    clock: Clock,
    environ: Mapping[str, str] = os.environ,
) -> Log:
    """Make the log, and let everything that this process says go through it."""
    console = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    log = Log(
        stream,
        clock=clock,
        level=settings.level,
        console=console,
        journal=_reaches_journal(stream, environ.get("JOURNAL_STREAM")),
    )
    handler = _Bridge(log)
    logging.root.handlers = [handler]
    logging.root.setLevel(SEVERITY[settings.level])
    for name, least in CLAMPED.items():
        logging.getLogger(name).setLevel(max(least, SEVERITY[settings.level]))
    logging.captureWarnings(capture=True)
    sys.excepthook = _hook(log, "main")
    threading.excepthook = lambda args: _hook(log, args.thread.name if args.thread else "thread")(
        args.exc_type, args.exc_value, args.exc_traceback
    )
    sys.unraisablehook = lambda args: _hook(log, "unraisable")(
        args.exc_type, args.exc_value, args.exc_traceback
    )
    return log


def frames(error: BaseException | None, trace: TracebackType | None = None) -> list[str]:
    """Return the places an error came through, innermost last: no text, no local variables."""
    trace = trace or (error.__traceback__ if error else None)
    return [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)]


class _Bridge(logging.Handler):
    """Turns the records of other libraries into events."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = next(n for n in ("error", "warning", "info", "debug") if _at_least(record, n))
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, object] = {"logger": record.name, "message": _message(record)}
        if error is not None:
            fields |= {"error_type": type(error).__name__, "frames": frames(error)}
        self._log.tell(level, "library", fields)


def _at_least(record: logging.LogRecord, level: str) -> bool:
    return record.levelno >= SEVERITY[level] or level == "debug"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a library's broken format string is its own affair
        return str(record.msg)


def _hook(
    log: Log, where: str
) -> Callable[[type[BaseException], BaseException | None, TracebackType | None], None]:
    def told(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        log("unexpected_error", where=where, error_type=kind.__name__, frames=frames(error, trace))

    return told


def _redacted(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, str):
        return _SECRET_TEXT.sub(REDACTED, value)
    if isinstance(value, list):
        return [_redacted("", one) for one in value]
    return value


def _reaches_journal(stream: TextIO, journal: str | None) -> bool:
    """Say whether the stream is the one that $JOURNAL_STREAM (`device:inode`) names."""
    if journal is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        status = os.fstat(stream.fileno())
        return journal == f"{status.st_dev}:{status.st_ino}"
    return False
