"""A machine with a real systemd, one for all tests of a worker, and credfresh as its service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from credfresh.cli.clock import clock
from credfresh.simulator import Simulator
from machine import Machine
from service import Service, binds


@pytest.fixture(scope="session", name="machine")
def _machine() -> Iterator[Machine]:
    with Machine(binds()) as machine:
        yield machine


@pytest.fixture(scope="session", name="installed")
def _installed(machine: Machine) -> Iterator[Service]:
    sts = Simulator(clock)
    with machine.network():
        sts.start()
    try:
        yield Service(machine, sts)
    finally:
        sts.stop()


@pytest.fixture(name="service")
def _service(installed: Service) -> Iterator[Service]:
    """Return the service, installed and configured, but not started."""
    installed.reset()
    yield installed
    installed.end()
