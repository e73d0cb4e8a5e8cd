"""Kills publishers while two processes read: `python -m torture.hammer PATH KILLS SEED`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from torture import arena


def hammer(path: Path, kills: int, seed: int) -> dict[str, int]:
    """Return how many were killed, and how many reads there were and how many of them torn."""
    path.write_bytes(arena.foreign_text())
    path.chmod(0o600)
    stop = path.with_name("stop")
    readers = [arena.start("read", path, stop) for _ in range(2)]
    killed = arena.kill(path, kills, seed)
    stop.touch()
    found = [arena.figures(reader) for reader in readers]
    return {
        "kills": killed["kills"],
        "reads": sum(each["reads"] for each in found),
        "torn": sum(each["torn"] for each in [killed, *found]),
    }


if __name__ == "__main__":
    figures = hammer(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(figures))  # noqa: T201 - its result
