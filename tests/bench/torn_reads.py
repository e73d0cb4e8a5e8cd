"""Kills our writers while readers parse as botocore does, and counts torn reads.

The processes are those of the torture test (`tests/torture`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Hammered:
    """How many writers were killed, and how many reads there were and how many of them torn."""

    kills: int
    reads: int
    torn: int


def hammer(kills: int, seed: int = 1) -> Hammered:
    """Kill `kills` publishers, at every step of the write and at random, while readers read."""
    with tempfile.TemporaryDirectory(prefix="credfresh-bench-") as directory:
        path = Path(directory, "credentials")
        done = subprocess.run(
            [sys.executable, "-m", "torture.hammer", str(path), str(kills), str(seed)],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
            check=True,
        )
    return Hammered(**json.loads(done.stdout))
