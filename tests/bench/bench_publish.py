"""What a durable publish costs: `python tests/bench/bench_publish.py [--json] [DIRECTORY]`.

For 100, 1,000 and 10,000 profiles of about 1.2 KB each: a publish in which one profile changed,
beside the floor of writing and fsyncing the same bytes, in turns in one run on one disk; a publish
that finds nothing to do; a tick; and the peak memory (with the file's own bytes, without the wanted
publications) as a multiple of the file. In milliseconds, the lower quartile of many runs: other
load on the machine makes single runs longer and none shorter.

Exits with 1 if a bound is missed: 3 times the floor at 10,000 profiles, the floor and 1 ms at 100,
4 times the file in memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

from credfresh.cli.clock import clock
from credfresh.credentials_file import SharedCredentialsFile
from credfresh.model import Grant, SessionCredentials
from credfresh.publication import Publication
from credfresh.settings import FileTarget, Profile, RenewBefore

FOREIGN = b"# theirs\n[foreign]\naws_access_key_id = AKIA\n"
RUNS = {100: 200, 1_000: 60, 10_000: 25}


def publication(number: int, serial: int, path: Path) -> Publication:
    """Return credentials as large as real ones."""
    name = f"team-{number:05d}"
    profile = Profile(
        name=name,
        section=name,
        role_arn=f"arn:aws:iam::{number:012d}:role/deploy",
        role_session_name="credfresh-host",
        duration=3600,
        renew_before=RenewBefore(),
        region="eu-west-1",
        target=FileTarget(str(path)),
    )
    now = clock()
    keys = SessionCredentials(
        f"ASIA{serial:06d}{number:06d}", "s" * 40, f"{serial:08d}" + "t" * 800, now.wall + 3600
    )
    return Publication(profile, Grant(keys, now, 3600.0, 3600.0, profile.request))


def took(action: Callable[[], object]) -> float:
    """Return the milliseconds that an action takes."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def quartile(times: list[float]) -> float:
    """Return the time that a quarter of the runs did not exceed."""
    return statistics.quantiles(times, n=4)[0]


def floor(path: Path, data: bytes) -> None:
    """Write and fsync bytes to a new file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)
    os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Timings:
    """The milliseconds of each run, taken in turns, and the size of the file in bytes."""

    floors: list[float]
    changed: list[float]
    ticks: list[float]
    same: list[float]
    first: float
    size: int


def timings(profiles: int, directory: Path, runs: int) -> Timings:
    """Publish `runs` times with one profile changed, and measure the floor beside each."""
    path, plain = directory / f"credentials-{profiles}", directory / "floor"
    path.write_bytes(FOREIGN)
    wanted = {f"team-{n:05d}": publication(n, 0, path) for n in range(profiles)}
    file = SharedCredentialsFile(FileTarget(str(path)), instance="bench", clock=clock)
    file.claim()
    first = took(lambda: file.publish(wanted))
    floors, changed, same, ticks = [], [], [], []
    gc.collect()
    for run in range(runs):
        data = path.read_bytes()
        floors.append(took(partial(floor, plain, data)))
        plain.unlink()
        del data
        name = f"team-{run % profiles:05d}"
        wanted[name] = publication(run % profiles, run + 1, path)
        changed.append(took(lambda: file.publish(wanted)))
        ticks.append(took(file.tick))
        same.append(took(lambda: file.publish(wanted)))
    file.release()
    size = path.stat().st_size
    path.unlink()
    return Timings(floors, changed, ticks, same, first, size)


def fsyncs(directory: Path) -> int:
    """Count the fsyncs of a publish in which one profile changed."""
    path = directory / "credentials-fsyncs"
    wanted = {f"team-{n:05d}": publication(n, 0, path) for n in range(2)}
    file = SharedCredentialsFile(FileTarget(str(path)), instance="bench", clock=clock)
    file.claim()
    file.publish(wanted)
    with mock.patch("os.fsync", wraps=os.fsync) as counted:
        file.publish(wanted | {"team-00001": publication(1, 1, path)})
    file.release()
    return counted.call_count


def measure(profiles: int, directory: Path) -> dict[str, float]:
    """Return the figures for `profiles` profiles."""
    took_ms = timings(profiles, directory, RUNS[profiles])
    size = took_ms.size
    least, publish = quartile(took_ms.floors), quartile(took_ms.changed)
    return {
        "profiles": profiles,
        "megabytes": round(size / 1e6, 3),
        "floor_ms": round(least, 3),
        "publish_ms": round(publish, 3),
        "ratio": round(publish / least, 2),
        "above_floor_ms": round(publish - least, 3),
        "first_publish_ms": round(took_ms.first, 1),
        "nothing_to_do_ms": round(quartile(took_ms.same), 3),
        "tick_ms": round(quartile(took_ms.ticks), 3),
        "memory_of_file": round(memory(profiles, directory) / size, 2),
    }


def memory(profiles: int, directory: Path) -> float:
    """Return the peak memory over the life of a keeper, in bytes."""
    path = directory / f"credentials-{profiles}"
    path.write_bytes(FOREIGN)
    wanted = {f"team-{n:05d}": publication(n, 0, path) for n in range(profiles)}
    gc.collect()
    tracemalloc.start()
    try:
        file = SharedCredentialsFile(FileTarget(str(path)), instance="bench", clock=clock)
        file.claim()
        file.publish(wanted)
        for serial in range(3):
            wanted = wanted | {"team-00001": publication(1, 1000 + serial, path)}
            file.publish(wanted)
        file.tick()
        file.release()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def missed(figures: dict[str, float]) -> list[str]:
    """Return the bounds that the figures of one size miss."""
    bounds = {
        "ratio at 10,000 profiles": figures["profiles"] < max(RUNS) or figures["ratio"] <= 3,
        "1 ms above the floor at 100": figures["profiles"] > min(RUNS)
        or figures["above_floor_ms"] <= 1,
        f"memory at {figures['profiles']:,}": figures["memory_of_file"] <= 4,
    }
    return [name for name, kept in bounds.items() if not kept]


def main() -> int:
    """Measure and print; return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("directory", nargs="?", type=Path, default=Path.cwd())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        figures = [measure(profiles, Path(name)) for profiles in RUNS]
    misses = [each for row in figures for each in missed(row)]
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "missed": misses}) + "\n")
    else:
        for row in figures:
            sys.stdout.write("  ".join(f"{name} {value}" for name, value in row.items()) + "\n")
        sys.stdout.write("".join(f"MISSED: {each}\n" for each in misses))
    return 1 if misses else 0


if __name__ == "__main__":
    raise SystemExit(main())
