"""Which endpoint a client asks, and its limits of time and connections."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.utils import parse_timestamp

from credfresh import __version__
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.settings import StsLimits
from credfresh.sts.clients import USER_AGENT, Clients, StsEndpoint, client_config, timestamp


def test_the_regional_endpoint_is_asked_whatever_the_environment_prefers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is used unless another is configured; AWS_PROFILE and the legacy mode have no say."""
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    monkeypatch.setenv("AWS_DEFAULTS_MODE", "auto")
    clients = Clients(StsLimits())
    hosts = {
        endpoint: clients.at(endpoint).url
        for endpoint in (
            StsEndpoint("us-east-1"),
            StsEndpoint("cn-north-1"),
            StsEndpoint("us-east-2", fips=True),
            StsEndpoint("eu-west-1", "http://127.0.0.1:4566"),
        )
    }
    assert [
        "https://sts.us-east-1.amazonaws.com/",
        "https://sts.cn-north-1.amazonaws.com.cn/",
        "https://sts-fips.us-east-2.amazonaws.com/",
        "http://127.0.0.1:4566/",
    ] == list(hosts.values())
    assert clients.at(StsEndpoint("us-east-1")) is clients.at(StsEndpoint("us-east-1"))


def test_the_sdk_makes_one_attempt_with_bounded_timeouts() -> None:
    """The scheduler does the retries, and workers written off may hold connections too."""
    limits = StsLimits(connect_timeout=1.5, read_timeout=4.0, max_concurrency=16)
    config: Any = client_config(limits)  # its options are not in the stubs
    assert 1 == config.retries["total_max_attempts"]
    assert (1.5, 4.0) == (config.connect_timeout, config.read_timeout)
    assert 32 == config.max_pool_connections


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28T09:41:06Z",
        "2026-11-28T09:41:06.123Z",
        "2026-11-28T11:41:06+02:00",
        "20261128T094106Z",
        "Sat, 28 Nov 2026 09:41:06 GMT",
        "1795858866",
        "1795858866.5",
    ],
)
def test_a_time_is_read_as_botocore_reads_it(text: str) -> None:
    """The result is the same, and comes faster."""
    assert parse_timestamp(text) == timestamp(text)


@pytest.mark.parametrize("text", ["2026-11-28T09:41:06", "2026-11-28 09:41:06"])
def test_a_time_without_a_zone_is_utc(text: str) -> None:
    """Botocore would take the zone of this host, which no server knows."""
    assert datetime(2026, 11, 28, 9, 41, 6, tzinfo=UTC) == timestamp(text)


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01T00:00:00Z", "2026-11-28T25:00:00Z"])
def test_a_malformed_time_is_an_error(text: str) -> None:
    """The attempt fails as it does with botocore's own parser."""
    with pytest.raises(ValueError, match=r".*"):
        timestamp(text)


def test_the_user_agent_names_credfresh_first() -> None:
    """CloudTrail shows credfresh first, then the SDK."""
    assert USER_AGENT.startswith(f"credfresh/{__version__} Boto3/{boto3.__version__} Botocore/1")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_ENDPOINT_URL_STS", "127.0.0.1:1", "Invalid endpoint: 127.0.0.1:1"),
        ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "bogus", "account_id_endpoint_mode"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "bogus", "request_checksum_calculation"),
    ],
)
def test_a_bad_value_in_the_environment_needs_a_human(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """No client can be made with such a value; the hint says where to look."""
    monkeypatch.setenv(name, value)
    with pytest.raises(RenewalError, match=said) as failed:
        Clients(StsLimits()).at(StsEndpoint("eu-west-1"))
    assert Mend.HUMAN is failed.value.mend
    assert "AWS_* and *_PROXY in the environment" in str(failed.value.hint)


def test_a_client_that_cannot_be_made_is_a_failure_of_the_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No call was made: it does not prove endpoint and source well, and is told once."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "127.0.0.1:1")
    clients = Clients(StsLimits())
    for way in (clients.at, clients.unsigned):
        with pytest.raises(RenewalError) as failed:
            way(StsEndpoint("eu-west-1"))
        assert Scope.ENDPOINT is failed.value.scope


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:s3#cret@proxy.example:3128",
        "http://me:s3/cret@proxy.example:3128",
        "http://me:s3[cret@proxy.example:3128",
        "http://me:s3cr%C3%A9t@proxy.example:3128",
        "http://me:s3cret@proxy.example:port",
    ],
)
def test_a_proxy_that_cannot_be_one_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """With a `#` in the password, the parser takes what is before it for a port, and quotes it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(RenewalError) as failed:
        Clients(StsLimits()).at(StsEndpoint("eu-west-1"))
    assert "HTTPS_PROXY is not the URL of a proxy" in str(failed.value)
    assert "s3" not in str(failed.value)
    assert "\\x" not in str(failed.value)
    assert Mend.HUMAN is failed.value.mend
