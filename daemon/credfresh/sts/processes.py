"""Runs a `credential_process` for botocore, without a shell and within limits."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence

from credfresh import one_cpu
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.watch import ProcessWatch, kill_group

MOST_OUTPUT = 64 << 10
"""Bytes that a process may print: credentials are two or three thousand."""

LIMIT = 30.0
"""Seconds that a process is given. An attempt has 60 and STS must be called as well."""

REAPED_WITHIN = 1.0
"""Seconds that a killed process is waited for; then it is left."""

NOT_INHERITED = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS"})
"""Variables that systemd sets for the daemon alone."""


class BoundedProcess:
    """Stands in for the Popen of botocore's process provider, with bounds on time and output.

    At a bound the whole process group is killed, with a shell script's children. What the process
    writes to its standard error is not repeated: it may quote what it was about to print.
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
        one_cpu.go(one_cpu.EVERYWHERE)  # the process inherits where this thread may run
        self._process = subprocess.Popen(  # noqa: S603 - argv of the configuration, no shell
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={k: v for k, v in environ.items() if k not in NOT_INHERITED},
            start_new_session=True,
        )

    def communicate(self) -> tuple[bytes, bytes]:
        """Wait for the end of the process; return what it printed, and nothing for stderr.

        Raises:
            RenewalError: it took too long, printed too much, or its exit status is not 0.
        """
        printed, ended = self._listen(time.monotonic() + self._limit)
        if len(printed) > MOST_OUTPUT:
            self._kill()
            raise self._failure(
                f"was killed: it printed more than {MOST_OUTPUT} bytes",
                mend=Mend.HUMAN,
                hint="run it by hand as the daemon's user: it must print Version 1 JSON alone",
            )
        if not ended:
            self._kill()
            raise self._failure(
                f"was killed after {self._limit:g} s",
                code="source_timeout",
                hint="run it by hand as the daemon's user: does it ask for something?",
            )
        status = self._process.wait()
        if status:
            raise self._failure(
                f"failed, exit status {status}",
                hint="run it by hand as the daemon's user; its standard error is not repeated here",
            )
        return printed, b""

    def _listen(self, deadline: float) -> tuple[bytes, bool]:
        """Read until the process ends, prints too much, or is late; say whether it has ended.

        After its end, what it has printed is read without waiting for more: a child of it may hold
        the output open for ever.
        """
        printed = bytearray()
        with contextlib.closing(ProcessWatch(self._process)) as watch:
            while len(printed) <= MOST_OUTPUT:
                left = max(0.0, deadline - time.monotonic())
                says, ended = watch.wait(left)
                if says:
                    printed += watch.read(MOST_OUTPUT + 1 - len(printed))
                elif ended or not left:
                    return bytes(printed), ended
        return bytes(printed), False

    def _kill(self) -> None:
        kill_group(self._process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=REAPED_WITHIN)

    def _failure(
        self, what: str, *, code: str = "source_failed", mend: Mend = Mend.TIME, hint: str
    ) -> RenewalError:
        return RenewalError(
            f"source {self._name}: the process {what}",
            code=code,
            mend=mend,
            scope=Scope.SOURCE,
            hint=hint,
        )
