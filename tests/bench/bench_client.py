"""What the client commands cost a job: `python tests/bench/bench_client.py [--json]`.

The installed `credfresh status` and `ensure` ask a real daemon over its socket about a fresh
profile, beside the smallest program that uses the same command line library, all started in turns
in one run: medians of wall time and of CPU time (user and system), in milliseconds. Wall time is
what a job waits on this machine; CPU time hardly depends on what else runs here.

Exits with 1 if a bound is missed: 1.5 times the smallest program (CPU time), 200 ms (wall time).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


from credfresh.cli.clock import clock
from credfresh.simulator import Simulator
from host import COMMAND, Host

ROUNDS = 40
MOST_RATIO = 1.5
MOST_MS = 200.0

BARE = """#!{python}
import click

@click.command()
def main():
    click.echo("fresh")

main()
"""


def started(argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Run a command; return its wall and CPU time in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, cpu * 1000


def measure(root: Path) -> dict[str, tuple[float, float]]:
    """Return the medians of wall and CPU time of each command."""
    bare = root / "bare"
    bare.write_text(BARE.format(python=sys.executable))
    bare.chmod(0o755)
    with Simulator(clock) as sts:
        host = Host(root, sts)
        socket = root / "run" / "control.sock"
        host.configure(extra=f"control:\n  socket: {socket}\n")
        try:
            host.start("run").wait_for("daemon_ready")
            by_socket = ["--socket", str(socket)]
            by_config = ["--config", str(host.config)]
            ensure = [COMMAND, "ensure", "production", "--valid-for", "45m"]
            commands = {
                "the least click program": [str(bare)],
                "status --socket": [COMMAND, "status", *by_socket],
                "status --config": [COMMAND, "status", *by_config],
                "ensure --socket": [*ensure, *by_socket],
                "ensure --config": [*ensure, *by_config],
            }
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
            for _ in range(ROUNDS):
                for name, argv in commands.items():
                    runs[name].append(started(argv, host.environment))
        finally:
            host.end()
    return {
        name: (statistics.median(w for w, _ in each), statistics.median(c for _, c in each))
        for name, each in runs.items()
    }


def main() -> int:
    """Measure and print; return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="credfresh-bench-") as directory:
        found = measure(Path(directory))
    (_, least), *_ = found.values()
    rows = {
        name: {"wall_ms": round(wall, 1), "cpu_ms": round(cpu, 1), "ratio": round(cpu / least, 2)}
        for name, (wall, cpu) in found.items()
    }
    good = all(row["ratio"] <= MOST_RATIO and row["wall_ms"] <= MOST_MS for row in rows.values())
    if arguments.json:
        lines = [json.dumps({"rounds": ROUNDS, "commands": rows, "good": good})]
    else:
        lines = [f"{'':26}{'wall ms':>9}{'CPU ms':>9}{'ratio':>7}"]
        for name, row in rows.items():
            lines.append(f"{name:26}{row['wall_ms']:9}{row['cpu_ms']:9}{row['ratio']:7}")
        lines.append("within bounds" if good else "OUT OF BOUNDS: 1.5 x CPU, 200 ms")
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
