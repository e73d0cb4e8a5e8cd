"""What a process costs, as the kernel counts it, and where and with what it was measured."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_CPUCLOCK_SCHED = 2  # linux/posix-timers.h: all threads of a process, to the nanosecond


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process has used since its start."""

    wall: float
    cpu_s: float
    wakeups: int
    """How often one of its threads went to sleep by itself (voluntary context switches)."""
    written: int
    """Bytes sent to block devices."""

    def since(self, before: Reading) -> Reading:
        """Return what was used since an earlier reading."""
        return Reading(
            self.wall - before.wall,
            self.cpu_s - before.cpu_s,
            self.wakeups - before.wakeups,
            self.written - before.written,
        )


def read(pid: int) -> Reading:
    """Read the figures of a process with all its threads."""
    wakeups = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            wakeups += _field(thread / "status", "voluntary_ctxt_switches")
    return Reading(
        wall=time.perf_counter(),
        cpu_s=time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED),
        wakeups=wakeups,
        written=_field(Path(f"/proc/{pid}/io"), "write_bytes"),
    )


def rss(pid: int) -> float:
    """Return the resident memory of a process, in megabytes (10^6 bytes)."""
    return _field(Path(f"/proc/{pid}/status"), "VmRSS") * 1024 / 1e6


def peak_rss(pid: int) -> float:
    """Return the peak of its resident memory, in megabytes."""
    return _field(Path(f"/proc/{pid}/status"), "VmHWM") * 1024 / 1e6


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, with the least and the most."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise the rounds."""
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1], len(found))


def machine() -> dict[str, str]:
    """Describe the machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": f"{os.cpu_count()} x {model}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load at the start": f"{os.getloadavg()[0]:.2f}",
    }


def versions() -> dict[str, str]:
    """Return the versions of credfresh, its main libraries and the AWS CLI."""
    names = ("credfresh", "boto3", "botocore", "apscheduler", "pyyaml", "awscli")
    return {name: metadata.version(name) for name in names}
