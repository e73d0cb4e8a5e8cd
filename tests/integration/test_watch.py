"""Waiting for the output and the end of a process at once."""

from __future__ import annotations

import os
import select
import subprocess
from typing import IO

import pytest

from credfresh.watch import ProcessWatch


class ShortSighted:
    """A poll that looked at the pipe before the process wrote and ended, as the kernel may."""

    def __init__(self, real: select.poll) -> None:
        self._real = real
        self._first: int | None = None
        self._before = True

    def register(self, of: IO[bytes] | int, mask: int) -> None:
        self._first = self._first or (of if isinstance(of, int) else of.fileno())
        self._real.register(of, mask)

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        ready = self._real.poll(milliseconds)
        before, self._before = self._before, False
        return [(fd, what) for fd, what in ready if not (before and fd == self._first)]


def test_output_that_comes_during_a_poll_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Poll looks at one descriptor after the other; output before the end must not be missed."""
    real = select.poll
    monkeypatch.setattr(select, "poll", lambda: ShortSighted(real()))
    with subprocess.Popen(("/bin/echo", "last"), stdout=subprocess.PIPE) as process:
        watch = ProcessWatch(process)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # waits, does not reap
        assert (True, True) == watch.wait(10.0)
        watch.close()
