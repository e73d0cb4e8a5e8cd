"""credfresh as a service of a real systemd, as a package installs it, and a watch on its file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import credfresh
from credfresh.simulator import Simulator
from host import wait_until
from machine import Machine

SYSTEMD = Path(__file__).parent.parent / "systemd"
UNIT = "credfresh.service"
CREDENTIALS = "/run/credfresh/credentials"
CONFIG = "/etc/credfresh/credfresh.yaml"
PATIENCE = 40.0
PROFILES = (
    *("development", "preproduction", "production", "audit", "backup", "billing"),
    *("deploy", "images", "logs", "metrics", "reports", "search"),
)
_PYTHON = Path(sys.executable).resolve()
_PREFIX = _PYTHON.parent.parent
_LIBRARIES = "/opt/credfresh/lib"
_PACKAGE = "/opt/credfresh/package"
_OWN_PYTHON = "/opt/credfresh/python"


def binds() -> dict[Path, str]:
    """Return what of this host the service needs bound: home directories are hidden from it."""
    needed = {Path(sysconfig.get_path("purelib")): _LIBRARIES}
    return needed if _PREFIX == Path("/usr") else needed | {_PREFIX: _OWN_PYTHON}


def interpreter() -> str:
    """Return the path at which the service finds the Python of these tests."""
    return str(_PYTHON) if _PREFIX == Path("/usr") else f"{_OWN_PYTHON}/bin/{_PYTHON.name}"


def program(body: str) -> str:
    """Return a script that finds credfresh and its libraries, and nothing else."""
    # It finds its libpython too: the place that Python was built for may lie in a home directory.
    run = f"/usr/bin/env -S LD_LIBRARY_PATH={_OWN_PYTHON}/lib {interpreter()} -IS"
    return f"#!{run}\nimport sys\nsys.path[:0] = {[_PACKAGE, _LIBRARIES]}\n{body}"


class Watch:
    """Looks at the credentials file all the time: a reader must always find valid keys there."""

    def __init__(self, file: Path, sts: Simulator) -> None:
        self.looks = 0
        self.lapses: list[str] = []
        self._file = file
        self._sts = sts
        self._stop = threading.Event()
        self._expected: set[str] = set()
        self._ends: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while True:
            self._look()
            if self._stop.wait(0.02):
                return

    def _look(self) -> None:
        try:
            text = self._file.read_text()
        except FileNotFoundError:
            text = ""
        found = dict(
            re.findall(r"^\[(.*)\]\n(?:.*\n)*?aws_access_key_id = (.*)$", text, re.MULTILINE)
        )
        if any(key not in self._ends for key in found.values()):
            self._ends = {s.access_key_id: s.expires_at for s in self._sts.sessions}
        now = time.time()  # noqa: TID251 - the simulator's clock, the true one
        valid = {name for name, key in found.items() if self._ends.get(key, 0.0) > now}
        self.lapses += [f"{name} at {now}" for name in sorted(self._expected - valid)]
        self._expected |= valid
        self.looks += 1


class Service:
    """The unit, its configuration and its drop-ins, on a machine."""

    def __init__(self, machine: Machine, sts: Simulator) -> None:
        self.machine = machine
        self.sts = sts
        self.user = sts.add_user("arn:aws:iam::111111111111:user/ci")
        for number, name in enumerate(PROFILES):
            sts.add_role(role(number, name), trusts={self.user.arn})
        self.watch: Watch | None = None
        self._install()
        self._prepare()
        self.mark = machine.cursor()

    # What an administrator does

    def configure(self, extra: str = "", profiles: str | None = None) -> None:
        """Write the configuration: twelve profiles whose source is a file, and more keys."""
        if profiles is None:
            profiles = "".join(
                f"  {name}: {{role_arn: '{role(number, name)}'}}\n"
                for number, name in enumerate(PROFILES)
            )
        sources = "" if "sources:" in extra else _FILE_SOURCE
        self.write_config(
            f'credentials_file: {{path: {CREDENTIALS}, mode: "0640"}}\n'
            f'control: {{socket: /run/credfresh/control.sock, mode: "0660"}}\n'
            f"{sources}defaults: {{source: ci, region: eu-west-1}}\n{extra}profiles:\n{profiles}"
        )

    def write_config(self, text: str) -> None:
        """Write this text as the configuration."""
        self.machine.write(CONFIG, text, 0o640)
        self.machine.run("chgrp", "credfresh", CONFIG)

    def spoil(self) -> None:
        """Misspell a key of the configuration."""
        self.write_config(self.config.replace("role_arn", "role_anr", 1))

    @property
    def config(self) -> str:
        """The text of the configuration."""
        return (self.machine.root / CONFIG[1:]).read_text()

    def drop_in(self, name: str, text: str | None = None) -> None:
        """Add a drop-in: one of ours by its name, or one with this text."""
        text = text or (SYSTEMD / "drop-ins" / f"{name}.conf").read_text()
        self.machine.write(f"/etc/systemd/system/{UNIT}.d/{name}.conf", text)

    def systemctl(
        self, verb: str, *more: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run systemctl on the service."""
        return self.machine.run("systemctl", verb, *more, UNIT, check=check)

    def start(self) -> None:
        """Have systemd read the unit anew and start it; return when systemd counts it as up."""
        self.machine.run("systemctl", "daemon-reload")
        done = self.systemctl("start", check=False)
        assert done.returncode == 0, self.told()
        if self.watch is None:
            self.watch = Watch(self.machine.root / CREDENTIALS[1:], self.sts)

    def ask(
        self, *arguments: str, user: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the `credfresh` command on the machine."""
        return self.machine.run("/usr/bin/credfresh", *arguments, user=user, check=check)

    # What can be seen of it

    def show(self, name: str) -> str:
        """Return one property of the unit."""
        return self.systemctl("show", "--value", f"--property={name}").stdout.strip()

    @property
    def pid(self) -> int:
        """The main process's id, as the machine numbers it."""
        return int(self.show("MainPID"))

    def entries(self, after: str | None = None) -> list[dict[str, Any]]:
        """Return the daemon's journal entries since the test began, or after a cursor."""
        said = self.machine.journal(UNIT, after or self.mark)
        return [entry for entry in said if entry["MESSAGE"].startswith("{")]

    def told(self) -> str:
        """Return all journal lines of the machine since the test began."""
        said = self.machine.run("journalctl", "-o", "cat", f"--after-cursor={self.mark}")
        return said.stdout

    def events(self, name: str, after: str | None = None) -> list[dict[str, Any]]:
        """Return the daemon's events of that name since the test began, or after a cursor."""
        parsed = [json.loads(entry["MESSAGE"]) for entry in self.entries(after)]
        return [event for event in parsed if event["event"] == name]

    def wait_for(self, event: str, after: str | None = None, count: int = 1) -> None:
        """Wait until the daemon has told an event `count` times."""
        wait_until(lambda: len(self.events(event, after)) >= count, event, PATIENCE)

    def wait(self, name: str, value: str) -> None:
        """Wait until a property of the unit has that value."""
        wait_until(lambda: self.show(name) == value, f"{name}={value}", PATIENCE)

    def outside(self, path: str) -> Path:
        """Return a path of the machine as the host sees it."""
        return self.machine.root / path.lstrip("/")

    def readable(self, user: str, path: str = CREDENTIALS) -> bool:
        """Say whether that user can read the credentials in a file."""
        done = self.machine.run("cat", path, user=user, check=False)
        assert done.returncode == 0 or "Permission denied" in done.stderr, done.stderr
        return done.returncode == 0 and "aws_session_token" in done.stdout

    # Between tests

    def reset(self) -> None:
        """Stop the service, and restore everything as it was after the installation."""
        self.sts.clear_faults()
        self.sts.release()
        self.systemctl("stop", check=False)
        self.machine.run("systemctl", "reset-failed", UNIT, check=False)
        for path in (f"/etc/systemd/system/{UNIT}.d", "/run/credfresh"):
            shutil.rmtree(self.outside(path), ignore_errors=True)
        self.machine.run("systemctl", "daemon-reload")
        self.configure()
        self.drop_in("simulated", f"[Service]\nEnvironment=AWS_ENDPOINT_URL_STS={self.sts.url}\n")
        self.drop_in("readers")
        self.sts.clear_journal()
        self.mark = self.machine.cursor()

    def end(self) -> None:
        """End the watch; fail on a moment without valid credentials, and on forbidden log lines.

        Raises:
            AssertionError: there was such a moment, or such a line.
        """
        watch, self.watch = self.watch, None
        if watch is not None:
            watch.end()
            assert watch.looks > 0
            assert [] == watch.lapses[:5]
        said = "".join(entry["MESSAGE"] for entry in self.entries())
        assert '"undeclared_event"' not in said
        assert '"unexpected_error"' not in said
        secrets = [self.user.secret_access_key]
        secrets += [s.secret_access_key for s in self.sts.sessions]
        assert [] == [secret for secret in secrets if secret in said]

    def _install(self) -> None:
        package = self.outside(_PACKAGE) / "credfresh"
        of = Path(credfresh.__file__).parent
        shutil.copytree(of, package, ignore=shutil.ignore_patterns("__pycache__"))
        self.machine.run("chmod", "-R", "a+rX", _PACKAGE)
        self.machine.run(interpreter(), "-IS", "-m", "compileall", "-q", _PACKAGE)
        main = program("from credfresh.__main__ import main\nsys.exit(main())\n")
        self.machine.write("/usr/bin/credfresh", main, 0o755)
        delay = (SYSTEMD / "restart-delay").read_text()
        self.machine.write("/usr/lib/credfresh/restart-delay", delay, 0o755)
        for name, place in _PLACES.items():
            self.machine.write(place, (SYSTEMD / name).read_text())
        self.machine.run("systemd-sysusers")

    def _prepare(self) -> None:
        keys = (
            f"[ci]\naws_access_key_id = {self.user.access_key_id}\n"
            f"aws_secret_access_key = {self.user.secret_access_key}\n"
        )
        self.machine.write("/etc/credfresh/source", keys, 0o600)
        self.configure()
        self.machine.run("groupadd", "--system", "build")
        for user, group in (("agent", "build"), ("stranger", "stranger")):
            self.machine.run("groupadd", user)
            self.machine.run("useradd", "--gid", user, user)
            self.machine.run("usermod", "--append", "--groups", group, user)
        self.machine.run("systemd-tmpfiles", "--create", "credfresh.conf")


_FILE_SOURCE = "sources: {ci: {credentials_file: /etc/credfresh/source, profile: ci}}\n"
_PLACES = {
    "credfresh.service": f"/lib/systemd/system/{UNIT}",
    "credfresh.sysusers": "/usr/lib/sysusers.d/credfresh.conf",
    "credfresh.tmpfiles": "/usr/lib/tmpfiles.d/credfresh.conf",
}


def role(number: int, name: str) -> str:
    """Return the ARN of the role of a profile."""
    return f"arn:aws:iam::{222222222200 + number}:role/{name}"


def took(action: Callable[[], object]) -> float:
    """Return how many seconds an action takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began
