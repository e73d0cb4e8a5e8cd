"""Runs a configured command once: without a shell or a secret, bounded in time and output."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping

from credfresh import one_cpu
from credfresh.values import dataclass
from credfresh.watch import ProcessWatch, kill_group

MOST_OUTPUT = 2000
"""Bytes of output that are kept: the first ones. All after them is read and dropped."""

LINGER = 0.2
"""Seconds that output is read for after the command's end: a child of it may print for ever."""

REAPED_WITHIN = 5.0
"""Seconds that a command which has ended, or was killed, is waited for; then it is left."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Order:
    """A command to run. `variables` are added to a minimal environment; `told` is its input."""

    command: tuple[str, ...]
    timeout: float
    variables: Mapping[str, str]
    told: bytes = b""


@dataclass(frozen=True, slots=True)
class Ended:
    """The outcome of a run. `failure` is None if it succeeded; `took` is in seconds."""

    failure: str | None
    output: str
    took: float


class Run:
    """One run. `carry_out` blocks the caller's thread; `kill` may be called from another one."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.command = order.command[0]
        """What is run, without its arguments, which may hold a secret."""
        self._process: subprocess.Popen[bytes] | None = None
        self._killed: str | None = None

    def carry_out(self) -> Ended:
        """Run the command to its end, or to its time limit."""
        began = time.monotonic()
        try:
            with self._told() as told:
                process = self._start(told)
        except OSError as error:
            why = f"cannot be started: {os.strerror(error.errno or 0)}"
            return Ended(why, "", time.monotonic() - began)
        if process is None:
            return Ended(self._killed, "", 0.0)
        if self._killed:  # while it was being started, and nobody's yet
            self.kill(self._killed)
        output = self._listen(process, began + self._order.timeout)
        status: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(REAPED_WITHIN)
        failure = self._killed or _failure(status)
        return Ended(failure, _text(output), time.monotonic() - began)

    def kill(self, why: str) -> None:
        """Kill the command, with all of its process group; one that is starting, once it has."""
        self._killed = self._killed or why
        # Not once it has been waited for: another process may have its number by then.
        if self._process is not None and self._process.returncode is None:
            kill_group(self._process)

    def _start(self, told: int) -> subprocess.Popen[bytes] | None:
        if self._killed:
            return None
        one_cpu.go(one_cpu.EVERYWHERE)  # the command inherits where this thread may run
        self._process = subprocess.Popen(  # noqa: S603 - argv of the configuration, no shell
            self._order.command,
            stdin=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": PATH, "LANG": "C.UTF-8", **self._order.variables},
            cwd="/",
            start_new_session=True,
        )
        return self._process

    @contextlib.contextmanager
    def _told(self) -> Iterator[int]:
        """Give the command's standard input: a file in memory, so that writing it never blocks."""
        descriptor = os.memfd_create("on_renew", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, self._order.told)
            os.lseek(descriptor, 0, os.SEEK_SET)
            yield descriptor
        finally:
            os.close(descriptor)

    def _listen(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """Read until the command has ended and its output as well, or until it must be killed."""
        kept = bytearray()
        with contextlib.closing(ProcessWatch(process)) as watch:
            while True:
                says, ended = watch.wait(max(0.0, deadline - time.monotonic()))
                if says:
                    kept += watch.read(65536)[: MOST_OUTPUT - len(kept)]
                elif ended:
                    return bytes(kept)
                if ended:
                    deadline = min(deadline, time.monotonic() + LINGER)
                if time.monotonic() >= deadline:
                    if not ended:
                        self.kill(f"killed after {self._order.timeout:g} s")
                    return bytes(kept)


def _text(output: bytes) -> str:
    if len(output) == MOST_OUTPUT:
        # Only whole words: half a secret would not be recognised as one, and be logged.
        output = output[: max(0, output.rfind(b" "), output.rfind(b"\n"))]
    return output.decode("utf-8", "replace").strip()


def _failure(status: int | None) -> str | None:
    if status is None:
        return "it does not end"
    if status < 0:
        return f"ended by signal {-status}"
    return f"exit status {status}" if status else None
