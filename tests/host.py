"""A host in a directory, on which the installed `credfresh` runs against the simulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import botocore.configloader

from credfresh.cli.clock import clock
from credfresh.simulator import Simulator

COMMAND = str(Path(sys.executable).with_name("credfresh"))
ENVIRONMENTS = ("development", "preproduction", "production")
PATIENCE = 40.0


def wait_until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until a condition holds that another process brings about, `patience` seconds at most.

    Raises:
        TimeoutError: it did not come true in time.
    """
    pause = threading.Event()
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        pause.wait(0.02)


class Running:
    """A `credfresh` process and what it logs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def events(self, name: str | None = None) -> list[dict[str, object]]:
        """Return the events logged so far, or only those of one name."""
        parsed = [json.loads(line) for line in list(self.lines)]
        return [e for e in parsed if name is None or e["event"] == name]

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, object]]:
        """Wait until an event has been logged `count` times; return its lines."""
        wait_until(lambda: len(self.events(event)) >= count or self.ended, f"{count} x {event}")
        assert len(self.events(event)) >= count, self.lines
        return self.events(event)

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; return the exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def stop(self) -> int:
        """Stop it as a service manager does; return the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()


class Host:
    """Directories and files of one host; `end` ends every process that was started on it."""

    def __init__(self, root: Path, sts: Simulator) -> None:
        self.root = root
        self.sts = sts
        self.config = root / "credfresh.yaml"
        self.credentials = root / "run" / "credentials"
        self.credentials.parent.mkdir(mode=0o755)
        self.source = root / "source"
        self.user = sts.add_user("arn:aws:iam::111111111111:user/ci")
        self._running: list[Running] = []
        self._printed: list[str] = []
        self.source.touch(mode=0o600)
        self.source.write_text(
            f"[ci]\naws_access_key_id = {self.user.access_key_id}\n"
            f"aws_secret_access_key = {self.user.secret_access_key}\n"
        )
        for number, name in enumerate(ENVIRONMENTS, 1):
            sts.add_role(f"arn:aws:iam::{str(number) * 12}:role/{name}", trusts={self.user.arn})
        self.configure()

    def configure(self, profiles: str | None = None, *, extra: str = "") -> None:
        """Write the configuration: one profile per environment, or these, and `extra` lines."""
        if profiles is None:
            profiles = "".join(
                f"  {name}:\n    role_arn: arn:aws:iam::{str(n) * 12}:role/{name}\n"
                for n, name in enumerate(ENVIRONMENTS, 1)
            )
        self.config.write_text(
            f"credentials_file:\n  path: {self.credentials}\n"
            f"sources:\n  ci:\n    credentials_file: {self.source}\n    profile: ci\n"
            "defaults:\n  source: ci\n  region: eu-west-1\n"
            f"{extra}profiles:\n{profiles}"
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process on this host."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_STS": self.sts.url,
        }

    def start(self, *arguments: str, **environment: str) -> Running:
        """Start the command with the host's configuration."""
        process = subprocess.Popen(
            [COMMAND, *arguments, "--config", str(self.config)],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self._running.append(Running(process))
        return self._running[-1]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, with its output captured."""
        result = subprocess.run(
            [COMMAND, *arguments],
            env=self.environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=False,
        )
        self._printed += [result.stdout, result.stderr]
        return result

    def sections(self) -> dict[str, dict[str, str]]:
        """Return what botocore reads in the credentials file."""
        parsed: dict[str, dict[str, str]] = botocore.configloader.raw_config_parse(
            str(self.credentials)
        )
        return parsed

    def identity(self, profile: str) -> subprocess.CompletedProcess[str]:
        """Ask STS who the published credentials are, as the AWS CLI of the test environment."""
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("aws")),
                "sts",
                "get-caller-identity",
                "--profile",
                profile,
                "--output",
                "json",
            ],
            env=self.environment
            | {
                "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials),
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_REGION": "eu-west-1",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def end(self) -> None:
        """Kill what still runs; fail if a daemon told an unforeseen event or a secret."""
        for running in self._running:
            running.process.kill()
            running.wait()
        said = [line for running in self._running for line in running.lines]
        assert not [line for line in said if '"undeclared_event"' in line]
        assert not [line for line in said if '"unexpected_error"' in line]
        text = "".join(said + self._printed)
        assert self.user.secret_access_key not in text
        for session in self.sts.sessions:
            assert session.secret_access_key not in text
            assert session.session_token not in text


def running(host: Host, **environment: str) -> Running:
    """Start the daemon, and wait until it is ready."""
    daemon = host.start("run", **environment)
    daemon.wait_for("daemon_ready")
    return daemon


def ask(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a client command with the host's configuration."""
    return host.command(*arguments, "--config", str(host.config))


def life(host: Host, profile: str) -> float:
    """Return the seconds of life that a reader of the file finds."""
    expiration = host.sections()[profile]["x_security_token_expires"]
    return (
        datetime.fromisoformat(expiration) - datetime.fromtimestamp(clock().wall, UTC)
    ).total_seconds()
