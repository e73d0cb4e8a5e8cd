"""A machine that runs a real systemd: private namespaces on this host, for as long as a test wants.

machine.sh boots it, and takes it away however the tests end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from host import wait_until
from loopback import enter_network

SCRIPT = Path(__file__).with_name("machine.sh")
SYSTEMD = Path("/lib/systemd/systemd")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")
TRIAL = """
mount --make-rprivate /
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/groups
mount -t overlay none -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount -t cgroup2 none /mnt/groups
"""


def why_not() -> str | None:
    """Return why no machine can boot here; None when one can."""
    if os.geteuid() != 0:
        return "a machine of one's own needs root"
    needed = ("bash", "unshare", "nsenter", "setpriv", "pivot_root", "journalctl", "systemctl")
    missing = [program for program in needed if shutil.which(program) is None]
    if missing or not SYSTEMD.exists():
        return f"needs systemd and util-linux; missing: {' '.join(missing) or SYSTEMD}"
    if " cgroup2 " not in Path("/proc/self/mounts").read_text():
        return "no cgroup2 is mounted here"
    allowed = subprocess.run(
        ["unshare", *NAMESPACES, "--fork", "sh", "-ec", TRIAL],
        capture_output=True,
        text=True,
        check=False,
    )
    if allowed.returncode != 0:
        return f"no namespaces, or no mounts in them, are allowed here: {allowed.stderr.strip()}"
    return None


class Machine:
    """One boot; `binds` maps paths of the host to where they are seen, read-only.

    The test is skipped, with the reason, where no machine can boot.
    """

    def __init__(self, binds: Mapping[Path, str]) -> None:
        if reason := why_not():
            pytest.skip(reason)
        pairs = [str(word) for pair in binds.items() for word in pair]
        # In a session of its own the guard outlives a kill of all our processes, and tidies up.
        self._guard = subprocess.Popen(
            ["bash", str(SCRIPT), "guard", *pairs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        first = self._guard.stdout.readline()
        if not first:
            raise RuntimeError(f"the machine did not boot: {self._said()}")
        self.pid = int(first)
        """The machine's PID 1, as the host numbers it."""
        self.root = Path(f"/proc/{self.pid}/root")
        """The machine's root directory, as the host sees it."""
        try:
            self._await_boot()
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Take the machine away, with all that runs there."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(30)
        for stream in (self._guard.stdout, self._guard.stderr):
            if stream is not None:
                stream.close()

    def run(
        self, *command: str, user: str | None = None, check: bool = True, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there to its end, as root or as a user with all of the user's groups.

        Raises:
            AssertionError: it failed, and `check` says that it may not.
        """
        become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), *NAMESPACES, *become, *command],
            env={"PATH": PATH, "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file there that belongs to root."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def cursor(self) -> str:
        """Return the cursor of the journal's end."""
        self.run("journalctl", "--sync")
        said = self.run("journalctl", "--lines=0", "--show-cursor").stdout
        return said.rpartition("-- cursor: ")[2].strip()

    def journal(self, unit: str, after: str) -> list[dict[str, Any]]:
        """Return the entries that the processes of a unit wrote after a cursor."""
        wanted = ("--output=json", "--all", f"--after-cursor={after}")
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", *wanted, check=False).stdout.splitlines()
        entries = [json.loads(line) for line in lines]
        # journalctl's own choice of a unit skips the first entry after a cursor of another unit.
        return [entry for entry in entries if entry.get("_SYSTEMD_UNIT") == unit]

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Have this thread, and the threads that it starts, make their sockets in the machine."""
        with (
            Path("/proc/thread-self/ns/net").open("rb") as ours,
            Path(f"/proc/{self.pid}/ns/net").open("rb") as theirs,
        ):
            enter_network(theirs.fileno())
            try:
                yield
            finally:
                enter_network(ours.fileno())

    def _await_boot(self) -> None:
        private = self.root / "run/systemd/private"
        wait_until(lambda: private.exists() or self._guard.poll() is not None, "PID 1 listens")
        state = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        if state != "running":
            failed = self.run("systemctl", "--failed", "--no-legend", check=False)
            raise RuntimeError(f"the machine is {state}: {failed.stdout}{failed.stderr}")

    def _said(self) -> str:
        self._guard.wait(30)
        assert self._guard.stderr is not None
        return self._guard.stderr.read().strip()
