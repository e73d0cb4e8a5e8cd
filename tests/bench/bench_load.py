"""What N profiles cost one daemon: `python tests/bench/bench_load.py [--json] [N…]`.

The real `credfresh run` in a process of its own, with 1, 100, 1,000 and 10,000 profiles, against
the fast STS in another. For each number:

- warm restart: seconds to READY and STS calls (none), as a multiple of its floor (Python with its
  imports, PyYAML's C compose of that configuration, one read of the credentials file), measured
  right before; of several the one with the median multiple;
- at rest: CPU, wake-ups and memory between renewals;
- steady: sessions of an hour whose renewals are due evenly: CPU of everything as a share of a core
  and for each renewal, as a multiple of the floor (the same AssumeRole through one warm boto3
  client in a bare loop, right before and after);
- busy: the same with sessions so short that up to 40 renewals are due in a second;
- cold start: nothing published yet, 600 calls a second allowed: seconds, calls a second, memory.

Exits with 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass

import meter
from bench_renewal import RENEWED_AFTER, window
from floors import WarmClient, compose, imports, one_read
from stage import Daemon, FastSts, Stage, stage, wait

SIZES = (1, 100, 1_000, 10_000)
MOST_CALLS = 600
"""The largest `sts.calls_per_second` that is allowed: AWS's quota."""

RESTARTS = 5
"""How often a warm restart is measured; an odd number."""


@dataclass(frozen=True, slots=True)
class Times:
    """The length of each window, in seconds."""

    settle: float = 6.0
    rest: float = 60.0
    steady: float = 60.0
    busy: float = 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """The figures of one number of profiles."""

    profiles: int
    warm_s: float
    warm_floor_s: float
    warm_calls: int
    rest_cpu_percent: float
    rest_wakeups_per_s: float
    rest_rss_mb: float
    steady_cpu_percent: float
    steady_renewals: int
    steady_per_renewal: float
    """CPU of everything for each renewal, as a multiple of the floor; 0 for too few renewals."""
    busy_renewals: int
    busy_per_renewal: float
    """As `steady_per_renewal`; both floors call at the daemon's pace."""
    busy_publishes: int
    floor_ms: float
    cold_s: float
    cold_calls_per_s: float
    cold_per_renewal: float
    cold_rss_mb: float
    cold_peak_mb: float

    def missed(self) -> list[str]:
        """Return the bounds that are missed."""
        many = self.profiles >= SIZES[-1]
        most = 2.0 if many else 1.2 if self.profiles >= SIZES[1] else float("inf")
        bounds = {
            "warm restart: no call": self.warm_calls == 0,
            "warm restart: 2 x its floor": self.warm_s <= 2 * self.warm_floor_s,
            "at rest: 1 wake-up a second": self.rest_wakeups_per_s <= 1,
            "steady: 1 % of a core": self.steady_cpu_percent <= 1,
            f"CPU for a renewal: {most} x its floor": self.busy_per_renewal <= most,
            "memory: 200 MB": self.cold_rss_mb <= 200,
        }
        return [f"{self.profiles:,} profiles: {name}" for name, kept in bounds.items() if not kept]


def measure(profiles: int, sts: FastSts, times: Times) -> Load:
    """Measure a daemon of `profiles` profiles."""
    floor = WarmClient(sts.url)
    with stage(profiles, sts.url, calls_per_second=MOST_CALLS) as at:
        warm, warm_floor, warm_calls, rest, rest_rss = _at_rest(at, sts, times)
        steady, renewals, steady_floor = _steady(at, sts, floor, times.steady)
        cold = _cold(at, floor)
    busy = window(profiles, sts, times.busy)
    return Load(
        profiles=profiles,
        warm_s=warm,
        warm_floor_s=warm_floor,
        warm_calls=warm_calls,
        rest_cpu_percent=100 * rest.cpu_s / rest.wall,
        rest_wakeups_per_s=rest.wakeups / rest.wall,
        rest_rss_mb=rest_rss,
        steady_cpu_percent=100 * steady.cpu_s / steady.wall,
        steady_renewals=renewals,
        steady_per_renewal=steady.cpu_s / renewals / steady_floor if renewals >= 30 else 0.0,
        busy_renewals=busy.renewals,
        busy_per_renewal=busy.ratio,
        busy_publishes=busy.publishes,
        floor_ms=1000 * busy.floor,
        cold_s=cold.seconds,
        cold_calls_per_s=profiles / cold.seconds,
        cold_per_renewal=cold.per_renewal,
        cold_rss_mb=cold.rss,
        cold_peak_mb=cold.peak,
    )


@dataclass(frozen=True, slots=True)
class AtRest:
    """The figures of a daemon that has started with everything fresh, and has nothing to do."""

    warm_s: float
    warm_floor_s: float
    warm_calls: int
    cpu_percent: float
    wakeups_per_s: float
    rss_mb: float


def at_rest(profiles: int, seconds: float = 30.0) -> AtRest:
    """Measure a warm restart, and `seconds` of rest after it."""
    with FastSts() as sts, stage(profiles, sts.url) as at:
        warm, floor, calls, rest, rss = _at_rest(at, sts, Times(rest=seconds))
        busy = 100 * rest.cpu_s / rest.wall
        return AtRest(warm, floor, calls, busy, rest.wakeups / rest.wall, rss)


def _at_rest(
    at: Stage, sts: FastSts, times: Times
) -> tuple[float, float, int, meter.Reading, float]:
    before, starts = sts.calls, []
    for _ in range(RESTARTS - 1):
        floor = _furnished(at)
        with at.daemon() as daemon:
            starts.append((daemon.ready_s, floor))
    floor = _furnished(at)
    with at.daemon() as daemon:
        starts.append((daemon.ready_s, floor))
        calls = sts.calls - before
        wait(times.settle)
        rest = _watched(daemon, times.rest)
        ready, floor = sorted(starts, key=lambda start: start[0] / start[1])[RESTARTS // 2]
        return ready, floor, calls, rest, meter.rss(daemon.pid)


def _furnished(at: Stage) -> float:
    """Make everything fresh on disk; return the seconds of the floor of a warm restart."""
    at.furnish(fresh=True)
    return imports() + compose(at.config) + one_read(at.credentials)


def _steady(
    at: Stage, sts: FastSts, floor: WarmClient, seconds: float
) -> tuple[meter.Reading, int, float]:
    at.furnish()
    with at.daemon() as daemon:
        wait(5.0)
        pace = max(5.0, at.profiles / (3600 * RENEWED_AFTER))
        least = floor.cpu_per_call(30, a_second=pace)
        before = sts.calls
        window = _watched(daemon, seconds)
        renewals = sts.calls - before
        return window, renewals, (least + floor.cpu_per_call(30, a_second=pace)) / 2


@dataclass(frozen=True, slots=True)
class _Cold:
    seconds: float
    per_renewal: float
    rss: float
    peak: float


def _cold(at: Stage, floor: WarmClient) -> _Cold:
    """Start with nothing published, and measure until the last profile is."""
    least = floor.cpu_per_call(200)
    at.credentials.unlink()
    with at.daemon() as daemon:
        used = daemon.reading()
        wait(1.0)
        last = daemon.last_published() - daemon.began_wall
        return _Cold(
            last,
            used.cpu_s / at.profiles / least,
            meter.rss(daemon.pid),
            meter.peak_rss(daemon.pid),
        )


def _watched(daemon: Daemon, seconds: float) -> meter.Reading:
    before = daemon.reading()
    wait(seconds)
    return daemon.reading().since(before)


def main() -> int:
    """Measure and print; return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("profiles", nargs="*", type=int, default=SIZES)
    options = parser.parse_args()
    found = []
    with FastSts() as sts:
        for profiles in options.profiles:
            load = measure(profiles, sts, Times())
            found.append(load)
            if not options.json:
                figures = (f"{key} {value:.6g}" for key, value in asdict(load).items())
                sys.stdout.write("  ".join(figures) + "\n")
                sys.stdout.flush()
    misses = [each for load in found for each in load.missed()]
    if options.json:
        sys.stdout.write(
            json.dumps({"figures": [asdict(load) for load in found], "missed": misses}) + "\n"
        )
    else:
        sys.stdout.write("".join(f"MISSED: {each}\n" for each in misses))
    return 1 if misses else 0


if __name__ == "__main__":
    raise SystemExit(main())
