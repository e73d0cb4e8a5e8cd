"""All benchmarks by one command: `python tests/bench/run.py`; half a minute of them by `--quick`.

Without `--quick` everything that docs/benchmarks.md tells is measured, with what people use today
beside it (some ten minutes; needs jq), and that page is written. `--figures FILE` keeps the
figures; `--from FILE` writes the page from kept ones.

`--quick [--json FILE]` is the figures that matter most. Each is a ratio of two things measured in
turns in this run:

- renewal_cpu_vs_warm_client: CPU of the whole daemon (schedule, STS, log line, splice, publish) for
  each renewal of 100 profiles, to the same AssumeRole through one warm boto3 client in a bare loop
  at the same pace;
- publish_vs_floor: a durable publish of one changed profile in a file of 1,000, to writing and
  fsyncing the same bytes;
- twin_read_vs_cat: the command by which an SDK reads a twin, to `cat` of a file as large;
- torn: reads that found half a file (a count, not a ratio) while writers were killed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bench_consumers
import bench_load
import bench_peers
import bench_publish
import bench_together
import meter
import report
from floors import WarmClient
from hammer import hammer
from stage import FastSts

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
PROFILES = 100
BUSY_SECONDS = 10.0
PUBLISHES = 25
READS = 300
KILLS = 120


def quick() -> dict[str, float]:
    """Measure each of the ratios."""
    with FastSts() as sts:
        busy = bench_load.busy_window(PROFILES, sts, WarmClient(sts.url), BUSY_SECONDS)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as disk:
        published = bench_publish.timings(1_000, Path(disk), PUBLISHES)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        cat, twin = bench_consumers.reading(Path(memory, "process"), READS)
    quartile = bench_publish.quartile
    return {
        "renewal_cpu_vs_warm_client": round(busy.ratio, 3),
        "publish_vs_floor": round(quartile(published.changed) / quartile(published.floors), 3),
        "twin_read_vs_cat": round(twin / cat, 3),
        "torn": hammer(KILLS).torn,
    }


def everything() -> dict[str, Any]:
    """Measure all that the page tells."""
    with FastSts() as sts:
        few, many = bench_together.together(100, sts, 8), bench_together.together(10_000, sts, 1)
        one, all_ = bench_together.memory(1, sts), bench_together.memory(10_000, sts)
    started = {str(ms): asdict(bench_together.cold(1_000, ms / 1000)) for ms in (0, 20, 200)}
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as disk:
        publishing = [bench_publish.measure(n, Path(disk)) for n in bench_publish.RUNS]
    return {
        "quick": quick(),
        "machine": meter.machine(),
        "together": {"100": few.ratio, "10,000": many.ratio},
        "memory_mb": {"1": one, "10,000": all_},
        "cold": started,
        "publishing": publishing,
        "killed": asdict(hammer(10 * KILLS)),
        **bench_peers.figures(),
    }


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="half a minute, no peers, no page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the quick ratios there")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="keep all figures there")
    parser.add_argument("--from", dest="kept", type=Path, metavar="FILE", help="measure nothing")
    options = parser.parse_args()
    if not options.quick:
        found = json.loads(options.kept.read_text()) if options.kept else everything()
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
