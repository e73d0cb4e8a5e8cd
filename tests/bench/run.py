"""All benchmarks by one command: `python tests/bench/run.py`; half a minute of them by `--quick`.

Without `--quick` all figures of docs/benchmarks.md are measured, with other people's tools beside
credfresh, and that page is written (in three quarters of an hour; needs jq and valgrind, and before
that `sh tests/bench/peers/setup`). `--figures FILE` keeps the figures, part by part; `--from FILE`
takes kept ones for all parts but those that `--part` names.

`--quick [--json FILE]` measures the most important figures. Each is a ratio of two things measured
in turns in this run:

- renewal_cpu_vs_warm_client: CPU of the whole daemon (schedule, STS, log line, splice, publish) for
  each renewal of 100 profiles with sessions of 55 s, to the same AssumeRole through one warm boto3
  client in a bare loop at the same pace;
- publish_vs_floor: a durable publish of one changed profile in a file of 1,000, to writing and
  fsyncing the same bytes;
- twin_read_vs_cat: the command by which an SDK reads a twin, to `cat` of a file as large;
- torn: torn reads while writers were killed (a count, not a ratio).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bench_consumers
import bench_instructions
import bench_life
import bench_load
import bench_peers
import bench_publish
import bench_renewal
import bench_simulator
import bench_together
import meter
import others
import report
from stage import FastSts
from torn_reads import hammer

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
PROFILES = 100
RENEWAL_SECONDS = 12.0
PUBLISHES = 25
READS = 300
KILLS = 120


def quick() -> dict[str, float]:
    """Measure the figures of `--quick`."""
    with FastSts() as sts:
        renewal = bench_renewal.window(PROFILES, sts, RENEWAL_SECONDS)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as disk:
        published = bench_publish.timings(1_000, Path(disk), PUBLISHES)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        cat, twin = bench_consumers.reading(Path(memory, "process"), READS)
    quartile = bench_publish.quartile
    return {
        "renewal_cpu_vs_warm_client": round(renewal.ratio, 3),
        "publish_vs_floor": round(quartile(published.changed) / quartile(published.floors), 3),
        "twin_read_vs_cat": round(twin / cat, 3),
        "torn": hammer(KILLS).torn,
    }


def steady() -> dict[str, float]:
    """Measure ten thousand profiles of an hour."""
    with FastSts() as sts:
        return bench_renewal.steady(sts)


def together() -> dict[str, Any]:
    """Measure renewals that are all due at once."""
    with FastSts() as sts:
        few, many = bench_together.together(100, sts, 8), bench_together.together(10_000, sts, 1)
    return {
        size: {"rounds": found.bursts_ratio, "restless": found.ratio}
        for size, found in (("100", few), ("10,000", many))
    }


def memory() -> dict[str, Any]:
    """Measure the memory of one profile and of ten thousand, and its growth in 100,000 renewals."""
    with FastSts() as sts:
        return {
            "1": bench_together.memory(1, sts),
            "10,000": bench_together.memory(10_000, sts),
            "growth": bench_together.growth(100_000),
        }


def publishing() -> list[Any]:
    """Measure durable publishes."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as disk:
        return [bench_publish.measure(n, Path(disk)) for n in bench_publish.RUNS]


PARTS: dict[str, Callable[[], Any]] = {
    "quick": quick,
    "renewals": bench_renewal.figures,
    "renewals_away": bench_renewal.figures_away,
    "steady": steady,
    "together": together,
    "instructions": lambda: asdict(bench_instructions.instructions()),
    "memory_mb": memory,
    "cold": lambda: {str(ms): asdict(bench_together.cold(1_000, ms / 1000)) for ms in (0, 20, 200)},
    "rest": lambda: {f"{n:,}": asdict(bench_load.at_rest(n)) for n in (1, 100, 10_000)},
    "publishing": publishing,
    "killed": lambda: asdict(hammer(10 * KILLS)),
    "peers": bench_peers.figures,
    "life": bench_life.figures,
    "simulator": lambda: [asdict(row) for row in bench_simulator.served()],
}


def measure(parts: Collection[str], kept: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Measure these parts, and take the others from `kept`; yield what there is after each.

    Raises:
        RuntimeError: a program that is needed is missing.
    """
    bench_peers.ready()
    found = kept | {"machine": meter.machine(), "versions": meter.versions() | others.versions()}
    for name, figures in PARTS.items():
        if name in parts:
            found |= {name: figures()}
            yield found


def main() -> int:
    """Measure, then print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="half a minute, no peers, no page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the quick ratios there")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="keep all figures there")
    parser.add_argument("--from", dest="kept", type=Path, metavar="FILE", help="take kept figures")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="measure this anew")
    options = parser.parse_args()
    if not options.quick:
        kept = json.loads(options.kept.read_text()) if options.kept else {}
        parts = options.part or ([] if kept else list(PARTS))
        found = kept
        for found in measure(parts, kept) if parts else ():
            if options.figures:
                options.figures.write_text(json.dumps(found) + "\n")
        PAGE.write_text(report.page(found))
        return 0
    ratios = quick()
    if options.json:
        options.json.write_text(json.dumps({"ratios": ratios}) + "\n")
    for name, value in ratios.items():
        sys.stdout.write(f"{name:28} {value}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
