"""The figures that matter most: `python tests/bench/run.py --quick [--json FILE]`, half a minute.

Each is a ratio of two things measured in turns in this run:

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
from pathlib import Path

import bench_consumers
import bench_load
import bench_publish
from floors import WarmClient
from hammer import hammer
from stage import FastSts

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


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", required=True)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ratios there")
    options = parser.parse_args()
    ratios = quick()
    if options.json:
        options.json.write_text(json.dumps({"ratios": ratios}) + "\n")
    for name, value in ratios.items():
        sys.stdout.write(f"{name:28} {value}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
