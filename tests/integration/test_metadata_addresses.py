"""The metadata services at AWS's own addresses, in a network of loopback alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

import fakes
from aws_servers import Answer, Request, ScriptedServer, grant_xml, scripted
from credfresh.cli.clock import clock
from credfresh.errors import RenewalError, Scope
from credfresh.principals import Ec2Source, EcsSource, Principal
from credfresh.settings import StsLimits
from disk import needs_root
from loopback import also_at, loopback_only
from sources import ProviderAt

EC2 = "169.254.169.254"
ECS = "169.254.170.2"
EKS = "169.254.170.23"

pytestmark = needs_root
"""Making a network namespace needs root."""


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Enter a network of loopback alone, so that no request leaves the machine."""
    with loopback_only():
        for address in (EC2, ECS, EKS):
            also_at(address)
        yield


@pytest.fixture(name="sts")
def _sts(_alone: None) -> Iterator[ScriptedServer]:
    with scripted(lambda _: Answer(body=grant_xml())) as server:
        yield server


def renew(sts: ScriptedServer, source: Principal, environ: Mapping[str, str]) -> str:
    """Renew a profile of the source; return the key id that signed."""
    provider = ProviderAt(
        sts.url,
        {"ci": source},
        StsLimits(read_timeout=30.0),
        clock=clock,
        environ=environ,
    )
    provider.obtain(fakes.profile(source="ci"), None)
    return sts.requests[-1].key_id


def keys(key_id: str) -> Answer:
    """Answer with keys, as all of these services do."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 21_600))  # noqa: TID251 - the server's clock
    return Answer(
        body=f'{{"Code": "Success", "AccessKeyId": "{key_id}", "SecretAccessKey": "s",'
        f' "Token": "t", "Expiration": "{at}"}}'
    )


def imds(request: Request) -> Answer:
    """Answer as IMDSv2 does: keys only with a session token."""
    if request.method == "PUT":
        return Answer(body="imds-token")
    if request.headers.get("x-aws-ec2-metadata-token") != "imds-token":
        return Answer(401)
    role = request.path.rpartition("/")[2]
    return keys("ASIAIMDS") if role else Answer(body="build-host")


def test_the_instance_is_asked_at_its_own_address(sts: ScriptedServer) -> None:
    """Without any variable, 169.254.169.254 is asked, for a session token first."""
    with scripted(imds, (EC2, 80)) as metadata:
        assert "ASIAIMDS" == renew(sts, Ec2Source(), {})
    assert ["PUT", "GET", "GET"] == [request.method for request in metadata.requests]
    assert "21600" == metadata.requests[0].headers["x-aws-ec2-metadata-token-ttl-seconds"]


def test_a_token_that_never_arrives_is_given_up_and_the_hop_limit_is_named(
    sts: ScriptedServer,
) -> None:
    """Behind a hop limit of 1, as in a container, the answer to PUT never arrives."""
    lost = threading.Event()

    def silent(request: Request) -> Answer:
        if request.method == "PUT":
            lost.wait(30)
        return imds(request)

    with ExitStack() as stack:
        metadata = stack.enter_context(scripted(silent, (EC2, 80)))
        stack.callback(lost.set)
        began = time.monotonic()
        with pytest.raises(RenewalError) as failed:
            renew(sts, Ec2Source(), {})
        assert time.monotonic() - began < 20
        assert {"PUT"} == {request.method for request in metadata.requests}
    assert Scope.SOURCE == failed.value.scope
    assert "hop limit" in str(failed.value.hint)


def test_a_task_is_asked_at_the_containers_address(sts: ScriptedServer) -> None:
    """A relative URI is resolved against 169.254.170.2."""
    environ = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/task"}
    with scripted(lambda _: keys("ASIAECS"), (ECS, 80)) as metadata:
        assert "ASIAECS" == renew(sts, EcsSource(), environ)
    assert ["/v2/credentials/task"] == [request.path for request in metadata.requests]


def test_a_pod_is_asked_at_the_agents_address(sts: ScriptedServer) -> None:
    """EKS Pod Identity gives a full URI, which is plain HTTP and not on loopback."""
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{EKS}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "pod-token",
    }
    with scripted(lambda _: keys("ASIAEKS"), (EKS, 80)) as metadata:
        assert "ASIAEKS" == renew(sts, EcsSource(), environ)
    assert ["pod-token"] == [request.headers["authorization"] for request in metadata.requests]
