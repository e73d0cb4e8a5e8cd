"""AssumeRole made of the SDK's parts sends to STS what the SDK's client sends."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from urllib3 import HTTPHeaderDict

import fakes
from credfresh.settings import StsLimits
from credfresh.sts.assume import arguments
from credfresh.sts.clients import USER_AGENT, Clients, StsEndpoint
from credfresh.sts.connections import Answer
from credfresh.sts.direct import AssumeRole
from credfresh.sts.keys import SourceKeys

KEYS = SourceKeys("ASIAPARENT", "s3cret", "t0ken")
FULL = replace(
    fakes.profile(),
    external_id="id & more",
    policy='{"Version": "2012-10-17"}',
    policy_arns=("arn:aws:iam::aws:policy/One", "arn:aws:iam::aws:policy/Two"),
    session_tags=(("team", "ops é"), ("cost", "1=2")),
    transitive_tag_keys=("team",),
    source_identity="me",
)
FORGETFUL = 240
"""Seconds after which the most impatient address translators forget a silent connection."""

ANSWER = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>ASIANEW</AccessKeyId></Credentials></AssumeRoleResult>
</AssumeRoleResponse>"""
REFUSAL = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"


class Sent(Exception):  # noqa: N818 - no error
    """The request that would have been sent."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__()
        self.request = request


@dataclass
class Line:
    """Gives the same answer to every request, and keeps the last request."""

    status: int = 200
    body: bytes = ANSWER
    sent: tuple[Mapping[str, bytes], bytes] | None = None

    def post(self, headers: Mapping[str, bytes], body: bytes) -> Answer:
        self.sent = headers, body
        return Answer(self.status, HTTPHeaderDict({"Date": "now"}), self.body)


def on(line: Line, endpoint: StsEndpoint) -> AssumeRole:
    """Return the operation at an endpoint, over this line."""
    assume_role = Clients(StsLimits()).at(endpoint)
    vars(assume_role)["_connections"] = line
    return assume_role


def by_the_client(endpoint: StsEndpoint, keys: SourceKeys = KEYS) -> AWSPreparedRequest:
    """Return the request that the SDK's own client makes of the same arguments."""
    client = boto3.client(
        "sts",
        region_name=endpoint.region,
        endpoint_url=endpoint.url,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
        config=Config(user_agent=USER_AGENT, use_fips_endpoint=endpoint.fips or None),
    )

    def stop(request: AWSPreparedRequest, **_: object) -> None:
        raise Sent(request)

    client.meta.events.register("before-send.sts.AssumeRole", stop)
    with pytest.raises(Sent) as stopped:
        client.assume_role(**arguments(FULL))
    return stopped.value.request


def sent(endpoint: StsEndpoint, keys: SourceKeys = KEYS) -> AWSPreparedRequest:
    """Return our request of the same arguments."""
    line = Line()
    assume_role = on(line, endpoint)
    assume_role(arguments(FULL), keys)
    assert line.sent is not None
    headers, body = line.sent
    return AWSRequest("POST", assume_role.url, headers, body).prepare()


def told(request: AWSPreparedRequest) -> dict[str, object]:
    """Return all that a request says, without what depends on the second and on retries."""
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    return {
        "method": request.method,
        "url": request.url,
        "body": parse_qsl(_text(request.body), keep_blank_values=True),
        "headers": headers.keys() - {"amz-sdk-invocation-id", "amz-sdk-request"},
        "type": headers["content-type"],
        "token": headers["x-amz-security-token"],
        "signed": re.sub(r"Signature=\w+|amz-sdk-[\w-]+;", "", headers["authorization"]),
    }


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize(
    "endpoint",
    [
        StsEndpoint("eu-west-1"),
        StsEndpoint("us-east-2", fips=True),
        StsEndpoint("us-gov-west-1", fips=True),
        StsEndpoint("cn-north-1"),
        StsEndpoint("aws-global"),
        StsEndpoint("eu-west-1", "http://127.0.0.1:4566"),
        StsEndpoint("eu-west-1", "https://proxy.example/some/path"),
    ],
    ids=str,
)
def test_the_request_is_the_one_of_the_sdks_client(endpoint: StsEndpoint) -> None:
    """URL, arguments, signer and region are the same, and so is the global endpoint's region."""
    assert told(by_the_client(endpoint)) == told(sent(endpoint))


@pytest.mark.parametrize("region", ["us-iso-east-1", "us-isob-east-1", "eu-west-1"])
def test_requests_go_to_the_host_that_the_sdks_endpoint_rules_name(
    monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    """Signed requests go to the host that the SDK's rules of endpoints name."""
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    assert told(by_the_client(StsEndpoint(region))) == told(sent(StsEndpoint(region)))


def test_malformed_keys_are_sent_for_sts_to_refuse() -> None:
    """They were pasted with typographic quotes: STS refuses them, and no endpoint is blamed."""
    pasted = SourceKeys("\u201cAKIAPASTED\u201d", "s3cret", "t0ken\u200b")
    ours = sent(StsEndpoint("eu-west-1"), pasted)
    assert told(by_the_client(StsEndpoint("eu-west-1"), pasted)) == told(ours)


def test_the_user_agent_names_credfresh() -> None:
    """CloudTrail shows the user agent, which names credfresh."""
    assert USER_AGENT == _text(sent(StsEndpoint("eu-west-1")).headers["User-Agent"])


def test_the_answer_is_read_as_the_client_reads_it() -> None:
    """It has the headers of HTTP, from which the server's clock is known."""
    answer = on(Line(), StsEndpoint("eu-west-1"))(arguments(FULL), KEYS)
    assert {"AccessKeyId": "ASIANEW"} == answer["Credentials"]
    assert "now" == answer["ResponseMetadata"]["HTTPHeaders"]["date"]


def test_a_refusal_is_the_sdks_error() -> None:
    """Its response has what STS says, and the status."""
    with pytest.raises(ClientError) as refused:
        on(Line(403, REFUSAL), StsEndpoint("eu-west-1"))(arguments(FULL), KEYS)
    assert "AccessDenied" == refused.value.response["Error"]["Code"]
    assert 403 == refused.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_invalid_arguments_are_refused_before_anything_is_sent() -> None:
    """They fail the SDK's own validation, as with its client."""
    line = Line()
    with pytest.raises(ParamValidationError):
        on(line, StsEndpoint("eu-west-1"))({"RoleArn": 1}, KEYS)
    assert line.sent is None


def test_timeouts_and_limits_of_connections_are_as_configured() -> None:
    """Timeouts and number of connections are as configured; dead connections are noticed."""
    limits = StsLimits(connect_timeout=1.5, read_timeout=4.0, max_concurrency=16)
    pool = vars(vars(Clients(limits).at(StsEndpoint("eu-west-1")))["_connections"])["_pool"]
    assert (1.5, 4.0) == (pool.timeout.connect_timeout, pool.timeout.read_timeout)
    assert 32 == pool.pool.maxsize
    options = {name: value for _, name, value in pool.conn_kw["socket_options"]}
    assert 1 == options[socket.TCP_NODELAY] == options[socket.SO_KEEPALIVE]
    assert options[socket.TCP_KEEPIDLE] < FORGETFUL
    assert options[socket.TCP_KEEPINTVL] * options[socket.TCP_KEEPCNT] < FORGETFUL
