"""Turns what libraries, warnings and uncaught errors say in this process into events."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TextIO

from credfresh.causes import frames
from credfresh.events import Level
from credfresh.logs.log import SEVERITY, Log
from credfresh.logs.stream import reaches_journal
from credfresh.model import Clock
from credfresh.settings import LogSettings
from credfresh.summary import coloured

CLAMPED = {
    "botocore": 20,
    "boto3": 20,
    "urllib3": 20,
    "s3transfer": 20,
    "apscheduler": 30,
    "waitress": 40,  # below that it logs what clients do, each time that they do it
}
"""Libraries, and the lowest level at which they may log."""


def configure(
    settings: LogSettings,
    *,
    stream: TextIO,
    clock: Clock,
    environ: Mapping[str, str] = os.environ,
) -> Log:
    """Make the log, and send through it everything that this process says."""
    console = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    log = Log(
        stream,
        clock=clock,
        console=console,
        colours=stream.isatty() and coloured(environ),
        journal=reaches_journal(stream, environ.get("JOURNAL_STREAM")),
    )
    logging.root.handlers = [_Bridge(log)]
    logging.captureWarnings(capture=True)
    follow(log, settings.level)
    sys.excepthook = _hook(log, "main")
    threading.excepthook = lambda args: _hook(log, args.thread.name if args.thread else "thread")(
        args.exc_type, args.exc_value, args.exc_traceback
    )
    sys.unraisablehook = lambda args: _hook(log, "unraisable")(
        args.exc_type, args.exc_value, args.exc_traceback
    )
    return log


def follow(log: Log, level: Level) -> None:
    """Show `level` and above from now on; for libraries, not below what `CLAMPED` allows."""
    log.level = level
    logging.root.setLevel(SEVERITY[level])
    for name, least in CLAMPED.items():
        logging.getLogger(name).setLevel(max(least, SEVERITY[level]))


class _Bridge(logging.Handler):
    """Turns the records of other libraries into events."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = next((n for n in ("error", "warning", "info") if _at_least(record, n)), "debug")
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, object] = {"logger": record.name, "message": _message(record)}
        if error is not None:
            fields |= {"error_type": type(error).__name__, "frames": frames(error.__traceback__)}
        self._log.tell(level, "library", fields)


def _at_least(record: logging.LogRecord, level: str) -> bool:
    return record.levelno >= SEVERITY[level]


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a library's format string may be broken
        return str(record.msg)


def _hook(
    log: Log, where: str
) -> Callable[[type[BaseException], BaseException | None, TracebackType | None], None]:
    def told(
        kind: type[BaseException], _error: BaseException | None, trace: TracebackType | None
    ) -> None:
        log("unexpected_error", where=where, error_type=kind.__name__, frames=frames(trace))

    return told
