"""Real clients of AWS, each at each of our doors, while sessions last seconds.

    sh tests/e2e/clients/setup && python -m pytest tests/e2e/clients

What is expected stands in `sdk_clients.py`, and in the table of docs/consumers.md.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import sdk_clients
from credfresh.model import Instant
from credfresh.simulator import Simulator
from disk import needs_root
from host import Host, wait_until
from loopback import loopback_only
from s3_front import s3_front
from sdk_clients import Client, Door
from sdk_matrix import Cell, Matrix

pytestmark = [needs_root, pytest.mark.timeout(300)]

LIFETIME = 20.0
"""Seconds that a session lasts here."""

WATCHED = 2.5 * LIFETIME
"""Seconds that every client is watched, from the first answer of the last one on."""

DOORS: tuple[Door, ...] = ("file", "twin")
PRESENT = [client for client in sdk_clients.ALL if client.missing is None]


def clock() -> Instant:
    """Return the real time."""
    return Instant(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))  # noqa: TID251 - real


@pytest.mark.parametrize("client", sdk_clients.ALL, ids=lambda client: client.name)
def test_it_is_installed(client: Client) -> None:
    """None is claimed that was not run."""
    if client.missing is not None:
        assert not os.environ.get("CI"), f"not installed: {client.missing}"
        pytest.skip(f"not installed: {client.missing} (sh tests/e2e/clients/setup)")


@pytest.fixture(name="root")
def _root() -> Iterator[Path]:
    """Return a directory in memory, as /run is: with sessions this short, a slow disk counts."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        yield Path(root)


def test_what_is_expected_is_seen(root: Path) -> None:
    """What the documentation says of every client and door is what happens, all at once."""
    cells = [Cell(client, door) for client in PRESENT for door in DOORS]
    with watched(root, cells) as matrix:
        threading.Event().wait(WATCHED)
        matrix.end()

        wrong = [
            f"{cell.name}: expected {cell.client.expected[cell.door]}, seen {seen}: "
            f"{len(cell.answers)} answers, {len(cell.errors)} errors {cell.errors[:2]}"
            for cell in cells
            if (seen := cell.outcome(matrix.keys(cell))) != cell.client.expected[cell.door]
        ]
        assert [] == wrong


@contextmanager
def watched(root: Path, cells: list[Cell]) -> Iterator[Matrix]:
    """Run these cells beside a daemon, from the first answer of each on."""
    root.chmod(0o700)
    (root / "home").mkdir()
    with (
        loopback_only(),
        Simulator(clock, grant_seconds=LIFETIME) as sts,
        s3_front(sts, clock) as s3,
    ):
        host = Host(root, sts)
        configure(host, cells)
        matrix = Matrix(cells, sts, s3, root / "home")
        try:
            running = host.start("run")
            running.wait_for("daemon_ready")
            for cell in cells:
                cell.environment = environment(host, cell)
            matrix.start()
            wait_until(matrix.settled, "a first answer of every client", 120.0)
            yield matrix
            assert [] == running.events("profile_expired")
        finally:
            matrix.end()
            host.end()


def configure(host: Host, cells: list[Cell]) -> None:
    """Give every cell a role and a profile of its own."""
    profiles = ""
    for cell in cells:
        arn = f"arn:aws:iam::444444444444:role/{cell.name}"
        host.sts.add_role(arn, trusts={host.user.arn})
        profiles += f"  {cell.name}:\n    role_arn: {arn}\n"
    host.configure(profiles, extra=f"process_dir: {host.root / 'process'}\n")


def environment(host: Host, cell: Cell) -> dict[str, str]:
    """Return the recipe of docs/consumers.md for a door, on a host that sets the file for all."""
    process = host.root / "process"
    empty = str(process / "empty")
    match cell.door:
        case "file":
            return {
                cell.client.file_variable: str(host.credentials),
                "AWS_PROFILE": cell.name,
                "AWS_CONFIG_FILE": empty,
            }
        case "twin":
            lines = (process / f"{cell.name}.env").read_text().splitlines()
            recipe = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
            return {"AWS_SHARED_CREDENTIALS_FILE": str(host.credentials)} | recipe
        case _:
            return {}


def test_every_client_works_through_two_doors() -> None:
    """Where one of them will not do there is another."""
    one_door = {"object_store", "s3cmd", "ruby"}
    for client in sdk_clients.ALL:
        doors = [door for door, outcome in client.expected.items() if outcome != "no"]
        assert len(doors) >= (1 if client.name in one_door else 2), client.name


def test_nothing_of_the_matrix_can_leave_the_machine() -> None:
    """There is no route but that of loopback."""
    with loopback_only():
        routes = Path("/proc/thread-self/net/route").read_text().splitlines()
    assert 1 == len(routes)
