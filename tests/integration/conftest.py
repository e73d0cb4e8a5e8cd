"""Servers that integration tests share: one of each for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import aws_servers


@pytest.fixture(scope="session")
def ministack() -> Iterator[aws_servers.AwsServer]:
    """AWS as ministack judges it: signatures, trust, ExternalId, expiry."""
    with aws_servers.ministack() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[aws_servers.AwsServer]:
    """AWS as moto answers it."""
    with aws_servers.moto_server() as server:
        yield server
