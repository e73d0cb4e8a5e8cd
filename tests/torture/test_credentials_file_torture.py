"""The credentials file under attack: killed writers, busy readers, rivals, a full disk.

The short setting takes less than a minute; the figures in docs/credentials-file.md are from the
long one (`-m long`). Each test prints its figures.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from disk import for_children, in_mount_namespace, needs_root
from torture import arena

READERS = 2


@dataclass(frozen=True, slots=True)
class Setting:
    """How long a test runs."""

    kills: int
    updates: int
    """The number of updates of each of the three rivals."""
    seconds: float
    """How long the full disk lasts, in seconds."""
    reads: int
    """The least number of reads."""


SETTINGS = [
    pytest.param(Setting(kills=160, updates=60, seconds=4.0, reads=1000), id="short"),
    pytest.param(
        Setting(kills=2400, updates=400, seconds=60.0, reads=100_000),
        id="long",
        marks=[pytest.mark.long, pytest.mark.timeout(3600)],
    ),
]


class Arena:
    """A file, and the processes that work on it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.stop = path.with_name("stop")
        self.seed = secrets.randbelow(10**6)
        self._capsys = capsys
        self._running: list[subprocess.Popen[str]] = []

    def start(self, role: str, *arguments: object) -> subprocess.Popen[str]:
        """Start a process that plays a role."""
        process = subprocess.Popen(
            [sys.executable, "-m", "torture.arena", role, str(self.path), *map(str, arguments)],
            env=for_children(),
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return process

    def figures(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for a process to end by itself; return its figures."""
        output, _ = process.communicate()
        assert 0 == process.returncode
        figures: dict[str, Any] = json.loads(output)
        return figures

    def tell(self, what: str, **figures: object) -> None:
        """Print figures past pytest's capture."""
        said = ", ".join(f"{name} {value}" for name, value in figures.items())
        with self._capsys.disabled():
            print(f"\n{what}: {said} (seed {self.seed})")  # noqa: T201 - its purpose

    def end(self) -> None:
        """Kill the processes that still run."""
        for process in self._running:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture(name="stage")
def _stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Arena]:
    stage = Arena(tmp_path / "credentials", capsys)
    stage.path.write_bytes(arena.foreign_text())
    stage.path.chmod(0o600)
    yield stage
    stage.end()


@pytest.mark.parametrize("setting", SETTINGS)
def test_readers_never_find_half_a_file_whoever_is_killed(stage: Arena, setting: Setting) -> None:
    """Publishers are killed at every step and at random; each read finds a whole file."""
    readers = [stage.start("read", stage.stop) for _ in range(READERS)]
    reads, torn, killed, flaws = 0, 0, 0, []
    while killed < setting.kills:
        killer = stage.figures(stage.start("kill", 160, stage.seed + killed))
        killed += int(killer["kills"])
        flaws += killer["flaws"]
        assert 0 == killer["left"]
        assert killer["foreign_intact"]
        assert min(killer["by_step"].values()) > 0
    while reads < setting.reads:
        stage.stop.touch()
        for figures in map(stage.figures, readers):
            reads += int(figures["reads"])
            torn += int(figures["torn"])
            flaws += figures["flaws"]
        if reads < setting.reads:
            stage.stop.unlink()
            readers = [stage.start("read", stage.stop) for _ in range(READERS)]
            stage.figures(stage.start("kill", 160, stage.seed + reads))

    stage.tell("killed writers", kills=killed, reads=reads, torn=torn)
    assert [] == flaws
    assert 0 == torn


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("manners", ["locked", "bare"])
def test_no_update_of_a_rival_is_lost(stage: Arena, setting: Setting, manners: str) -> None:
    """Every finished update stands, in place, by rename or appended, with the lock or without."""
    habits = ["truncate", "rename", "append"]
    publisher = stage.start("publish", stage.stop, 0.002)
    rivals = [
        stage.start("rival", habit, f"{manners}-{habit}", setting.updates, stage.seed)
        for habit in habits
    ]
    made = sum(int(stage.figures(each)["updates"]) for each in rivals)
    stage.stop.touch()
    ours = stage.figures(publisher)
    lost = {habit: arena.lost(stage.path, habit, setting.updates) for habit in habits}

    stage.tell(
        f"{manners} rivals",
        updates=made,
        lost=sum(map(len, lost.values())),
        publishes=ours["published"],
        recovered=ours["recovered"],
        contended=ours["contended"],
        longest_ms=ours["longest_ms"],
    )
    assert {habit: [] for habit in habits} == lost
    assert ours["flaw"] is None
    assert ours["serial_stands"]
    assert stage.path.read_bytes().startswith(arena.foreign_text())
    assert [] == list(stage.path.parent.glob(".*.tmp"))


@needs_root
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_disk_that_is_full_every_other_moment_tears_no_read(
    stage: Arena, setting: Setting
) -> None:
    """On a file system of 64 KiB that is filled and cleared, each read finds a whole file."""
    script = (
        'd=$(dirname "$1"); mount -t tmpfs -o size=64k,mode=700 none "$d";'
        ' exec "$PYTHON" -m torture.arena full "$@"'
    )
    done = in_mount_namespace(
        script,
        str(stage.path),
        str(setting.seconds),
        str(stage.seed),
        timeout=60.0 + 3 * setting.seconds,
    )
    assert 0 == done.returncode, done.stderr
    figures = json.loads(done.stdout)

    stage.tell("full disk", **{name: figures[name] for name in sorted(figures)})
    assert 0 == figures["torn"]
    assert figures["full"] > 0
    assert figures["published"] > 0
    assert figures["serial_stands"]
