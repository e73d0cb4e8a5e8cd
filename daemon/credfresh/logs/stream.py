"""Writes lines to a stream whose reader may be slow, stopped or gone."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import sys
import threading
import time
from collections.abc import Mapping
from typing import TextIO

PRIORITY: Mapping[str, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""sd-daemon(3): the number between `<` and `>` before a line for journald."""

PATIENCE = 1.0
"""Seconds that we wait, once, for a reader that does not read; then lines are lost."""

MOST_AT_ONCE = select.PIPE_BUF // 4
"""Characters that a pipe takes at once unless it is full, whatever they are; also the most that
is buffered if a terminal takes only part of them."""

JOURNAL = "/run/systemd/journal/stdout"
"""The socket of journald to which systemd connects the standard output of services."""

_TO_JOURNAL = b"credfresh\n\n6\n1\n0\n0\n0\n"
"""The header that sd_journal_stream_fd(3) sends there: an identifier, no unit (journald finds it),
the level of lines without one, that lines have one, and three times that nothing is forwarded."""


class Stream:
    """Writes whole lines. Safe from every thread; never raises, and never waits for ever.

    A line that could not be written out (on a full disk), or only in part (to a pipe that is almost
    full), is kept and written first when that is possible; later lines are lost meanwhile.
    `journal` says that journald reads, at `socket_path`.
    """

    def __init__(self, stream: TextIO, *, journal: bool, socket_path: str = JOURNAL) -> None:
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"
        self._journal = journal
        self._socket_path = socket_path
        self._lock = threading.Lock()
        self._lost = 0
        self._rest = ""
        """Of a line that was begun, or not yet."""
        self._kept = False
        """Whether the stream may keep what was written."""
        self._at_once = sys.maxsize
        self._descriptor: int | None = None
        self._poll = select.poll()
        with contextlib.suppress(OSError, ValueError):
            self._descriptor = stream.fileno()
            self._poll.register(self._descriptor, select.POLLOUT)
            mode = os.fstat(self._descriptor).st_mode
            if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
                self._at_once = MOST_AT_ONCE
            if os.isatty(self._descriptor):
                _never_wait(self._descriptor)

    def debug(self, line: str) -> None:
        """Write a line of this level; structlog calls the method that is named as the level."""
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
            if not self._lost or not self._takes():
                return 0
            lost, self._lost = self._lost, 0
            return lost

    def _write(self, level: str, line: str) -> None:
        text = f"<{PRIORITY[level]}>{line}\n" if self._journal else f"{line}\n"
        with self._lock:
            # Who has not read for a while is not waited for again until it does.
            if (self._behind() and not self._takes()) or not self._take_in(text):
                self._lost += 1

    def _behind(self) -> bool:
        """Say whether lines are lost, or something is kept that must be written first."""
        return bool(self._lost or self._rest or self._kept)

    def _takes(self) -> bool:
        """Say whether the reader reads just now, and has got what was kept for it."""
        now = time.monotonic()
        kept = self._reads(now) and self._put_out(now) and self._go_on(now)
        return kept and not self._rest

    def _reads(self, give_up: float) -> bool:
        if self._descriptor is None:
            return True
        return bool(self._poll.poll(max(0.0, give_up - time.monotonic()) * 1000))

    def _take_in(self, text: str) -> bool:
        """Write a line, or keep it; say whether it is not lost."""
        # What it has no letters for is spelt out.
        self._rest = text.encode(self._encoding, "backslashreplace").decode(self._encoding)
        return self._go_on(time.monotonic() + PATIENCE)

    def _go_on(self, give_up: float) -> bool:
        """Write the rest of a line as far as the reader takes it; say whether it is not lost."""
        while self._rest and self._reads(give_up):
            piece, self._rest = self._rest[: self._at_once], self._rest[self._at_once :]
            self._kept = True
            try:
                with contextlib.suppress(BlockingIOError):  # a terminal's end of line: it is kept
                    self._stream.write(piece)
            except BrokenPipeError:  # it was too long to be kept
                self._find_reader()
                return False
            except (OSError, ValueError):
                return False
            if not self._put_out(give_up):
                break
        return True

    def _put_out(self, give_up: float) -> bool:
        """Write out what is kept; say whether there is nothing more."""
        for _ in range(2):
            try:
                while not self._flushed():
                    if time.monotonic() >= give_up or not self._reads(give_up):
                        return False
            except BrokenPipeError:
                self._find_reader()
            except (OSError, ValueError):
                return False
            else:
                self._kept = False
                return True
        return False

    def _flushed(self) -> bool:
        try:
            self._stream.flush()
        except BlockingIOError:  # it has taken a part
            return False
        return True

    def _find_reader(self) -> None:
        """Replace a reader that has gone for good.

        Journald keeps its streams over a restart and a crash; if it was stopped and started, we
        connect to it again. Any other reader is replaced by /dev/null: a log that goes nowhere must
        neither end the daemon nor fail once more at the exit.
        """
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            if not self._journal:
                with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - no Path
                    os.dup2(nowhere.fileno(), self._descriptor)
                return
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as journal:
                journal.settimeout(0)  # fail rather than wait for journald to accept
                journal.connect(self._socket_path)
                journal.settimeout(None)
                journal.sendall(_TO_JOURNAL)
                os.dup2(journal.fileno(), self._descriptor)


def _never_wait(terminal: int) -> None:
    """Open a terminal for us alone, so that writing there waits for nobody who has stopped it.

    Whoever shares the descriptor that we were given may rely on waiting.
    """
    with contextlib.suppress(OSError):  # it is another user's, as after `su`
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        own = os.open(f"/proc/self/fd/{terminal}", flags)
        os.dup2(own, terminal)
        os.close(own)


def reaches_journal(stream: TextIO, journal: str | None) -> bool:
    """Say whether the stream is the one that $JOURNAL_STREAM (`device:inode`) names."""
    if journal is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        status = os.fstat(stream.fileno())
        return journal == f"{status.st_dev}:{status.st_ino}"
    return False
