"""Real clients of AWS with file, twin and endpoint, while sessions last seconds.

    sh tests/e2e/clients/setup && python -m pytest tests/e2e/clients

What is expected of each is in `sdk_clients.py`, and in the table of docs/consumers.md.
"""

from __future__ import annotations

import json
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

import sdk_clients
from credfresh.cli.clock import clock
from credfresh.simulator import Simulator, faults
from disk import needs_root
from host import Host, Running, wait_until
from loopback import loopback_only
from s3_front import s3_front
from sdk_clients import DOORS, Client
from sdk_matrix import Cell, Matrix
from twins import recipe

pytestmark = [needs_root, pytest.mark.timeout(300)]

LIFETIME = 20.0
"""The seconds that a session lasts."""

WATCHED = 2.5 * LIFETIME
"""The seconds that every client is watched, from the last one's first answer on."""

AFTERWARDS = 8.0
"""The seconds after the recovery in which every client makes some more calls."""

PORT = 9465
"""The endpoint's port, in a network of its own."""

PRESENT = [client for client in sdk_clients.ALL if client.missing is None]


@pytest.mark.parametrize("client", sdk_clients.ALL, ids=lambda client: client.name)
def test_every_documented_client_is_installed(client: Client) -> None:
    """In CI every client that the documentation names is installed."""
    if client.missing is not None:
        assert not os.environ.get("CI"), f"not installed: {client.missing}"
        pytest.skip(f"not installed: {client.missing} (sh tests/e2e/clients/setup)")


@pytest.fixture(name="root")
def _root() -> Iterator[Path]:
    """Return a directory in memory, like /run: with such short sessions a slow disk matters."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        yield Path(root)


def test_every_client_does_at_every_door_what_the_documentation_says(root: Path) -> None:
    """Every client does at every door what the documentation says, all at the same time.

    Then STS is down until all credentials have expired; clients that renew by themselves work
    afterwards, without a restart.
    """
    cells = [Cell(client, door) for client in PRESENT for door in DOORS]
    with watched(root, cells) as (matrix, running):
        threading.Event().wait(WATCHED)
        assert [] == running.events("profile_expired")
        wrong = matrix.wrong()

        outage(matrix.sts, running, len(cells))
        threading.Event().wait(AFTERWARDS)
        matrix.end()

        dead = [f"{c.name}: {c.errors[-1]}" for c in cells if c.renews and c.answers[-1] != "ok"]
        assert ([], []) == (wrong, dead)


@pytest.mark.parametrize(
    ("lifetimes", "lifetime"),
    [(6, 5.0), pytest.param(20, 12.0, marks=[pytest.mark.long, pytest.mark.timeout(600)])],
)
def test_a_process_outlives_many_sessions(root: Path, lifetimes: int, lifetime: float) -> None:
    """One boto3 process at each door makes a call each second, and none fails.

    Meanwhile the twin never has less than `renew_before` left (half a session; times are whole
    seconds).
    """
    boto3 = next(client for client in PRESENT if client.name == "boto3")
    cells = [Cell(boto3, "twin"), Cell(boto3, "endpoint")]
    with watched(root, cells, lifetime) as (matrix, running):
        least = least_life(root / "process" / "boto3-twin.json", lifetimes * lifetime)
        assert [] == running.events("profile_expired")
        matrix.end()

        assert least > lifetime / 2 - 1.0

        assert {"ok"} == {answer for cell in cells for answer in cell.answers}
        for cell in cells:
            assert len(set(matrix.keys(cell))) >= lifetimes, cell.name
            assert len(cell.answers) >= 0.7 * lifetimes * lifetime, cell.name


def least_life(twin: Path, seconds: float) -> float:
    """Watch a twin for `seconds`; return the least life that was left in it, in seconds."""
    pause, end, least = threading.Event(), time.monotonic() + seconds, math.inf
    while time.monotonic() < end:
        said = datetime.fromisoformat(json.loads(twin.read_bytes())["Expiration"])
        least = min(least, said.timestamp() - clock().wall)
        pause.wait(0.02)
    return least


@pytest.mark.long
def test_clients_survive_a_twin_that_is_gone_for_a_while(root: Path) -> None:
    """With `on_expired: remove` the twin is missing for a while, which clients survive as well."""
    cells = [
        Cell(c, "twin", on_expired="remove") for c in PRESENT if c.expected["twin"] == "renews"
    ]
    with watched(root, cells) as (matrix, running):
        outage(matrix.sts, running, len(cells))
        threading.Event().wait(AFTERWARDS)
        matrix.end()

        dead = [f"{c.name}: {c.errors[-1]}" for c in cells if c.answers[-1] != "ok"]
        assert [] == dead


def outage(sts: Simulator, running: Running, profiles: int) -> None:
    """Let STS fail until every profile has expired and 3 s more, then renew all."""
    sts.inject(faults.internal_error(), action="AssumeRole", times=None)
    wait_until(lambda: len(running.events("profile_expired")) >= profiles, "expiry", 60.0)
    threading.Event().wait(3.0)
    sts.clear_faults()
    running.signal(signal.SIGUSR1)
    wait_until(lambda: not_expired(running) >= profiles, "all to be renewed", 30.0)


def not_expired(running: Running) -> int:
    """Return how many profiles have been renewed after they expired."""
    expired: set[object] = set()
    renewed: set[object] = set()
    for event in running.events():
        match event["event"]:
            case "profile_expired":
                expired.add(event["profile"])
            case "credentials_renewed" if event["profile"] in expired:
                renewed.add(event["profile"])
            case _:
                pass
    return len(renewed)


@contextmanager
def watched(
    root: Path, cells: list[Cell], lifetime: float = LIFETIME
) -> Iterator[tuple[Matrix, Running]]:
    """Run these cells beside a daemon; yield once each has had its first answer."""
    root.chmod(0o700)
    (root / "home").mkdir()
    with (
        loopback_only(),
        Simulator(clock, grant_seconds=lifetime) as sts,
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
            yield matrix, running
        finally:
            matrix.end()
            host.end()


def configure(host: Host, cells: list[Cell]) -> None:
    """Give every cell a role and a profile of its own."""
    profiles = ""
    for cell in cells:
        arn = f"arn:aws:iam::444444444444:role/{cell.name}"
        host.sts.add_role(arn, trusts={host.user.arn})
        profiles += f"  {cell.name}:\n    role_arn: {arn}\n    on_expired: {cell.on_expired}\n"
    host.configure(
        profiles,
        extra=f"process_dir: {host.root / 'process'}\n"
        f"endpoint:\n  listen: 127.0.0.1:{PORT}\n  token_dir: {host.root / 'tokens'}\n",
    )


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
            every = {"AWS_SHARED_CREDENTIALS_FILE": str(host.credentials)}
            return every | recipe(process, cell.name)
        case "endpoint":
            token = host.root / "tokens" / cell.name
            shown = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)}
            if cell.client.token_in_environment:
                shown = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": token.read_text()}
            return {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{PORT}/credentials/{cell.name}",
                "AWS_SHARED_CREDENTIALS_FILE": empty,
                "AWS_CONFIG_FILE": empty,
                **shown,
            }


def test_every_client_works_through_two_doors() -> None:
    """If one of the doors does not work for a client, another does."""
    for client in sdk_clients.ALL:
        doors = [door for door, outcome in client.expected.items() if outcome != "no"]
        assert len(doors) >= 2, client.name


def test_nothing_of_the_matrix_can_leave_the_machine() -> None:
    """The only route is that of loopback."""
    with loopback_only():
        routes = Path("/proc/thread-self/net/route").read_text().splitlines()
    assert 1 == len(routes)
