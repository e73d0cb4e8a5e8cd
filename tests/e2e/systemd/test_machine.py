"""The machine that the other tests use: nothing of it may outlive them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from credfresh.cli.clock import clock
from credfresh.simulator import Simulator
from host import wait_until
from machine import Machine, why_not
from service import Watch
from simulated import ROLE_ARN, USER_ARN, client

TESTS = Path(__file__).parent.parent.parent
BOOT = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from machine import Machine
machine = Machine({})
print(machine.pid, flush=True)
threading.Event().wait()
"""


def traces() -> set[str]:
    """Return the names of the machines' cgroups, which end with the process id of their guard."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    cgroups = next(Path(mount[1]) for mount in mounts if mount[2] == "cgroup2")
    return {path.name for path in cgroups.rglob("credfresh-machine-*")}


def test_the_machine_is_gone_when_the_tests_are_killed() -> None:
    """If the process that booted a machine is killed, its processes and its cgroup are gone."""
    if reason := why_not():
        pytest.skip(reason)
    command = [sys.executable, "-c", BOOT, str(TESTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        first = Path(f"/proc/{int(tests.stdout.readline())}")
        assert "systemd" in (first / "cmdline").read_text()
        mine = {name for name in traces() if parent_of(int(name.rpartition("-")[2])) == tests.pid}
        assert 1 == len(mine)
        tests.send_signal(signal.SIGKILL)

    wait_until(lambda: not first.exists(), "no process is left")
    wait_until(lambda: not mine & traces(), "no cgroup is left")


def test_the_machine_is_gone_when_its_guard_is_killed() -> None:
    """If a machine's guard is killed, an empty cgroup is left, which the next machine removes."""
    machine = Machine({})
    first = Path(f"/proc/{machine.pid}")
    guard = parent_of(parent_of(machine.pid))
    os.kill(guard, signal.SIGKILL)
    machine.end()
    wait_until(lambda: not first.exists(), "no process is left")

    with Machine({}):
        assert f"credfresh-machine-{guard}" not in traces()


def test_the_files_and_the_network_of_a_machine_are_its_own(machine: Machine) -> None:
    """Files written in the machine are not on the host, and its network has only loopback."""
    machine.write("/usr/bin/only-there", "")

    assert "" == machine.run("cat", "/usr/bin/only-there").stdout
    assert not Path("/usr/bin/only-there").exists()
    ours = Path("/proc/self/ns/net").stat().st_ino
    with machine.network():
        assert ours != Path("/proc/thread-self/ns/net").stat().st_ino
    assert ours == Path("/proc/thread-self/ns/net").stat().st_ino
    assert "lo" == machine.run("ls", "/sys/class/net").stdout.strip()


def test_the_watch_notices_missing_and_invalid_keys(tmp_path: Path) -> None:
    """`Watch` notices a missing section, and keys that are not of a valid session."""
    file = tmp_path / "credentials"
    with Simulator(clock) as sts:
        user = sts.add_user(USER_ARN)
        sts.add_role(ROLE_ARN, trusts={user.arn})
        keys = client(sts, user).assume_role(RoleArn=ROLE_ARN, RoleSessionName="watched")
        key = keys["Credentials"]["AccessKeyId"]
        file.write_text(
            f"[a]\n# a mark\naws_access_key_id = {key}\n[b]\naws_access_key_id = {key}\n"
        )
        watch = Watch(file, sts)
        wait_until(lambda: watch.looks > 1, "two looks")
        assert [] == watch.lapses
        file.write_text(f"[a]\naws_access_key_id = {user.access_key_id}\n")
        wait_until(lambda: len(watch.lapses) > 1, "both are missed")
        watch.end()

    assert {"a", "b"} == {lapse.partition(" ")[0] for lapse in watch.lapses}


def parent_of(pid: int) -> int:
    """Return the parent of a process, or 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0
