"""What a process costs, as the kernel counts it; and what a measurement may say of itself."""

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
    """What a process has used since it started."""

    wall: float
    cpu_s: float
    wakeups: int
    """How often a thread of it went to sleep by itself (voluntary context switches)."""
    written: int
    """Bytes sent to block devices."""

    def since(self, before: Reading) -> Reading:
        """Return what was used between two readings."""
        return Reading(
            self.wall - before.wall,
            self.cpu_s - before.cpu_s,
            self.wakeups - before.wakeups,
            self.written - before.written,
        )


def read(pid: int) -> Reading:
    """Read the meters of a process, all its threads together."""
    wakeups = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            wakeups += _field(thread / "status", "voluntary_ctxt_switches")
    return Reading(
        wall=time.perf_counter(),
        cpu_s=time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED),
        wakeups=wakeups,
        written=_field(Path(f"/proc/{pid}/io"), "write_bytes"),
    )


def rss(pid: int) -> float:
    """Return the memory of a process that is in RAM, in megabytes (10^6 bytes)."""
    return _field(Path(f"/proc/{pid}/status"), "VmRSS") * 1024 / 1e6


def peak_rss(pid: int) -> float:
    """Return the most that it ever was, in megabytes."""
    return _field(Path(f"/proc/{pid}/status"), "VmHWM") * 1024 / 1e6


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, and how far they lay apart."""

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
    """Say where this was measured."""
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
    """Say what was measured: ours, what it stands on, and the AWS CLI."""
    names = ("credfresh", "boto3", "botocore", "apscheduler", "pyyaml", "awscli")
    return {name: metadata.version(name) for name in names}
