"""The same torture for other writers: `python -m torture.peers WRITER RIVAL DIRECTORY SECONDS`.

Readers parse as botocore does. A read is torn if the file cannot be parsed, if a foreign section
of the initial file is not whole, or if a section mixes two sets of keys. Meanwhile a rival adds
sections by rename, `locked` by `<file>.lock` or `bare`; no update that it has finished may be
missing at the end.
"""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from awscli.customizations.configure.writer import (  # type: ignore[import-untyped]
    ConfigFileWriter,
)
from botocore.configloader import raw_config_parse

from torture import arena

READERS = 2
NAMES = arena.OURS[:4]


def keys(serial: int) -> dict[str, str]:
    """Return the keys of a serial."""
    return {
        "aws_access_key_id": f"ASIA{serial:016d}",
        "aws_secret_access_key": f"{serial:040d}",
        "aws_session_token": f"{serial:08d}" * 50,
    }


def cli(path: Path) -> Callable[[int], None]:
    """Write as `aws configure set` does, without the half second that it takes to start."""
    writer = ConfigFileWriter()

    def write(serial: int) -> None:
        for name in NAMES:
            writer.update_config({"__section__": name, **keys(serial)}, str(path))

    return write


def script(path: Path) -> Callable[[int], None]:
    """Write as scripts with configparser do."""

    def write(serial: int) -> None:
        file = configparser.RawConfigParser()
        file.read(path)
        for name in NAMES:
            file[name] = keys(serial)
        with path.open("w") as out:
            file.write(out)

    return write


def torn(path: Path) -> bool:
    """Read once as an SDK does, and say whether the file was torn."""
    try:
        sections = raw_config_parse(str(path))
    except Exception:  # noqa: BLE001 - whatever an SDK would raise
        return True
    if any(sections.get(name) != each for name, each in arena.FOREIGN.items()):
        return True
    for name in NAMES:
        held = sections.get(name)
        if held is not None:
            serial = str(held.get("aws_access_key_id", ""))[4:]
            if not serial.isdigit() or {k: held.get(k) for k in keys(0)} != keys(int(serial)):
                return True
    return False


def read(path: Path, stop: Path) -> dict[str, int]:
    """Read until the file `stop` exists."""
    reads = bad = 0
    while not stop.exists():
        for _ in range(20):
            reads += 1
            bad += torn(path)
    return {"reads": reads, "torn": bad}


def write(writer: str, path: Path, stop: Path) -> dict[str, int]:
    """Write until the file `stop` exists."""
    if writer == "credfresh":
        return {"writes": int(str(arena.publish(path, stop, 0.002)["published"]))}
    once, serial = {"cli": cli, "script": script}[writer](path), 0
    while not stop.exists():
        serial += 1
        try:
            once(serial)
        except (configparser.Error, UnicodeDecodeError):  # it has read a rival's unfinished write
            continue
        arena.pause(0.002)
    return {"writes": serial}


def hammer(writer: str, manners: str, directory: Path, seconds: float) -> dict[str, int]:
    """Run writer, readers and a rival for `seconds`; return the figures."""
    path, stop = directory / "credentials", directory / "stop"
    path.write_bytes(arena.foreign_text())
    path.chmod(0o600)
    updates = int(seconds * 20)
    mine = _start("write", writer, path, stop)
    readers = [_start("read", path, stop) for _ in range(READERS)]
    threading.Event().wait(1.0)
    until = time.monotonic() + seconds
    arena.figures(arena.start("rival", path, "theirs", f"{manners}-rename", updates, 1))
    threading.Event().wait(max(0.0, until - time.monotonic()))
    stop.touch()
    found = [arena.figures(reader) for reader in readers]
    return {
        "writes": arena.figures(mine)["writes"],
        "reads": sum(each["reads"] for each in found),
        "torn": sum(each["torn"] for each in found),
        "updates": updates,
        "lost": len(arena.lost(path, "theirs", updates)),
    }


def _start(role: str, *rest: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torture.peers", role, *map(str, rest)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def main(words: list[str]) -> dict[str, int]:
    """Play a role."""
    match words:
        case ["read", path, stop]:
            return read(Path(path), Path(stop))
        case ["write", writer, path, stop]:
            return write(writer, Path(path), Path(stop))
        case [writer, manners, directory, seconds]:
            return hammer(writer, manners, Path(directory), float(seconds))
    raise SystemExit(f"no such role: {words}")


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))  # noqa: T201 - its result
