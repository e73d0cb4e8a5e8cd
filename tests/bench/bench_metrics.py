"""What metrics and the status page cost: `python tests/bench/bench_metrics.py [--json]`.

For 100, 1,000 and 10,000 profiles with a credentials file on a real disk, medians in milliseconds:

- `snapshot`: what the main thread makes for one answer, beside the bare walk over the roster that
  copies as many fields into tuples (`walk`); `unfold`: that, and what other threads make of it;
- `view`: reading and proving the credentials file after a change, and judging;
- `again`: the same while the file has not changed;
- `metrics`: the exposition, beside the plain formatting of as many lines (`lines`);
- `page`: the status page.

And the sizes in bytes, and the peak memory of one exposition as a multiple of its size.
Exits with 1 if a bound is missed: a snapshot costs at most 3 times the walk, an exposition at most
30 times the lines, its memory 12 times its size, and the page at most 400,000 bytes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk
from credfresh.metrics import exposition, page
from credfresh.metrics.reader import Reader
from credfresh.metrics.snapshot import take, unfold
from credfresh.metrics.view import judge
from credfresh.publication import Publication
from credfresh.settings import FileTarget
from credfresh.splice.ownership import piece
from fakes import Unguarded, grant, profile, settings
from simulation import Simulation

RUNS = {100: 50, 1_000: 20, 10_000: 7}
BOUNDS = {"snapshot_by_walk": 3.0, "metrics_by_lines": 30.0, "memory_by_size": 12.0}
MOST_PAGE = 400_000


def took(action: Callable[[], object], runs: int) -> float:
    """Return the median time of an action, in milliseconds."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def walk(desk: Desk) -> object:
    """Copy as many fields of every entry as a snapshot has: the least work possible."""
    return tuple(
        (e.profile, e.phase, e.published, e.grant, e.plan, e.due, e.failures, e.results, e.error,
         e.refusal, e.failing_since, e.started, e.not_before)
        for e in desk.supervisor.roster
    )  # fmt: skip


def measure(count: int, directory: Path) -> dict[str, float]:
    """Measure with `count` profiles."""
    path = directory / "credentials"
    target = FileTarget(str(path))
    profiles = [replace(profile(f"team-{n:05d}"), target=target) for n in range(count)]
    sim = Simulation(settings(*profiles))
    sim.start({p.name: grant(p, sim.clock(), key=f"ASIA{n:016d}") for n, p in enumerate(profiles)})
    desk = Desk(
        sim.settings,
        sim.supervisor,
        Agenda(),
        sim.clock,
        post=lambda errand: errand.run(),
        guard=Unguarded(),
    )
    with path.open("wb") as file:
        for entry in sim.supervisor.roster:
            publication = Publication(entry.profile, entry.published)
            file.write(piece(publication, sim.settings.instance).render())
    runs = RUNS[count]

    def snapshot() -> object:
        return take(desk, {"written": 1}, None)

    shot = unfold(take(desk, {"written": 1}, None))
    reader = Reader()
    later = time.time() + 1e6  # noqa: TID251 - so late that its times prove the file

    def view(known: Reader) -> object:
        return judge(shot, lambda at: known.sections(at, shot.settings.instance, later))

    judged = judge(shot, lambda at: reader.sections(at, shot.settings.instance, later))
    assert judged.healthy, judged.counts
    text = exposition.render(judged)
    tracemalloc.start()
    exposition.render(judged)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    samples = [line.split(" ") for line in text.decode().splitlines() if line[0] != "#"]

    def lines() -> bytes:
        return "".join([f"{name} {float(value)!r}\n" for name, value in samples]).encode()

    figures = {
        "profiles": count,
        "snapshot": took(snapshot, runs),
        "unfold": took(lambda: unfold(take(desk, {"written": 1}, None)), runs),
        "walk": took(lambda: walk(desk), runs),
        "view": took(lambda: view(Reader()), runs),
        "again": took(lambda: view(reader), runs),
        "metrics": took(lambda: exposition.render(judged), runs),
        "lines": took(lines, runs),
        "page": took(lambda: page.render(judged, page.Filter(), hostname="h"), runs),
        "metrics_bytes": len(text),
        "page_bytes": len(page.render(judged, page.Filter(), hostname="h").encode()),
        "series": len(samples),
    }
    figures["snapshot_by_walk"] = figures["snapshot"] / figures["walk"]
    figures["metrics_by_lines"] = figures["metrics"] / figures["lines"]
    figures["memory_by_size"] = peak / len(text)
    return figures


def main() -> int:
    """Measure and print; return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    wished = parser.parse_args()
    missed = []
    for count in RUNS:
        with tempfile.TemporaryDirectory() as directory:
            figures = measure(count, Path(directory))
        if wished.json:
            print(json.dumps(figures))  # noqa: T201 - its output is its purpose
        else:
            text = "  ".join(f"{name} {value:,.4g}" for name, value in figures.items())
            print(text)  # noqa: T201 - the same
        missed += [f"{name} at {count}" for name, most in BOUNDS.items() if figures[name] > most]
        if figures["page_bytes"] > MOST_PAGE:
            missed.append(f"page_bytes at {count}")
    for one in missed:
        print(f"missed: {one}", file=sys.stderr)  # noqa: T201 - the same
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
