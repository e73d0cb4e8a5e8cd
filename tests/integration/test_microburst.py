"""Failures that microburst, another project's injector, makes between us and a good STS."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import fakes
from aws_servers import Answer, ScriptedServer, grant_xml, microburst, scripted
from credfresh.cli.clock import clock
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.model import Grant
from credfresh.principals import EnvironmentSource
from credfresh.settings import StsLimits
from sources import ProviderAt


@pytest.fixture(scope="module", name="sts")
def _sts() -> Iterator[ScriptedServer]:
    """Run an STS that grants every request."""
    with scripted(lambda _: Answer(body=grant_xml())) as server:
        yield server


@pytest.fixture(scope="module", name="proxy")
def _proxy(sts: ScriptedServer) -> Iterator[str]:
    """Run the injector in front of it; its first request reads the model of the service."""
    with microburst(sts.url) as url:
        obtain(url)
        yield url


def obtain(url: str, *, read_timeout: float = 30.0) -> Grant:
    """Make one attempt at a renewal."""
    provider = ProviderAt(
        url,
        {"ci": EnvironmentSource()},
        StsLimits(connect_timeout=2.0, read_timeout=read_timeout),
        clock=clock,
        environ={"AWS_ACCESS_KEY_ID": "AKIASOURCE", "AWS_SECRET_ACCESS_KEY": "secret"},
    )
    return provider.obtain(fakes.profile(source="ci"), None)


def inject(url: str, rule: Mapping[str, Any]) -> None:
    """Make the next AssumeRole, and only that, fail by this rule."""
    once = {"service": "sts", "operation": "AssumeRole", "times": 1, **rule}
    request = urllib.request.Request(
        f"{url}/_microburst/rules",
        json.dumps([once]).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert 200 == answer.status


@pytest.mark.parametrize(
    ("rule", "code", "mend", "scope"),
    [
        ({"error": {"code": "Throttling"}}, "Throttling", Mend.THROTTLE, Scope.PROFILE),
        (
            {"error": {"code": "RequestLimitExceeded"}},
            "RequestLimitExceeded",
            Mend.THROTTLE,
            Scope.PROFILE,
        ),
        (
            {"error": {"code": "InternalFailure", "status": 500}},
            "InternalFailure",
            Mend.TIME,
            Scope.ENDPOINT,
        ),
        (
            {"error": {"code": "ServiceUnavailable", "status": 503}},
            "ServiceUnavailable",
            Mend.TIME,
            Scope.ENDPOINT,
        ),
        ({"error": {"code": "AccessDenied"}}, "AccessDenied", Mend.HUMAN, Scope.PROFILE),
        (
            {"error": {"code": "RegionDisabledException"}},
            "RegionDisabledException",
            Mend.HUMAN,
            Scope.PROFILE,
        ),
        (
            {"error": {"code": "MalformedPolicyDocument"}},
            "MalformedPolicyDocument",
            Mend.HUMAN,
            Scope.PROFILE,
        ),
        (
            {"error": {"code": "PackedPolicyTooLarge"}},
            "PackedPolicyTooLarge",
            Mend.HUMAN,
            Scope.PROFILE,
        ),
        ({"error": {"code": "ExpiredToken"}}, "ExpiredToken", Mend.TIME, Scope.SOURCE),
        ({"reset": True}, "ConnectionClosedError", Mend.TIME, Scope.ENDPOINT),
        ({"timeout_ms": 3000}, "ReadTimeoutError", Mend.TIME, Scope.ENDPOINT),
        ({"response": {"abort_frac": 0.5}}, "ConnectionClosedError", Mend.TIME, Scope.ENDPOINT),
        ({"response": {"truncate_frac": 0.5}}, "ResponseParserError", Mend.TIME, Scope.ENDPOINT),
        ({"response": {"corrupt_bytes": 400}}, "ResponseParserError", Mend.TIME, Scope.ENDPOINT),
    ],
)
def test_each_failure_is_understood_and_the_next_attempt_succeeds(
    proxy: str, rule: Mapping[str, Any], code: str, mend: Mend, scope: Scope
) -> None:
    """Code, mend and scope fit the failure; the rule applies once, so the SDK did not retry."""
    inject(proxy, rule)

    with pytest.raises(RenewalError) as failed:
        obtain(proxy, read_timeout=1.0 if "timeout_ms" in rule else 30.0)

    error = failed.value
    assert (code, mend, scope) == (error.code, error.mend, error.scope)
    assert error.hint or mend is not Mend.HUMAN
    assert obtain(proxy).credentials.access_key_id == "ASIASTUB000000000001"
