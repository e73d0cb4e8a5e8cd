"""What a renewal costs in instructions: `python tests/bench/bench_instructions.py`. Needs valgrind.

Times depend on the machine: its caches, its other guests. Instructions depend on the program, and
are the same everywhere. callgrind counts those of the real `credfresh run` while it renews 100
profiles at once, one round and four (the difference is three hundred renewals with all that belongs
to them: schedule, STS, log line, splice, publish), and those of a bare loop over one warm boto3
client, 20 calls and 120.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from floors import WarmClient
from stage import Daemon, FastSts, stage, wait

PROFILES = 100
ROUNDS = (1, 4)
CALLS = (20, 120)
QUIET = 6.0
"""Seconds after a round until its last publish is over, slow as it is under valgrind."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """The instructions of one renewal, and of one call of the bare loop."""

    renewal: float
    floor: float


def instructions() -> Instructions:
    """Count the instructions of both."""
    with FastSts() as sts:
        few, many = (_of_loop(sts.url, calls) for calls in CALLS)
        floor = (many - few) / (CALLS[1] - CALLS[0])
        once, often = (_of_daemon(sts, rounds) for rounds in ROUNDS)
        return Instructions((often - once) / PROFILES / (ROUNDS[1] - ROUNDS[0]), floor)


def _of_loop(url: str, calls: int) -> int:
    with tempfile.TemporaryDirectory(prefix="credfresh-bench-") as name:
        out = Path(name, "callgrind")
        subprocess.run([*_counted(out), sys.executable, __file__, url, str(calls)], check=True)
        return _total(out)


def _of_daemon(sts: FastSts, rounds: int) -> int:
    with stage(PROFILES, sts.url, calls_per_second=600) as at:
        at.furnish(fresh=True)
        out = at.directory / "callgrind"
        daemon = Daemon(at, prefix=_counted(out))
        try:
            wait(QUIET)
            for _ in range(rounds):
                done = sts.calls + PROFILES
                daemon.process.send_signal(signal.SIGUSR1)
                while sts.calls < done:
                    wait(0.2)
                wait(QUIET)
        finally:
            daemon.stop()
        return _total(out)


def _counted(out: Path) -> list[str]:
    return ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]


def _total(out: Path) -> int:
    return next(
        int(line.split()[1]) for line in out.read_text().splitlines() if line.startswith("totals:")
    )


def main() -> int:
    """Print both and their ratio; or, when started by ourselves, run the bare loop."""
    if len(sys.argv) == 3:  # the bare loop: URL and CALLS
        client = WarmClient(sys.argv[1])
        client.cpu_per_call(int(sys.argv[2]))
        return 0
    found = instructions()
    sys.stdout.write(
        f"renewal {found.renewal:,.0f}  bare loop {found.floor:,.0f}"
        f"  ratio {found.renewal / found.floor:.3f}\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
