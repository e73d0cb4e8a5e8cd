"""Where a client goes, and what it is allowed to take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import fakes
from credfresh.settings import StsLimits
from credfresh.sts.clients import Clients, Endpoint, client_config


def test_the_regions_own_endpoint_whatever_the_environment_prefers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regional unless told otherwise; the legacy global endpoint and AWS_PROFILE have no say."""
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    monkeypatch.setenv("AWS_DEFAULTS_MODE", "auto")
    clients = Clients(StsLimits())
    hosts = {
        endpoint: clients.at(endpoint).meta.endpoint_url
        for endpoint in (
            Endpoint("us-east-1"),
            Endpoint("cn-north-1"),
            Endpoint("us-east-2", fips=True),
            Endpoint("eu-west-1", "http://127.0.0.1:4566"),
        )
    }
    assert [
        "https://sts.us-east-1.amazonaws.com",
        "https://sts.cn-north-1.amazonaws.com.cn",
        "https://sts-fips.us-east-2.amazonaws.com",
        "http://127.0.0.1:4566",
    ] == list(hosts.values())
    assert clients.at(Endpoint("us-east-1")) is clients.at(Endpoint("us-east-1"))
    assert 4 == len(clients)


def test_one_attempt_with_bounded_patience() -> None:
    """The scheduler owns retries, and written-off workers may hold connections too."""
    limits = StsLimits(connect_timeout=1.5, read_timeout=4.0, max_concurrency=16)
    config: Any = client_config(limits)  # its options are not in the stubs
    assert 1 == config.retries["total_max_attempts"]
    assert (1.5, 4.0) == (config.connect_timeout, config.read_timeout)
    assert 32 == config.max_pool_connections


def test_a_profiles_endpoint_goes_before_everybodys() -> None:
    """endpoint_url of the profile, then of `sts`, then none: the SDK's own."""
    profile = fakes.profile()
    own = replace(profile, endpoint_url="http://own")
    limits = StsLimits(endpoint_url="http://all")
    assert Endpoint("eu-west-1", "http://own") == Endpoint.of(own, limits)
    assert Endpoint("eu-west-1", "http://all") == Endpoint.of(profile, limits)
    assert Endpoint("eu-west-1") == Endpoint.of(profile, StsLimits())
