"""Runs clients beside a daemon whose sessions are short, and judges what each of them saw."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from credfresh.simulator import Simulator
from s3_front import S3Front
from sdk_clients import Client, Door, Outcome

CALL_LIMIT = 25.0
"""Seconds that one call may take; several clients start at once on two cores."""


@dataclass(slots=True)
class Cell:
    """One client at one door, and the answers of its calls."""

    client: Client
    door: Door
    on_expired: str = "keep"
    environment: Mapping[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of both its profile and its role."""
        return f"{self.client.name}-{self.door}"

    @property
    def errors(self) -> list[str]:
        """The answers that are errors, in order."""
        return [answer for answer in self.answers if answer != "ok"]

    @property
    def renews(self) -> bool:
        """Whether it is expected to see new keys without a restart."""
        return self.client.expected[self.door] == "renews"

    def outcome(self, keys: list[str]) -> Outcome:
        """Judge what was seen; `keys` are the access key ids let in for its role, in order."""
        if not self.answers or self.answers[0] != "ok" or not keys:
            return "no"
        failed_for_good = self.answers[-1] != "ok" or len(self.errors) > self.client.uses_up
        if failed_for_good or len(set(keys)) < 2:
            return "stale"
        return "renews" if self.client.stays else "reads"


class Matrix:
    """The cells, and the servers that they call."""

    def __init__(self, cells: list[Cell], sts: Simulator, s3: S3Front, home: Path) -> None:
        self.cells = cells
        self.sts = sts
        self._s3 = s3
        self._home = home
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def wrong(self) -> list[str]:
        """Return the cells whose outcome so far is not the expected one."""
        return [
            f"{cell.name}: expected {cell.client.expected[cell.door]}, seen {seen}: "
            f"{len(cell.answers)} answers, {len(cell.errors)} errors {cell.errors[:2]}"
            for cell in self.cells
            if (seen := cell.outcome(self.keys(cell))) != cell.client.expected[cell.door]
        ]

    def keys(self, cell: Cell) -> list[str]:
        """Return the access key ids that were let in for a cell, by STS and by S3."""
        role = {s.access_key_id: s.role.name for s in self.sts.sessions}
        asked = [
            call.access_key_id
            for call in self.sts.calls
            if call.outcome == "ok" and role.get(call.access_key_id or "") == cell.name
        ]
        return [key for key in asked if key] + self._s3.seen.get(cell.name, [])

    def start(self) -> None:
        """Start each client in a thread: it makes a call a second, or runs every eight seconds."""
        for cell in self.cells:
            run = self._stay if cell.client.stays else self._repeat
            thread = threading.Thread(target=run, args=(cell,), daemon=True, name=cell.name)
            thread.start()
            self._threads.append(thread)

    def once(self, cell: Cell) -> None:
        """Have one client make one call."""
        if cell.client.stays:
            with _running(self._argv(cell), self._environment(cell)) as ask:
                cell.answers.append(ask())
        else:
            cell.answers.append(self._run(cell))

    def settled(self) -> bool:
        """Say whether every cell has had an answer."""
        return all(cell.answers for cell in self.cells)

    def end(self) -> None:
        """End all clients."""
        self._ending.set()
        for thread in self._threads:
            thread.join(CALL_LIMIT + 10)

    def _argv(self, cell: Cell) -> list[str]:
        values = {
            "sts": self.sts.url,
            "s3": self._s3.url,
            "s3_host": self._s3.url.removeprefix("http://"),
            "cell": cell.name,
            "run": str(len(cell.answers)),
        }
        return [
            argument.replace("%(bucket)", "\0").format(**values).replace("\0", "%(bucket)")
            for argument in cell.client.argv
        ]

    def _environment(self, cell: Cell) -> dict[str, str]:
        home = self._home / cell.name
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_STS": self.sts.url,
            "AWS_ENDPOINT_URL_S3": self._s3.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            **cell.client.environment,
            **cell.environment,
        }

    def _stay(self, cell: Cell) -> None:
        with _running(self._argv(cell), self._environment(cell)) as ask:
            while not self._ending.is_set():
                began = time.monotonic()
                cell.answers.append(ask())
                self._ending.wait(max(0.0, 1.0 - (time.monotonic() - began)))

    def _repeat(self, cell: Cell) -> None:
        """Run the client for each call, every eight seconds: each run costs a start."""
        while not self._ending.is_set():
            cell.answers.append(self._run(cell))
            self._ending.wait(8.0)

    def _run(self, cell: Cell) -> str:
        try:
            done = subprocess.run(
                self._argv(cell),
                env=self._environment(cell),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CALL_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "error: it did not end"
        answer = (done.stderr or done.stdout).strip().replace("\n", " ")[-300:]
        return "ok" if done.returncode == 0 else f"error {answer}"


@contextlib.contextmanager
def _running(argv: list[str], environment: dict[str, str]) -> Iterator[Callable[[], str]]:
    process = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def ask() -> str:
        try:
            requests.write(b"\n")
            requests.flush()
        except OSError:
            return f"error: ended with {process.wait(5)}"
        ready, _, _ = select.select([answers], [], [], CALL_LIMIT)
        return answers.readline().decode().strip() if ready else "error: no answer"

    try:
        yield ask
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with contextlib.suppress(OSError):
            requests.close()
        answers.close()
