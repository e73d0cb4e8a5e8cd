"""Reloads and restarts leave nothing behind, however many there are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from service import Service

OFTEN = pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(900)])


@dataclass(frozen=True)
class Holding:
    """What the service holds at a moment."""

    descriptors: int
    threads: int
    processes: int
    files: frozenset[str]
    mounts: int


def holding(service: Service) -> Holding:
    """Count what the daemon, its cgroup, its directory and its manager hold."""
    process = service.outside(f"/proc/{service.pid}")
    group = service.outside("/sys/fs/cgroup" + service.show("ControlGroup"))
    return Holding(
        descriptors=len(list((process / "fd").iterdir())),
        threads=number("Threads", (process / "status").read_text()),
        processes=len((group / "cgroup.procs").read_text().split()),
        files=frozenset(path.name for path in service.outside("/run/credfresh").iterdir()),
        mounts=service.outside("/proc/1/mountinfo").read_text().count("\n"),
    )


def number(name: str, status: str) -> int:
    """Return a number from the text of /proc/PID/status."""
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


def resident(service: Service) -> int:
    """Return the daemon's resident memory in kilobytes."""
    return number("VmRSS", service.outside(f"/proc/{service.pid}/status").read_text())


@pytest.mark.parametrize("times", [10, OFTEN])
def test_reloads_leave_nothing_behind(service: Service, times: int) -> None:
    """Good and bad reloads in turn leave no descriptor, thread, file or MB, and cause no call."""
    service.start()
    good = service.config
    service.spoil()
    bad = service.config

    def cycle() -> None:
        for text in (bad, good):
            service.write_config(text)
            done = service.systemctl("reload", check=False)
            assert (done.returncode == 0) == (text == good)

    for _ in range(3):
        cycle()
    before, kilobytes, calls = holding(service), resident(service), service.sts.count()
    for _ in range(times // 2):
        cycle()

    assert before == holding(service)
    print(f"{times} reloads: {resident(service) - kilobytes:+} kB")  # noqa: T201 - shown by -rP
    assert resident(service) - kilobytes < 1024
    assert calls == service.sts.count()


@pytest.mark.parametrize("times", [3, OFTEN])
def test_restarts_leave_nothing_behind(service: Service, times: int) -> None:
    """The last daemon holds what the first one held, and STS was not called."""
    service.start()
    service.systemctl("restart")
    before, calls = holding(service), service.sts.count()
    for _ in range(times):
        service.systemctl("restart")
        assert service.readable("agent")

    after = holding(service)
    assert before.files == after.files
    assert (before.processes, before.mounts) == (after.processes, after.mounts)
    assert abs(before.descriptors - after.descriptors) <= 2
    assert calls == service.sts.count()
