"""Running a `credential_process` for botocore: no shell, and an end that comes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from credfresh.errors import Mend, RenewalError, Scope

LIMIT = 30.0
"""Seconds that a process is given. An attempt has 60 and STS must be called as well."""

NOT_INHERITED = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS"})
"""What systemd means for the daemon alone."""


class BoundedProcess:
    """What botocore's process provider asks of a Popen, bounded in time.

    The whole process group is killed at the limit, so a shell script's children go too. What the
    process wrote to its standard error is not repeated: it may quote what it was about to print.
    """

    returncode = 0

    def __init__(
        self,
        argv: Sequence[str],
        *,
        name: str,
        environ: Mapping[str, str],
        limit: float = LIMIT,
    ) -> None:
        self._name = name
        self._limit = limit
        self._process = subprocess.Popen(  # noqa: S603 - argv of the configuration, no shell
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={k: v for k, v in environ.items() if k not in NOT_INHERITED},
            start_new_session=True,
        )

    def communicate(self) -> tuple[bytes, bytes]:
        """Return what it printed.

        Raises:
            RenewalError: it took too long, or said by its exit status that it failed.
        """
        try:
            printed, _ = self._process.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired:
            self._kill()
            late = f"source {self._name}: the process was killed after {self._limit:g} s"
        else:
            if self._process.returncode == 0:
                return printed, b""
            raise RenewalError(
                f"source {self._name}: the process failed, exit status {self._process.returncode}",
                code="source_failed",
                mend=Mend.TIME,
                scope=Scope.SOURCE,
                hint="run it by hand as the daemon's user; its standard error is not repeated here",
            )
        raise RenewalError(
            late,
            code="source_timeout",
            mend=Mend.TIME,
            scope=Scope.SOURCE,
            hint="run it by hand as the daemon's user: does it ask for something?",
        )

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        # A child that left the group may still hold the pipe: do not wait for its end of file.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=1.0)
        if self._process.stdout is not None:
            self._process.stdout.close()
