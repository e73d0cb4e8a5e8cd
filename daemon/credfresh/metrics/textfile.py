"""Writes the figures to a file for node_exporter, in one step, soon after each change."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from credfresh.coalescer import Coalescer
from credfresh.disk import atomic
from credfresh.disk.atomic import Attributes
from credfresh.disk.steps import Steps
from credfresh.errors import PublishError
from credfresh.events import Emit
from credfresh.model import Clock

EVERY = 15.0
"""Seconds after which the file is written even if nothing has changed: an old file shows that the
daemon is dead."""

REST = 50.0
"""After a write the next one waits this many times as long as it took: writing takes 2 %. (The
first does not count.)"""

MOST_REST = 60.0
"""The longest rest between two writes, in seconds."""

Render = Callable[[float], bytes | None]
"""Returns the content, not from before a boot-clock second; None if it cannot be had now."""


class Textfile:
    """Keeps one file, in a thread of its own. If it cannot be written, an event says so."""

    def __init__(self, path: str, mode: int, *, render: Render, clock: Clock, emit: Emit) -> None:
        self._path = path
        self._mode = mode
        self._render = render
        self._clock = clock
        self._emit = emit
        self._changed = threading.Condition()
        self._pace = Coalescer(limit=MOST_REST, rest_times=REST, patient=False)
        self._stopping = self._removed = False
        self._failing: str | None = None
        self._thread = threading.Thread(target=self._run, name="credfresh-textfile", daemon=True)

    def open(self) -> None:
        """Start to write; if the system gives no thread, it is tried again at the next change."""
        try:
            self._thread.start()
        except RuntimeError:
            self._failed(
                PublishError(
                    f"{self._path}: no thread could be had",
                    path=self._path,
                    step="start",
                    code="no_thread",
                    hint="too many threads or processes: look at the unit's TasksMax and its hooks",
                )
            )

    def note(self) -> None:
        """Note that something has changed. Does not block the main thread."""
        if self._thread.ident is None:
            self.open()
        with self._changed:
            self._pace.note(self._clock().boot, urgent=False)
            self._changed.notify()

    def close(self, *, remove: bool = False) -> None:
        """Stop writing. The file stays, as it tells what is published, unless `remove` is set."""
        with self._changed:
            self._stopping, self._removed = True, remove
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(1.0)
        if remove:
            self._take_away()

    def _take_away(self) -> None:
        with contextlib.suppress(OSError):
            Path(self._path).unlink()

    def _run(self) -> None:
        sweep(self._path)
        next_at = self._clock().boot
        first = True
        while True:
            with self._changed:
                now = self._clock().boot
                due = self._pace.due_at()
                pause = min(next_at, next_at if due is None else due) - now
                if self._stopping:
                    return
                if pause > 0:
                    self._changed.wait(pause)
                    continue
                self._pace.started()
            self._write(now)
            ended = self._clock().boot
            # The first one imports what it needs, beside a start: it says nothing of the others.
            took, first = 0.0 if first else ended - now, False
            self._pace.ended(ended, took)
            next_at = ended + max(EVERY, min(REST * took, MOST_REST))

    def _write(self, since: float) -> None:
        try:
            content = self._render(since)
            if content is None:
                return  # leave the old file: its age shows that the daemon does not answer
            put(self._path, content, self._mode)
        except PublishError as error:
            self._failed(error)
            return
        except Exception as error:  # noqa: BLE001 - nothing may end the thread that writes
            self._failed(PublishError.unforeseen(self._path, error))
            return
        if self._removed:  # meanwhile: it waited for the main thread, which did not wait for it
            self._take_away()
        if self._failing is not None:
            self._failing = None
            self._emit("textfile_recovered", path=self._path)

    def _failed(self, error: PublishError) -> None:
        if self._failing != error.code:
            self._failing = error.code
            self._emit(
                "textfile_failed",
                path=self._path,
                step=error.step,
                code=error.code,
                error=error.message,
                hint=error.hint,
            )


def put(path: str, content: bytes, mode: int) -> None:
    """Replace a file in one step, without fsync: it holds no secret and may be lost in a crash.

    Raises:
        PublishError: the system refused it; the old file stands.
    """
    steps = Steps(path)
    folder, name = os.path.split(path)
    with steps("resolve"):
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with steps("create"):
            temporary = atomic.create(directory, name)
        try:
            with steps("attributes"):
                atomic.set_attributes(temporary.descriptor, Attributes(mode))
            with steps("write"):
                temporary.write(content)
            with steps("swap"):
                atomic.replace(directory, temporary.name, name)
                temporary.named = False
        finally:
            temporary.drop()
    finally:
        os.close(directory)


def sweep(path: str) -> None:
    """Remove half-written files that a killed daemon left beside the file."""
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError):
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            atomic.sweep(directory, name)
        finally:
            os.close(directory)
