"""What renewals cost that are due together: `python tests/bench/bench_together.py [--json]`.

The real `credfresh run` in a process of its own, against the fast STS in another:

- together: all of 100, and of 10,000 profiles, renewed after SIGUSR1, up to 600 a second: CPU of
  everything for each renewal, as a multiple of one warm boto3 client in a bare loop that makes the
  same calls at the same moments, and of one that never rests;
- cold: nothing published, an STS 20 ms away, 1,000 profiles: seconds until the last is published,
  as a multiple of a Python that imports what is needed and makes the calls from as many threads;
- memory of 10,000 profiles, as a multiple of that of one;
- with `--long`: 100,000 renewals of 1,000 profiles: by how much memory grows, at most 2 MB. Key ids
  are kept until an hour after their expiration, so it takes three days, which pass by preloaded
  clocks (needs a C compiler).

Exits with 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import meter
from bench_load import MOST_CALLS
from bench_renewal import Window, told
from clocks import Clocks
from floors import WarmClient, crowd, imports
from stage import Daemon, FastSts, stage, wait

from credfresh.cli.clock import clock

THREADS = 16
"""The default `sts.max_concurrency`."""

HALF_HOUR = 1800.0
SETTLING = 50
"""Rounds until memory has settled, and some more: the first key ids are forgotten two hours after
their issue, and the collector of cycles first runs after some forty thousand renewals.
"""

PAUSE = 1.2
"""Seconds between two rounds, since no profile is renewed twice in a second."""


@dataclass(frozen=True, slots=True)
class Cold:
    """The seconds of a cold start, and of the same calls alone."""

    seconds: float
    floor: float


def together(profiles: int, sts: FastSts, rounds: int) -> Window:
    """Renew all profiles at once, `rounds` times; return what that costs."""
    floor = WarmClient(sts.url)
    with stage(profiles, sts.url, calls_per_second=MOST_CALLS) as at:
        at.furnish(fresh=True)
        with at.daemon() as daemon:
            wait(3.0)
            before = floor.cpu_per_call(300)
            published, calls = len(daemon.events("file_published")), sts.calls
            began, since = daemon.reading(), clock().wall
            _renew_all(daemon, profiles, sts, rounds)
            wait(1.0)  # the last publish
            used = daemon.reading().since(began)
            published = len(daemon.events("file_published")) - published
            calls = sts.calls - calls
            moments, _ = told(daemon, since=since, until=clock().wall)
            bursts = floor.cpu_per_call_at([moment - moments[0] for moment in moments])
            restless = (before + floor.cpu_per_call(300)) / 2
            return Window(used, calls, published, restless, bursts)


def cold(profiles: int, delay: float) -> Cold:
    """Start with nothing published and an STS `delay` seconds away."""
    with FastSts() as sts:
        sts.wish(delay=delay)
        floor = imports() + crowd(sts.url, profiles, THREADS)
        limits = {"calls_per_second": MOST_CALLS, "max_concurrency": THREADS}
        with stage(profiles, sts.url, **limits) as at, at.daemon() as daemon:
            wait(1.0)
            return Cold(daemon.last_published() - daemon.began_wall, floor)


def memory(profiles: int, sts: FastSts) -> float:
    """Return the megabytes of a daemon that has renewed and published all its profiles."""
    with stage(profiles, sts.url, calls_per_second=MOST_CALLS) as at, at.daemon() as daemon:
        wait(2.0)
        return meter.rss(daemon.pid)


def growth(renewals: int) -> float:
    """Return the megabytes by which a daemon grows in `renewals` renewals, once it has settled.

    Before each round, half an hour passes for the daemon and for STS.
    """
    profiles = 1_000
    with (
        tempfile.TemporaryDirectory(prefix="credfresh-bench-") as name,
        stage(profiles, "", calls_per_second=MOST_CALLS) as at,
    ):
        clocks = Clocks(Path(name))
        with FastSts(clocks.environment) as sts:
            at.configure(sts.url, calls_per_second=MOST_CALLS)
            daemon = Daemon(at, environment=clocks.environment)
            try:
                sizes = []
                for round_ in range(SETTLING + renewals // profiles):
                    clocks.step(wall=HALF_HOUR * round_, boot=HALF_HOUR * round_)
                    _renew_all(daemon, profiles, sts, 1)
                    sizes.append(meter.rss(daemon.pid))
            finally:
                daemon.stop()
    return sizes[-1] - sizes[SETTLING - 1]


def _renew_all(daemon: Daemon, profiles: int, sts: FastSts, rounds: int) -> None:
    for _ in range(rounds):
        done = sts.calls + profiles
        os.kill(daemon.pid, signal.SIGUSR1)
        while sts.calls < done:
            wait(0.05)
        wait(PAUSE)


def main() -> int:
    """Measure and print; return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    with FastSts() as sts:
        few, many = together(100, sts, 8), together(10_000, sts, 1)
        one, all_ = memory(1, sts), memory(10_000, sts)
        grown = growth(100_000) if options.long else None
    started = cold(1_000, 0.02)
    figures = {
        "together_100": few.bursts_ratio,
        "together_10000": many.bursts_ratio,
        "restless_100": few.ratio,
        "restless_10000": many.ratio,
        "cold_1000": started.seconds / started.floor,
        "memory_mb": all_,
        "memory": all_ / one,
        "growth_mb": grown or 0.0,
    }
    most = dict(zip(figures, (1.2, 2.0, 1.2, 2.0, 1.5, 200.0, 3.5, 2.0), strict=True))
    missed = [name for name, figure in figures.items() if figure > most[name]]
    if options.json:
        found = {"figures": figures, "cold": asdict(started), "missed": missed}
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for name, figure in figures.items():
            bound = f"at most {most[name]:g}"
            sys.stdout.write(
                f"{name:16} {figure:8.3f}  {bound}{'' if figure <= most[name] else '  MISSED'}\n"
            )
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
