"""How long the pure core of the file takes: `python tests/bench/bench_splice.py [SECTIONS…]`.

Prints, for each number of our sections (about 1 KB each), the best of several runs in milliseconds:
copying the bytes (the floor), the first scan with all sums checked, the first merge (every piece
compared), a merge of one changed section on a warm document, the same from cold bytes, a merge that
finds nothing to do, removing a section and adding one; and the peak memory of scan and merge, with
the file's bytes, as a multiple of the file.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

from credfresh.splice import ownership
from credfresh.splice.mark import Mark
from credfresh.splice.ownership import Merge, Piece


def piece(number: int, generation: int = 0) -> Piece:
    """Return a piece as large as real ones: with a role ARN, and a token of 700 characters."""
    name = f"team-{number:05d}"
    key = f"ASIA{number:08d}{generation:08d}"
    values = (
        ("aws_access_key_id", key),
        ("aws_secret_access_key", "s" * 40),
        ("aws_session_token", f"{generation:08d}" + "t" * 692),
        ("region", "eu-west-1"),
        ("x_security_token_expires", "2026-11-24T13:00:00Z"),
    )
    role = f"arn:aws:iam::{number:012d}:role/deploy"
    said = Mark("build-host", role, "0123456789abcdef", 1_795_521_600, 1_795_525_200, key)
    return Piece(name, name, said, values)


def best(action: Callable[[], object], runs: int = 7) -> float:
    """Return the shortest run, in milliseconds."""
    times = []
    for _ in range(runs):
        began = perf_counter()
        action()
        times.append(perf_counter() - began)
    return min(times) * 1000


def measure(sections: int) -> None:
    """Print the figures for one number of sections."""
    put = {each.section: each for each in map(piece, range(sections))}
    issued = frozenset(each.mark.key for each in put.values())

    def merge(standing: ownership.Document | bytes, wanted: dict[str, Piece]) -> Merge:
        return ownership.merge(standing, wanted, instance="build-host", issued=issued)

    data = merge(b"# ours and theirs\n[default]\nregion = x\n", put).data
    warm = merge(data, put).document
    changed = put | {"team-00000": piece(0, 1)}
    fewer = {name: each for name, each in put.items() if name != "team-00000"}
    more = put | {"late": replace(piece(0), section="late")}
    figures = {
        "copy": best(lambda: b"".join([memoryview(data)[:1], memoryview(data)[1:]])),
        "scan": best(lambda: ownership.read(data)),
        "first merge": best(lambda: merge(data, put)),
        "one changed": best(lambda: merge(warm, changed)),
        "one changed, cold": best(lambda: merge(data, changed)),
        "nothing changed": best(lambda: merge(warm, put)),
        "one removed": best(lambda: merge(warm, fewer)),
        "one added": best(lambda: merge(warm, more)),
    }
    tracemalloc.start()
    document = merge(ownership.read(data), put).document
    merge(document, changed)
    peak = 1 + tracemalloc.get_traced_memory()[1] / len(data)
    tracemalloc.stop()
    row = "  ".join(f"{name} {took:.2f} ms" for name, took in figures.items())
    size = len(data) / 1e6
    sys.stdout.write(f"{sections} sections, {size:.2f} MB: {row}  peak {peak:.2f} x file\n")


def main() -> None:
    """Measure the numbers given, or 100, 1,000 and 10,000 sections."""
    for sections in map(int, sys.argv[1:] or ("100", "1000", "10000")):
        measure(sections)


if __name__ == "__main__":
    main()
