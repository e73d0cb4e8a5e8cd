"""credfresh beside what people use today: `python tests/bench/bench_peers.py [--json]`.

- CPU and wall time for each renewal: a shell loop over the AWS CLI, in turn and two at a time; a
  boto3 Session for each profile; one client in a short script; boto3-refresh-session, awsume and
  elhaz (`sh tests/bench/peers/setup` installs them); credfresh with all its work.
- What a job pays for its credentials: `cat` of the twin, `credfresh ensure`, `aws sts assume-role`,
  `elhaz export`.
- Torn reads and lost updates while a writer writes as often as it can: the AWS CLI's own writer,
  the script, credfresh. Readers parse as botocore does, and a rival (with the lock, and without)
  adds sections, none of which may be lost.

All run in turns against one loopback STS that answers in a fraction of a millisecond; figures are
medians of several rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bench_together
import others
from meter import Spread
from others import PEERS, home, spent
from stage import COMMAND, FastSts, stage

HERE = Path(__file__).parent
ROUNDS = 3
SECONDS = 5.0
"""Seconds that each writer writes while readers read."""

ELHAZ = 8
"""The roles of elhaz, of which each takes a command of half a second."""

PROFILES = 100
"""The profiles of credfresh, and of the script with one client."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU and wall seconds of one renewal, or of one job, by a tool."""

    tool: str
    cpu: Spread
    wall: Spread


@dataclass(frozen=True, slots=True)
class Hammered:
    """What readers and a rival found with a writer."""

    tool: str
    rival: str
    writes: int
    reads: int
    torn: int
    updates: int
    lost: int


def renewals(sts: FastSts) -> list[Cost]:
    """Measure a renewal with each tool."""
    names = [f"team-{number:03d}" for number in range(PROFILES)]
    loop, sh = str(PEERS / "shell_loop.sh"), "/bin/sh"
    pair = ["xargs", "-n1", "-P2", sh, loop]
    tools: list[tuple[str, list[str], int]] = [
        ("shell loop over the AWS CLI", [sh, loop, *names[:2]], 2),
        (
            "the same, two at a time",
            [sh, "-c", f"printf '%s\\n' {' '.join(names[:2])} | {' '.join(pair)}"],
            2,
        ),
        (
            "boto3, a Session each",
            [sys.executable, str(PEERS / "session_each.py"), *names[:20]],
            20,
        ),
        (
            "boto3, one client",
            [sys.executable, str(PEERS / "one_client.py"), *names],
            PROFILES,
        ),
    ]
    tools += [
        ("boto3-refresh-session, one each", others.refresh_session(names[:20]), 20),
        ("awsume", others.awsume(names[0]), 1),
    ]
    taken: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for tool, argv, count in tools:
            with home(sts.url) as (path, environment):
                others.configure(path.parent, sts.url, names[:1])
                cpu, wall = spent(argv, environment)
            taken.setdefault(tool, []).append((cpu / count, wall / count))
        with home(sts.url) as (path, environment):
            others.configure(path.parent, sts.url, names[:ELHAZ])
            cpu, wall = others.elhaz_renewals(path.parent, environment, names[:ELHAZ])
        taken.setdefault("elhaz (its daemon alone)", []).append((cpu / ELHAZ, wall / ELHAZ))
        each = bench_together.together(PROFILES, sts, 4).each
        taken.setdefault("credfresh", []).append((each, each))
    return [
        Cost(tool, Spread.of(c for c, _ in rounds), Spread.of(w for _, w in rounds))
        for tool, rounds in taken.items()
    ]


def jobs(sts: FastSts) -> list[Cost]:
    """Measure what a job pays for its credentials with each tool."""
    taken: dict[str, list[tuple[float, float]]] = {}
    with stage(1, sts.url) as at, home(sts.url) as (path, environment):
        text = at.config.read_text()
        at.config.write_text(
            f"process_dir: {at.directory}/process\n"
            f"control: {{socket: {at.directory}/control.sock}}\n{text}"
        )
        with at.daemon():
            name, socket = "team-00000", f"{at.directory}/control.sock"
            tools = {
                "cat of the twin": ["/bin/cat", f"{at.directory}/process/{name}.json"],
                "credfresh ensure": [
                    COMMAND, "ensure", name, "--valid-for", "20m", "--socket", socket,
                ],
                "bare Python with click": [sys.executable, "-c", "import click"],
                "aws sts assume-role": [
                    "aws", "sts", "assume-role", "--role-arn",
                    "arn:aws:iam::111111111111:role/deploy", "--role-session-name", "job",
                    "--profile", "source",
                ],
            }  # fmt: skip
            others.configure(path.parent, sts.url, ["job"])
            with others.elhaz(path.parent, environment, ["job"]):
                tools["elhaz export"] = others.export("job")
                for _ in range(3 * ROUNDS):
                    for tool, argv in tools.items():
                        taken.setdefault(tool, []).append(spent(argv, environment))
    return [
        Cost(tool, Spread.of(c for c, _ in rounds), Spread.of(w for _, w in rounds))
        for tool, rounds in taken.items()
    ]


def hammered() -> list[Hammered]:
    """Let readers and a rival work beside each writer; return what they found."""
    found = []
    for tool, writer in (
        ("AWS CLI (aws configure set)", "cli"),
        ("script with configparser (awsume does the same)", "script"),
        ("credfresh", "credfresh"),
    ):
        for manners in ("locked", "bare"):
            with tempfile.TemporaryDirectory(prefix="credfresh-bench-") as directory:
                done = subprocess.run(
                    [
                        sys.executable,
                        "-m",
                        "torture.peers",
                        writer,
                        manners,
                        directory,
                        str(SECONDS),
                    ],
                    env={**os.environ, "PYTHONPATH": str(HERE.parent)},
                    stdout=subprocess.PIPE,
                    check=True,
                )
            found.append(Hammered(tool, manners, **json.loads(done.stdout)))
    return found


def told(row: dict[str, Any]) -> str:
    """Return a row as text for people."""
    return "  ".join(
        f"{key} {value['median'] * 1000:.1f} ms" if isinstance(value, dict) else f"{key} {value}"
        for key, value in row.items()
    )


def ready() -> None:
    """Check that all programs are there.

    Raises:
        RuntimeError: a program that is needed is missing.
    """
    for program in ("jq", "valgrind"):
        if shutil.which(program) is None:
            raise RuntimeError(f"needs {program}: apt-get install {program}")
    if not others.there():
        raise RuntimeError("needs other people's tools: sh tests/bench/peers/setup")


def figures() -> dict[str, list[dict[str, Any]]]:
    """Measure everything."""
    with FastSts() as sts:
        return {
            "renewals": [asdict(cost) for cost in renewals(sts)],
            "jobs": [asdict(cost) for cost in jobs(sts)],
            "hammered": [asdict(each) for each in hammered()],
        }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ready()
    found = figures()
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    for part, rows in found.items():
        sys.stdout.write(f"{part}:\n" + "".join(f"  {told(row)}\n" for row in rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
