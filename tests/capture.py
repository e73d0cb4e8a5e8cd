"""Log output in tests: a stream that keeps it, and the restoring of what logging changes."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from credfresh.logs.capture import CLAMPED


class Stream(io.StringIO):
    """A stream that keeps what is written; a terminal if told so, and of any encoding."""

    def __init__(self, *, terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__()
        self._terminal = terminal
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override] # read-only is what we need
        return self._encoding

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        text.encode(self._encoding)
        return super().write(text)

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines so far, each of which is one JSON object."""
        return [json.loads(line) for line in self.getvalue().splitlines()]


@contextlib.contextmanager
def process_restored() -> Iterator[None]:
    """Restore the process's log handlers, levels and hooks at the end."""
    handlers, level = logging.root.handlers, logging.root.level
    levels = {name: logging.getLogger(name).level for name in CLAMPED}
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        logging.root.handlers = handlers
        logging.root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
