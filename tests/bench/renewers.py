"""The tools of `bench_life.py`: each can be started, stopped, killed, and started again."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import others
from others import PEERS, home
from stage import Daemon, FastSts, Stage, stage

LIFE = 80.0
"""The seconds that a session lasts."""


class Tool(Protocol):
    """A program that renews one section."""

    section: str
    after: float
    """Seconds after a renewal at which trouble begins: just before the next renewal."""

    @property
    def path(self) -> Path:
        """The file that it writes."""

    def start(self) -> None:
        """Start it, also after a kill."""

    def signal(self, number: int) -> None:
        """Send its process a signal."""

    def end(self) -> None:
        """End it."""


@dataclass(slots=True)
class Credfresh:
    """credfresh's daemon."""

    at: Stage
    running: Daemon | None = None
    section: str = "team-00000"
    after: float = 0.41 * LIFE

    @property
    def path(self) -> Path:
        """The credentials file."""
        return self.at.credentials

    def start(self) -> None:
        """Start the daemon."""
        self.running = Daemon(self.at)

    def signal(self, number: int) -> None:
        """Send the daemon a signal."""
        if self.running is not None:
            self.running.process.send_signal(number)

    def end(self) -> None:
        """Stop the daemon."""
        if self.running is not None:
            self.running.stop()


@dataclass(slots=True)
class Timed:
    """A command that a timer starts each half session, whatever the last run's outcome."""

    path: Path
    environment: dict[str, str]
    section: str = "team"
    after: float = LIFE / 2 - 1
    _gate: threading.Event | None = None
    _over: threading.Event | None = None
    _killed: bool = False

    def start(self) -> None:
        """Start the timer; a kill affects only the job, so, like cron, it goes on afterwards."""
        if self._gate is not None:
            return
        self._gate, self._over = threading.Event(), threading.Event()
        self._gate.set()
        threading.Thread(target=self._tick, args=(self._gate, self._over), daemon=True).start()

    def signal(self, number: int) -> None:
        """Stop the timer, continue it, or kill the job that it starts next."""
        if self._gate is None:
            return
        if number == signal.SIGSTOP:
            self._gate.clear()
        elif number == signal.SIGCONT:
            self._gate.set()
        else:
            self._killed = True

    def end(self) -> None:
        """End the timer."""
        if self._over is not None and self._gate is not None:
            self._over.set()
            self._gate.set()

    def _tick(self, gate: threading.Event, over: threading.Event) -> None:
        command = [sys.executable, str(PEERS / "one_client.py"), self.section]
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            gate.wait()
            if self._killed:
                self._killed = False
            else:
                subprocess.run(
                    command, env=self.environment, stderr=subprocess.DEVNULL, check=False
                )
            due += LIFE / 2


@dataclass(slots=True)
class Autoawsume:
    """awsume's daemon, for one profile."""

    path: Path
    environment: dict[str, str]
    section: str = "autoawsume-team"
    after: float = LIFE - 61.0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Renew the profile if it is missing, and start the daemon."""
        if self.section not in self.path.read_text():
            self._run(others.awsume("team"))
        self._process = subprocess.Popen(
            [others.BIN / "autoawsume"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def signal(self, number: int) -> None:
        """Send the daemon a signal if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def end(self) -> None:
        """Kill the daemon."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def _run(self, command: list[str]) -> None:
        subprocess.run(
            command,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


@contextlib.contextmanager
def tools() -> Iterator[list[tuple[str, Tool, FastSts]]]:
    """Yield each tool with its name and an STS of its own."""
    with ExitStack() as stack:
        made: list[tuple[str, Tool, FastSts]] = []
        sts = stack.enter_context(FastSts())
        ours = Credfresh(stack.enter_context(stage(1, sts.url)))
        made.append(("credfresh", ours, sts))
        sts = stack.enter_context(FastSts())
        path, environment = stack.enter_context(home(sts.url))
        made.append(("boto3, one client, from a timer", Timed(path, environment), sts))
        if others.there():
            sts = stack.enter_context(FastSts())
            path, environment = stack.enter_context(home(sts.url))
            others.configure(path.parent, sts.url, ["team"])
            made.append(("awsume's autoawsume", Autoawsume(path, environment), sts))
        try:
            yield made
        finally:
            for _, tool, _ in made:
                tool.end()
