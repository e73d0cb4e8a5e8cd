"""Rivals that write early, late and in between, and a daemon that is killed: no section is lost.

Each game has a seed: rivals without a lock keep the file open, append, truncate and rewrite, or
rename, before any step of a publish; the daemon ends orderly or dies at any step, and another one
follows.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from random import Random  # noqa: TID251 - a game, told by its seed

import pytest

from credfresh.credentials_file import SharedCredentialsFile
from disk import FOREIGN, Steps, Waits, keeper, read_by_sdk, temporaries, wanted

STEPS = (
    *("lock", "read", "splice", "create", "attributes", "write", "sync"),
    *("verify", "swap", "compare", "stamp", "sync_directory"),
)
OPEN_FOR = 2
"""The publishes for which a rival keeps a file open; after four more, its write may be lost."""


class KilledError(BaseException):
    """Raised where the daemon dies."""


class Game:
    """A file, its daemon, and the sections that its rivals have written so far."""

    def __init__(self, path: Path, chance: Random, stack: ExitStack) -> None:
        self.path = path
        self.story: list[str] = []
        self.sections = {"foreign", "dev"}
        self._chance = chance
        self._stack = stack
        self._steps = Steps()
        self._serial = 0
        self._open: list[tuple[FileIO, int]] = []
        path.write_bytes(FOREIGN)
        self._start()
        self._publish()

    def move(self) -> None:
        """Make a random move: a rival's, a tick, a publish, a death or an orderly end."""
        for file, since in list(self._open):
            if self._serial - since >= OPEN_FOR:
                self._close(file)
        move = self._chance.random()
        if move < 0.3:
            self._rival()
        elif move < 0.45:
            self.story.append("beat")
            self._file.tick()
        elif move < 0.8:
            self._publish_among_rivals()
        elif move < 0.9:
            self._die()
        else:
            self.story.append("end")
            self._end(self._file)
            self._start()

    def settle(self) -> set[str]:
        """Let all rivals finish, publish and tick; return the sections of the file."""
        self._steps.before.clear()
        for file, _ in list(self._open):
            self._close(file)
        self._publish()
        while self._file.tick():
            self._publish()
        return set(read_by_sdk(self.path))

    def _start(self) -> None:
        self._steps.before.clear()
        self._file = keeper(self.path, hook=self._steps, pause=Waits())
        self._stack.callback(self._end, self._file)
        self._file.claim()

    def _end(self, file: SharedCredentialsFile) -> None:
        self._steps.before.clear()
        file.release()

    def _publish(self) -> None:
        self._serial += 1
        self.story.append(f"publish {self._serial}")
        self._file.publish(wanted(self.path, "dev", serial=self._serial))

    def _publish_among_rivals(self) -> None:
        for step in self._chance.sample(STEPS, self._chance.randrange(3)):
            self._steps.before[step] = self._rival
        self._publish()
        self._steps.before.clear()

    def _die(self) -> None:
        step = self._chance.choice(STEPS)

        def die() -> None:
            self._file._tenure.close()  # as the end of a killed process does
            raise KilledError

        self._steps.before[step] = die
        try:
            self._publish()
        except KilledError:
            self.story.append(f"killed before {step}")
        if self._chance.random() < 0.5:
            self._rival()
        self._file._tenure.close()
        self._start()

    def _rival(self) -> None:
        moves: list[Callable[[], None]] = [self._open_one, self._append, self._cut_and_write]
        if self._open:
            moves += [self._write_late, self._cut_late]
        else:
            moves.append(self._rename)  # would itself lose the open files of other rivals
        self._chance.choice(moves)()

    def _open_one(self) -> None:
        self.story.append("open")
        file = self._stack.enter_context(self.path.open("a+b", buffering=0))
        self._open.append((file, self._serial))

    def _close(self, file: FileIO) -> None:
        self.story.append("close")
        self._open = [each for each in self._open if each[0] is not file]
        file.close()

    def _append(self) -> None:
        with self.path.open("ab") as file:
            file.write(self._section("append"))

    def _cut_and_write(self) -> None:
        self.path.write_bytes(self.path.read_bytes() + self._section("cut and write"))

    def _rename(self) -> None:
        new = self.path.with_name("new")
        new.write_bytes(self.path.read_bytes() + self._section("rename"))
        new.replace(self.path)

    def _write_late(self) -> None:
        file, _ = self._chance.choice(self._open)
        file.write(self._section("write late"))

    def _cut_late(self) -> None:
        file, _ = self._chance.choice(self._open)
        file.seek(0)
        content = file.read() or b""
        file.truncate(0)
        file.write(content + self._section("cut late"))

    def _section(self, how: str) -> bytes:
        name = f"theirs{len(self.sections)}"
        self.sections.add(name)
        self.story.append(f"{how} {name}")
        return f"[{name}]\nkey = {name}\n".encode()


@pytest.mark.parametrize(
    "games",
    [
        pytest.param(150, id="short"),
        pytest.param(1500, id="long", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_no_section_is_lost_to_a_late_write_or_a_death(
    tmp_path: Path, games: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When all are done, every section of every rival stands, and no temporary is left."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # there is no power cut
    first = secrets.randbelow(10**6)
    for seed in range(first, first + games):
        directory = tmp_path / str(seed)
        directory.mkdir()
        with ExitStack() as stack:
            chance = Random(seed)
            game = Game(directory / "credentials", chance, stack)
            for _ in range(chance.randrange(4, 14)):
                game.move()

            assert game.sections == game.settle(), f"seed {seed}: {game.story}"
            assert [] == temporaries(game.path), f"seed {seed}: {game.story}"
