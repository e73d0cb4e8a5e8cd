"""A host in a directory: simulated STS, source keys, configuration, and the installed command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from credfresh.cli.clock import clock
from credfresh.simulator import Simulator
from debian import Debian, built, needed
from host import Host


@pytest.hookimpl(trylast=True)  # after `-m` has selected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the tests marked `waits` out to the workers evenly, as the first ones of each.

    `--dist worksteal` splits the list into as many equal runs as there are workers.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    waiting = [item for item in items if item.get_closest_marker("waits")]
    others = [item for item in items if not item.get_closest_marker("waits")]
    each = len(others) / workers
    items[:] = [
        item
        for number in range(workers)
        for item in (
            *waiting[number::workers],
            *others[round(number * each) : round((number + 1) * each)],
        )
    ]


@pytest.fixture(name="sts")
def _sts() -> Iterator[Simulator]:
    with Simulator(clock) as sts:
        yield sts


@pytest.fixture(name="host")
def _host(sts: Simulator, tmp_path: Path) -> Iterator[Host]:
    tmp_path.chmod(0o700)
    os.umask(0o022)
    host = Host(tmp_path, sts)
    yield host
    host.end()


@pytest.fixture(name="socket")
def _socket(host: Host) -> Path:
    """Return the control socket of a host that is configured with one."""
    socket = host.root / "run" / "control.sock"
    host.configure(extra=f"control:\n  socket: {socket}\n")
    return socket


@pytest.fixture(scope="session", name="packages")
def _packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the Debian packages, which all workers share."""
    own = tmp_path_factory.getbasetemp()
    return built(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(name="debian")
def _debian(packages: Path) -> Iterator[Debian]:
    needed()
    with Debian(packages) as debian:
        yield debian
