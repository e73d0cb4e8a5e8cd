"""The real daemon in a process of its own, with N profiles, against the fast STS."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import meter

from credfresh import policy
from credfresh.cli.clock import clock
from credfresh.config import file as config_file
from credfresh.credentials_file import SharedCredentialsFile
from credfresh.model import Grant, SessionCredentials
from credfresh.publication import Publication
from credfresh.settings import Profile, Settings

COMMAND = str(Path(sys.executable).with_name("credfresh"))
NO_MORE: Mapping[str, str] = {}
PATIENCE = 300.0
"""Seconds to wait for the daemon to be ready."""

SOURCE = "[ci]\naws_access_key_id = AKIAFAKE\naws_secret_access_key = fake\n"


def wait(seconds: float) -> None:
    """Let time pass."""
    threading.Event().wait(seconds)


def names(count: int) -> list[str]:
    """Return the names of `count` profiles."""
    return [f"team-{number:05d}" for number in range(count)]


class FastSts:
    """The STS of `fast_sts.py`, in a process of its own."""

    def __init__(self, environment: Mapping[str, str] = NO_MORE) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fast_sts.py"))],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{self._line().strip()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wish(self, **wishes: Any) -> None:
        """Tell it how to answer from now on."""
        self._ask(wishes)

    @property
    def calls(self) -> int:
        """The number of calls for credentials."""
        return int(self._ask({})["calls"])

    def _ask(self, wishes: dict[str, Any]) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wishes) + "\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@dataclass(frozen=True, slots=True)
class Stage:
    """A directory with everything that a daemon of `profiles` profiles needs."""

    directory: Path
    profiles: int

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.directory / "credfresh.yaml"

    @property
    def credentials(self) -> Path:
        """The shared credentials file."""
        return self.directory / "credentials"

    def configure(self, url: str, **sts: float) -> None:
        """Write the configuration and the keys of its source."""
        limits = "".join(f"  {name}: {value}\n" for name, value in sts.items())
        profiles = "".join(
            f"  {name}:\n    role_arn: arn:aws:iam::{number:012d}:role/deploy\n"
            for number, name in enumerate(names(self.profiles))
        )
        source = self.directory / "source"
        source.write_text(SOURCE)
        self.config.write_text(
            f"credentials_file:\n  path: {self.credentials}\n"
            f"sources:\n  ci:\n    credentials_file: {source}\n    profile: ci\n"
            f"sts:\n  endpoint_url: {url}\n{limits}"
            f"defaults:\n  source: ci\n  region: eu-west-1\nprofiles:\n{profiles}"
        )

    def settings(self) -> Settings:
        """Return the configuration as the daemon reads it."""
        return config_file.load(self.config)

    def furnish(self, *, fresh: bool = False, life: float | None = None) -> None:
        """Write the credentials file as a daemon that has run for days would leave it.

        Its sessions last an hour (or `life` seconds), and their renewals are due evenly from now
        on, as those of many profiles are after a while; or, if `fresh`, all were issued just now.
        """
        settings = self.settings()
        wanted = {
            profile.name: _publication(
                profile, 0.0 if fresh else number / self.profiles, number, life
            )
            for number, profile in enumerate(settings.profiles.values())
        }
        self.credentials.unlink(missing_ok=True)
        file = SharedCredentialsFile(settings.target, instance=settings.instance, clock=clock)
        file.publish(wanted)
        file.release()

    @contextlib.contextmanager
    def daemon(self) -> Iterator[Daemon]:
        """Run a daemon until the end of the block."""
        running = Daemon(self)
        try:
            yield running
        finally:
            running.stop()


@contextlib.contextmanager
def stage(profiles: int, url: str, **sts: float) -> Iterator[Stage]:
    """Make a stage in a directory that is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="credfresh-bench-"))
    try:
        made = Stage(directory, profiles)
        made.configure(url, **sts)
        yield made
    finally:
        shutil.rmtree(directory)


class Daemon:
    """A `credfresh run` process, which has reported READY."""

    def __init__(
        self, at: Stage, *, prefix: Sequence[str] = (), environment: Mapping[str, str] = NO_MORE
    ) -> None:
        self._log = at.directory / "log"
        self._told = at.directory / "notify"
        self._told.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, self._log.open("w") as log:
            notify.bind(str(self._told))
            notify.settimeout(PATIENCE)
            self.began = time.perf_counter()
            self.began_wall = clock().wall
            self.process = subprocess.Popen(
                [*prefix, sys.executable, COMMAND, "run", "--config", str(at.config)],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(at.directory),
                    "AWS_EC2_METADATA_DISABLED": "true",
                    "NOTIFY_SOCKET": str(self._told),
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                while b"READY=1" not in notify.recv(4096):
                    pass
            except TimeoutError:
                self.stop()
                raise
            self.ready_s = time.perf_counter() - self.began
            """Seconds from its start to READY=1."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def reading(self) -> meter.Reading:
        """Read what it has used."""
        return meter.read(self.pid)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return its log's events of one name."""
        wanted = f'"event": "{name}"'
        lines = self._log.read_text().splitlines()
        return [json.loads(line) for line in lines if wanted in line]

    def last_published(self) -> float:
        """Return the wall second of the last publish."""
        return moment(self.events("file_published")[-1])

    def stop(self) -> None:
        """Stop it; kill it if that takes longer than 30 s."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def moment(event: Mapping[str, Any]) -> float:
    """Return the wall second at which an event was logged."""
    stamp: str = event["timestamp"]
    return datetime.fromisoformat(stamp).timestamp()


def _publication(
    profile: Profile, age: float, serial: int, life: float | None = None
) -> Publication:
    """Return credentials that have passed the share `age` of the time until their renewal."""
    key, lifetime = f"ASIA{serial:016d}", float(profile.duration) if life is None else life
    before = profile.renew_before.of(lifetime)
    interval = lifetime - before - policy.jitter(key, lifetime)
    sent = clock() + -age * interval
    keys = SessionCredentials(key, "s" * 40, f"{'t' * 800}{serial:016d}", sent.wall + lifetime)
    return Publication(profile, Grant(keys, sent, lifetime, lifetime, profile.request))
