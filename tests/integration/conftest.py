"""Servers for integration tests: moto and ministack once per run, our own scripted STS per test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import aws_servers
from aws_servers import Answer, ScriptedServer, grant_xml, scripted
from credfresh.cli.clock import clock
from credfresh.principals import Principal
from credfresh.settings import StsLimits
from credfresh.sts import StsProvider
from sources import Provide, ProviderAt


@pytest.fixture(scope="session")
def ministack() -> Iterator[aws_servers.AwsServer]:
    """Run ministack, which checks signatures, trust policies, ExternalId and expiry."""
    with aws_servers.ministack() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[aws_servers.AwsServer]:
    """Run moto's server."""
    with aws_servers.moto_server() as server:
        yield server


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Return a directory that other users can reach, unlike pytest's; its path is short."""
    with tempfile.TemporaryDirectory(prefix="credfresh-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def sts() -> Iterator[ScriptedServer]:
    """Run an STS that grants every request until a test scripts it; it records who signed."""
    with scripted(lambda _: Answer(body=grant_xml())) as server:
        yield server


@pytest.fixture
def provide(sts: ScriptedServer) -> Provide:
    """Return a function that makes a provider with one source called `ci`."""

    def make(
        source: Principal,
        environ: Mapping[str, str] | None = None,
        issued: Callable[[str], bool] = lambda _: False,
    ) -> StsProvider:
        return ProviderAt(
            sts.url,
            {"ci": source},
            StsLimits(read_timeout=30.0),  # loopback, but on a busy machine
            clock=clock,
            issued=issued,
            environ=environ or {},
        )

    return make
