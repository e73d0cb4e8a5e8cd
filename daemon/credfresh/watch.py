"""Waits at once for a process's output and for its end, and kills it with its children."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys

if sys.version_info < (3, 11, 4):
    # Such a Python holds up all threads while a command starts, and its disk may hang (gh-104372).
    subprocess._USE_VFORK = False  # type: ignore[misc]  # noqa: SLF001 - documented to be set

LOOKED_FOR = 0.05
"""Seconds between two checks whether a process has ended, if the kernel does not tell."""


class ProcessWatch:
    """Waits for what a process prints into the pipe that is its standard output, and for its end.

    If no descriptor of the process can be had (an old kernel, a filter of system calls, too many
    open files), its end is checked for every `LOOKED_FOR` seconds.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            raise ValueError("its standard output is no pipe")
        self._pid = process.pid
        self._pipe = process.stdout
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._end: int | None = None
        with contextlib.suppress(OSError):
            self._end = os.pidfd_open(self._pid)
            self._poll.register(self._end, select.POLLIN)

    def wait(self, seconds: float) -> tuple[bool, bool]:
        """Say whether there is something to read, and whether the process has ended."""
        # Before the poll: if it has ended, the poll finds the last of its output.
        ended = self._end is None and self._has_ended()
        if self._end is None:
            seconds = 0.0 if ended else min(seconds, LOOKED_FOR)
        ready = dict(self._poll.poll(seconds * 1000))
        if self._end in ready and self._pipe.fileno() not in ready:
            # It may have printed and ended after this poll looked at the pipe: look again.
            ready |= self._poll.poll(0)
        return self._pipe.fileno() in ready, ended or self._end in ready

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes of output; at its end nothing, and wait for no more of it."""
        read = os.read(self._pipe.fileno(), most)
        if not read:
            self._poll.unregister(self._pipe)
        return read

    def close(self) -> None:
        """Close the pipe, and give the descriptor of the process back."""
        self._pipe.close()
        if self._end is not None:
            os.close(self._end)

    def _has_ended(self) -> bool:
        # Not reaped: until the caller reaps it, no other process can have its number.
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a group, with all of the group."""
    # We may not kill a command that runs as another user by now (setuid).
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
