"""Where lines go: a stream whose reader may be slow, stopped or gone."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Mapping
from typing import TextIO

PRIORITY: Mapping[str, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""sd-daemon(3): the number between `<` and `>` before a line, where journald listens."""

PATIENCE = 1.0
"""Seconds that a reader which does not read may hold us up, once; then lines are lost."""


class Stream:
    """Writes whole lines. Safe from every thread; never raises, and never waits for ever.

    (A line longer than PIPE_BUF, 4 KiB, may still have to wait for a pipe that is almost full.)
    """

    def __init__(self, stream: TextIO, *, journal: bool) -> None:
        self._stream = stream
        self._journal = journal
        self._lock = threading.Lock()
        self._lost = 0
        self._descriptor: int | None = None
        self._poll = select.poll()
        with contextlib.suppress(OSError, ValueError):
            self._descriptor = stream.fileno()
            self._poll.register(self._descriptor, select.POLLOUT)

    def debug(self, line: str) -> None:
        """Write a line of that level, and so on: structlog calls them by name."""
        self._write("debug", line)

    def info(self, line: str) -> None:
        """See `debug`."""
        self._write("info", line)

    def warning(self, line: str) -> None:
        """See `debug`."""
        self._write("warning", line)

    def error(self, line: str) -> None:
        """See `debug`."""
        self._write("error", line)

    def take_lost(self) -> int:
        """Return how many lines were lost, once the stream takes lines again; else 0."""
        with self._lock:
            if not self._lost or not self._ready(0.0):
                return 0
            lost, self._lost = self._lost, 0
            return lost

    def _write(self, level: str, line: str) -> None:
        text = f"<{PRIORITY[level]}>{line}\n" if self._journal else f"{line}\n"
        with self._lock:
            # Who has not read for a while is not waited for again until it does.
            if not self._ready(0.0 if self._lost else PATIENCE):
                self._lost += 1
                return
            with contextlib.suppress(OSError, ValueError):
                self._put(text)

    def _put(self, text: str) -> None:
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                spelt = text.encode(self._stream.encoding, "backslashreplace")
                self._stream.write(spelt.decode(self._stream.encoding))
            self._stream.flush()
        except BrokenPipeError:
            # The reader has gone for good. It must not cost the daemon its life, nor let what
            # was buffered for it fail once more at the exit.
            if self._descriptor is not None:
                with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - no Path
                    os.dup2(nowhere.fileno(), self._descriptor)

    def _ready(self, patience: float) -> bool:
        return self._descriptor is None or bool(self._poll.poll(patience * 1000))


def reaches_journal(stream: TextIO, journal: str | None) -> bool:
    """Say whether the stream is the one that $JOURNAL_STREAM (`device:inode`) names."""
    if journal is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        status = os.fstat(stream.fileno())
        return journal == f"{status.st_dev}:{status.st_ino}"
    return False
