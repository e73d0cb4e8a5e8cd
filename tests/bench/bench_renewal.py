"""What a renewal costs with all its work: `python tests/bench/bench_renewal.py [--json] [N…]`.

The real `credfresh run` in a process of its own, with 1, 10, 100, 1,000 and 10,000 profiles, in the
middle of its life: renewals are due evenly, as those of many profiles are after a while. Sessions
last a minute or longer, so that at most 40 renewals are due in a second. (AWS's last at least
fifteen minutes, too long to watch.) For each number:

- CPU of everything for a renewal (schedule, STS, log line, splice, publish), as a multiple of the
  same AssumeRole through one warm boto3 client in a bare loop *at the same pace*, right before and
  after, one by one: a program that renews now and then finds cold caches, so the loop must find
  them, too; and as a multiple of a loop that calls exactly when the daemon did, in its bursts;
- the seconds from an answer of STS to its publication; bytes written to disk, publishes, fsyncs and
  wake-ups for a renewal.

With STS on the same machine all answers of a burst come at once, and the daemon's threads contend
for the interpreter; so some sizes are measured with an STS 20 ms away, too. Beside it the shell
loop, a boto3 Session for each profile, and a short script with one client, on files of as many
sections: the loop and the Sessions renew two of them, the script all.
"""

from __future__ import annotations

import argparse
import bisect
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import bench_publish
import meter
from floors import WarmClient
from others import PEERS, home, spent
from stage import Daemon, FastSts, moment, names, stage, wait

from credfresh.cli.clock import clock

SIZES = (1, 10, 100, 1_000, 10_000)
SIZES_AWAY = (100, 10_000)
AWAY = 0.02
"""Seconds to an STS of the same region and back."""

RENEWED_AFTER = 0.455
"""The share of a session's life after which it is renewed: half, less a mean jitter of 4.5 %."""

LIFE = 55.0
"""Seconds that a session lasts at least; less with few profiles, so that enough happens."""

MOST_A_SECOND = 40.0
"""Renewals a second: a little less than the default `calls_per_second` allows."""

SETTLE = 4.0
STEADY = 256.0
"""Seconds: two bursts of the largest number of profiles."""

LOOKS = 5.0
"""Seconds that the bare loop runs before the window, and again after it."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the daemon used while it renewed, and the CPU seconds of one call of the bare loop."""

    used: meter.Reading
    renewals: int
    publishes: int
    floor: float
    bursts: float = math.nan
    """CPU seconds of one call of a loop that calls when the daemon does."""
    published_after: float = math.nan
    """Median seconds from an answer to its publication."""

    @property
    def each(self) -> float:
        """CPU seconds of everything for each renewal."""
        return self.used.cpu_s / self.renewals

    @property
    def ratio(self) -> float:
        """`each` as a multiple of the floor."""
        return self.each / self.floor

    @property
    def bursts_ratio(self) -> float:
        """`each` as a multiple of `bursts`."""
        return self.each / self.bursts


@dataclass(frozen=True, slots=True)
class Size:
    """The figures for one number of profiles, for each renewal; CPU in milliseconds."""

    profiles: int
    life_s: float
    a_second: float
    cpu_ms: float
    floor_ms: float
    ratio: float
    bursts_ms: float
    bursts_ratio: float
    published_after_s: float
    written_bytes: float
    publishes: float
    fsyncs: float
    wakeups: float
    theirs_ms: dict[str, tuple[float, float]]
    """CPU and wall time of other tools, in milliseconds."""


def life_for(profiles: int) -> float:
    """Return the seconds that sessions should last with `profiles` profiles."""
    if profiles < 100:
        return LIFE / 5
    return max(LIFE, profiles / MOST_A_SECOND / RENEWED_AFTER)


def window(
    profiles: int,
    sts: FastSts,
    seconds: float,
    *,
    life: float | None = None,
    away: float | None = None,
) -> Window:
    """Watch a daemon for `seconds` in the middle of its life; sessions last `life` seconds.

    With `away` STS is that many seconds away, and a loop repeats the daemon's calls.
    """
    life = life_for(profiles) if life is None else life
    pace = profiles / life / RENEWED_AFTER
    floor = WarmClient(sts.url)
    calls = max(3, round(LOOKS * pace))
    sts.wish(life=life, delay=away or 0.0)
    try:
        with stage(profiles, sts.url) as at:
            at.furnish(life=life)
            with at.daemon() as daemon:
                wait(SETTLE)
                before = floor.cpu_per_call(calls, a_second=pace)
                published, asked, began = _publishes(daemon), sts.calls, daemon.reading()
                began_wall = clock().wall
                wait(seconds)
                used, asked = daemon.reading().since(began), sts.calls - asked
                published = _publishes(daemon) - published
                after = floor.cpu_per_call(calls, a_second=pace)
                found = Window(used, asked, published, (before + after) / 2)
                if away is None:
                    return found
                wait(SETTLE)  # until the last are published
                renewed, waits = told(daemon, since=began_wall, until=began_wall + seconds)
                moments = [moment - renewed[0] for moment in renewed]
                bursts = floor.cpu_per_call_at(moments)
                return replace(found, bursts=bursts, published_after=statistics.median(waits))
    finally:
        sts.wish(life=None, delay=0.0)


def size(profiles: int, sts: FastSts, away: float = 0.0) -> Size:
    """Measure one number of profiles, and other tools beside it if STS is not away."""
    found = window(profiles, sts, 30.0 if profiles < 100 else 20.0, away=away)
    return Size(
        profiles=profiles,
        life_s=life_for(profiles),
        a_second=found.renewals / found.used.wall,
        cpu_ms=1000 * found.each,
        floor_ms=1000 * found.floor,
        ratio=found.ratio,
        bursts_ms=1000 * found.bursts,
        bursts_ratio=found.bursts_ratio,
        published_after_s=found.published_after,
        written_bytes=found.used.written / found.renewals,
        publishes=found.publishes / found.renewals,
        fsyncs=_fsyncs() * found.publishes / found.renewals,
        wakeups=found.used.wakeups / found.renewals,
        theirs_ms={} if away else dict(_theirs(profiles, sts)),
    )


def steady(sts: FastSts) -> dict[str, float]:
    """Measure the most profiles with sessions of an hour, in percent of a core.

    And the same calls at the same moments through one warm client, with nothing else.
    """
    found = window(SIZES[-1], sts, STEADY, life=3600.0, away=0.0)
    a_second = found.renewals / found.used.wall
    return {
        "percent": 100 * found.used.cpu_s / found.used.wall,
        "calls_percent": 100 * found.bursts * a_second,
        "a_second": a_second,
    }


def figures(sizes: Iterable[int] = SIZES) -> list[dict[str, Any]]:
    """Measure each number of profiles."""
    with FastSts() as sts:
        return [asdict(size(profiles, sts)) for profiles in sizes]


def figures_away() -> list[dict[str, Any]]:
    """Measure some numbers with an STS as far away as AWS's."""
    with FastSts() as sts:
        return [asdict(size(profiles, sts, away=AWAY)) for profiles in SIZES_AWAY]


def _theirs(profiles: int, sts: FastSts) -> Iterable[tuple[str, tuple[float, float]]]:
    every = names(profiles)
    python = sys.executable
    for tool, argv, renewed in (
        ("shell loop over the AWS CLI", ["/bin/sh", str(PEERS / "shell_loop.sh")], every[:2]),
        ("boto3, a Session each", [python, str(PEERS / "session_each.py")], every[:2]),
        ("boto3, one client", [python, str(PEERS / "one_client.py")], every),
    ):
        with home(sts.url) as (path, environment):
            _fill(path, every)
            cpu, wall = spent([*argv, *renewed], environment)
        yield tool, (1000 * cpu / len(renewed), 1000 * wall / len(renewed))


def _fill(path: Path, every: list[str]) -> None:
    """Write a section for each name."""
    with path.open("a") as file:
        for name in every:
            file.write(
                f"\n[{name}]\naws_access_key_id = ASIAFAKE\n"
                f"aws_secret_access_key = {'s' * 40}\naws_session_token = {'t' * 800}\n"
            )


def _fsyncs() -> int:
    with tempfile.TemporaryDirectory(prefix="credfresh-bench-") as directory:
        return bench_publish.fsyncs(Path(directory))


def told(daemon: Daemon, *, since: float, until: float) -> tuple[list[float], list[float]]:
    """Return when profiles were renewed, and how many seconds later each was published."""
    published = [moment(event) for event in daemon.events("file_published")]
    renewed = [moment(event) for event in daemon.events("credentials_renewed")]
    within = sorted(at for at in renewed if since <= at < until)
    waits = [
        published[place] - at
        for at in within
        if (place := bisect.bisect_right(published, at)) < len(published)
    ]
    return within, waits


def _publishes(daemon: Daemon) -> int:
    return len(daemon.events("file_published"))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("profiles", nargs="*", type=int, default=SIZES)
    options = parser.parse_args()
    found = figures(options.profiles)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    for row in found:
        sys.stdout.write("  ".join(f"{key} {value}" for key, value in row.items()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
