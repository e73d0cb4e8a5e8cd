"""The processes of the torture test: publishers that are killed, readers and rivals.

Run as `python -m torture.arena ROLE PATH …`; each role prints its figures as one JSON object at
its end. All our sections carry the serial number of their publish, so a file that mixes two can be
recognized; foreign sections have a known content, so one that lacks a byte is recognized, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random  # noqa: TID251 - each run is another one; the seed is printed
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from botocore.configloader import raw_config_parse

from credfresh.cli.clock import clock
from credfresh.credentials_file import SharedCredentialsFile
from credfresh.errors import PublishError
from credfresh.model import Grant, SessionCredentials
from credfresh.publication import Publication
from credfresh.settings import FileTarget, Profile
from fakes import profile

OURS = [f"ours-{n}" for n in range(12)]
FOREIGN = {f"foreign-{n}": {"aws_access_key_id": f"AKIA{n}" * 9} for n in range(12)}
BEFORE = ("lock", "read", "splice", "create", "attributes", "write", "sync", "verify", "swap")
STEPS = (*BEFORE, "compare", "stamp", "sync_directory", "done")

pause = threading.Event().wait


def foreign_text() -> bytes:
    """Return the foreign part of the initial file."""
    sections = (
        f"# kept by hand\n[{name}]\naws_access_key_id = {keys['aws_access_key_id']}\n\n"
        for name, keys in FOREIGN.items()
    )
    return "".join(sections).encode()


def wanted(path: Path, serial: int) -> dict[str, Publication]:
    """Return a publish in which every section has the same serial."""
    return {name: Publication(_profile(name, path), _grant(serial)) for name in OURS}


def _profile(name: str, path: Path) -> Profile:
    return profile(name, path=str(path))


def _grant(serial: int) -> Grant:
    now = clock()
    credentials = SessionCredentials(
        f"ASIA{serial:016d}", f"{serial:040d}", f"{serial:08d}" * 50, now.wall + 3600
    )
    return Grant(credentials, now, 3600.0, 3600.0, "0123456789abcdef")


def flaw_of(path: Path) -> str | None:
    """Read the file as an SDK does; say what is wrong with it, or return None."""
    try:
        sections = raw_config_parse(str(path))
    except Exception as error:  # noqa: BLE001 - whatever an SDK would raise
        return f"unreadable: {type(error).__name__}"
    for name, keys in FOREIGN.items():
        if sections.get(name) != keys:
            return f"[{name}] is {sections.get(name)}"
    ours = [sections[name] for name in OURS if name in sections]
    serials = {keys.get("aws_access_key_id", "?")[4:].lstrip("0") for keys in ours}
    if ours and (len(ours) != len(OURS) or len(serials) != 1):
        return f"{len(ours)} sections of ours, of serials {sorted(serials)}"
    for keys in ours:
        serial = int(keys["aws_access_key_id"][4:])
        secrets = f"{serial:040d}", f"{serial:08d}" * 50
        if secrets != (keys.get("aws_secret_access_key"), keys.get("aws_session_token")):
            return f"secrets of another serial than {serial}"
    return None


def read(path: Path, stop: Path) -> dict[str, object]:
    """Read until the file `stop` exists."""
    reads, flaws = 0, []
    while not stop.exists():
        for _ in range(20):
            reads += 1
            flaw = flaw_of(path)
            if flaw is not None:
                flaws.append(flaw)
    return {"reads": reads, "torn": len(flaws), "flaws": flaws[:5]}


def kill(path: Path, kills: int, seed: int) -> dict[str, Any]:
    """Fork publishers, each killed at a step in turn or at a random moment; return the figures."""
    dice = random.Random(seed)
    by_step = dict.fromkeys([*STEPS, "anywhere"], 0)
    flaws, serial = [], 1
    for number in range(kills):
        step = [*STEPS, "anywhere", "anywhere", "anywhere"][number % (len(STEPS) + 3)]
        serial += 1000
        child = os.fork()
        if child == 0:
            _publish_until_killed(path, serial, step, dice.randrange(1, 4))
        if step == "anywhere":
            pause(dice.uniform(0.0, 0.03))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            by_step[step] += 1
        flaw = flaw_of(path)
        if flaw is not None:
            flaws.append(flaw)
    file = _keeper(path)
    file.claim()
    file.publish(wanted(path, serial + 1000))
    file.release()
    left = [entry.name for entry in path.parent.glob(".*.tmp")]
    foreign = path.read_bytes().startswith(foreign_text())
    return {
        "kills": sum(by_step.values()),
        "by_step": by_step,
        "torn": len(flaws),
        "flaws": flaws[:5],
        "left": len(left),
        "foreign_intact": foreign,
    }


def _publish_until_killed(path: Path, serial: int, step: str, times: int) -> None:
    seen = [0]

    def hook(now: str) -> None:
        if now == step:
            seen[0] += 1
            if seen[0] == times:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        file = _keeper(path, hook)
        file.claim()
        file.standing({name: _profile(name, path) for name in OURS})
        while True:
            serial += 1
            file.publish(wanted(path, serial))
            hook("done")
            file.tick()
    finally:
        os._exit(1)


def _keeper(path: Path, hook: Callable[[str], None] | None = None) -> SharedCredentialsFile:
    target = FileTarget(str(path))
    return SharedCredentialsFile(target, instance="torture", clock=clock, hook=hook)


def publish(path: Path, stop: Path, rest: float) -> dict[str, object]:
    """Publish until the file `stop` exists, then settle as the daemon's ticks would."""
    file = _keeper(path)
    file.claim()
    published = contended = full = recovered = serial = 0
    longest = 0.0
    while not stop.exists():
        serial += 1
        began = time.monotonic()
        try:
            report = file.publish(wanted(path, serial))
        except PublishError as error:
            if error.code not in ("contended", "ENOSPC"):
                raise
            contended += error.code == "contended"
            full += error.code == "ENOSPC"
        else:
            published += report.written
            recovered += sum(r.event == "rival_write_recovered" for r in report.remarks)
        longest = max(longest, time.monotonic() - began)
        pause(rest)
        file.tick()
    asked = wanted(path, serial + 1)
    for _ in range(5):
        file.publish(asked)
        if not file.tick():
            break
    file.release()
    return {
        "published": published,
        "contended": contended,
        "full": full,
        "recovered": recovered,
        "longest_ms": round(longest * 1000, 1),
        "flaw": flaw_of(path),
        "serial_stands": f"ASIA{serial + 1:016d}".encode() in path.read_bytes(),
    }


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def rival(path: Path, name: str, how: str, updates: int, seed: int) -> dict[str, object]:
    """Add a section per update; `how` is locked or bare, then truncate, rename or append.

    Bare rivals exclude each other by a lock of their own, so that any lost update is our loss.
    """
    dice = random.Random(seed)
    manners, habit = how.split("-")
    lock = path.with_name(path.name + ".lock" if manners == "locked" else "rivals")
    for number in range(updates):
        section = f"[{name}-{number}]\nn = {number}\n".encode()
        with _lock(lock):
            _HABITS[habit](path, section, dice.choice([0.0, 0.0, 0.0005, 0.003]))
        pause(dice.uniform(0.0, 0.03))
    return {"updates": updates}


def _truncate(path: Path, section: bytes, hesitation: float) -> None:
    content = path.read_bytes()
    with path.open("wb", buffering=0) as file:
        pause(hesitation)
        half = len(content) // 2
        file.write(content[:half])
        pause(hesitation)
        file.write(content[half:] + section)


def _rename(path: Path, section: bytes, hesitation: float) -> None:
    new = path.with_name("rival-new")
    new.write_bytes(path.read_bytes() + section)
    new.chmod(0o600)
    pause(hesitation)
    new.replace(path)


def _append(path: Path, section: bytes, hesitation: float) -> None:
    with path.open("ab", buffering=0) as file:
        pause(hesitation)
        file.write(section)


_HABITS = {"truncate": _truncate, "rename": _rename, "append": _append}


def lost(path: Path, name: str, updates: int) -> list[int]:
    """Return which updates of a rival are missing from the file."""
    kept = {int(n) for n in re.findall(rf"^\[{name}-(\d+)\]$", path.read_text(), re.MULTILINE)}
    return sorted(set(range(updates)) - kept)


def fill(path: Path, stop: Path, seed: int) -> dict[str, object]:
    """Fill the file system and make space again, until the file `stop` exists."""
    dice = random.Random(seed)
    ballast, rounds = path.with_name("ballast"), 0
    while not stop.exists():
        rounds += 1
        try:
            with ballast.open("wb", buffering=0) as file:
                for _ in range(64):
                    file.write(bytes(1024))
        except OSError:
            pause(dice.uniform(0.0, 0.005))
        ballast.unlink()
        pause(dice.uniform(0.0, 0.005))
    return {"rounds": rounds}


def full(path: Path, seconds: float, seed: int) -> dict[str, object]:
    """Publish and read for `seconds` on a file system that is filled and cleared all the time.

    They begin with the first publish: on a busy machine it takes the processes as long to start.
    """
    path.write_bytes(foreign_text())
    path.chmod(0o600)
    began_with = path.stat().st_ino
    stop, enough = path.with_name("stop"), path.with_name("enough")
    filler = start("fill", path, enough, seed)
    others = [start("publish", path, stop, 0.002), start("read", path, stop)]
    while path.stat().st_ino == began_with and others[0].poll() is None:
        pause(0.01)
    pause(seconds)
    while not enough.exists():
        with contextlib.suppress(OSError):  # the file system is full
            enough.touch()
    filled = figures(filler)
    stop.touch()
    published, readings = map(figures, others)
    return {
        "reads": readings["reads"],
        "torn": readings["torn"],
        "published": published["published"],
        "full": published["full"],
        "rounds": filled["rounds"],
        "serial_stands": published["serial_stands"] and published["flaw"] is None,
    }


def start(role: str, path: Path, *rest: object) -> subprocess.Popen[str]:
    """Start a process that plays a role."""
    command = [sys.executable, "-m", "torture.arena", role, str(path), *map(str, rest)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def figures(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a process to end; return the figures that it printed."""
    output, _ = process.communicate()
    counted: dict[str, Any] = json.loads(output)
    return counted


def main(role: str, path: Path, *rest: str) -> dict[str, object]:
    """Play a role."""
    match role, rest:
        case "read", [stop]:
            return read(path, Path(stop))
        case "kill", [kills, seed]:
            return kill(path, int(kills), int(seed))
        case "publish", [stop, seconds]:
            return publish(path, Path(stop), float(seconds))
        case "rival", [name, how, updates, seed]:
            return rival(path, name, how, int(updates), int(seed))
        case "full", [seconds, seed]:
            return full(path, float(seconds), int(seed))
        case "fill", [stop, seed]:
            return fill(path, Path(stop), int(seed))
    raise SystemExit(f"no such role: {role} {rest}")


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])))  # noqa: T201 - its result
