"""The simulator's answers compared with moto's, field by field.

moto is another project's idea of STS; what both agree on is unlikely to be our invention.
"""

from __future__ import annotations

import http.client
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from aws_servers import AwsServer
from credfresh.cli.clock import clock
from credfresh.simulator import Simulator, User
from simulated import client

USER_ARN = "arn:aws:iam::123456789012:user/ci"
ROLE_ARN = "arn:aws:iam::123456789012:role/deploy"
"""A role in moto's own account, so that both can return the same ARNs."""

Parameters = dict[str, Any]
PLAIN: Parameters = {"RoleArn": ROLE_ARN, "RoleSessionName": "build-7"}
FULL: Parameters = PLAIN | {
    "DurationSeconds": 900,
    "ExternalId": "012345670123",
    "Policy": '{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}',
    "Tags": [{"Key": "team", "Value": "release"}],
    "TransitiveTagKeys": ["team"],
}


@pytest.fixture
def sts() -> Iterator[Simulator]:
    """Run a simulator that has the role."""
    with Simulator(clock) as simulator:
        simulator.add_role(ROLE_ARN, trusts={"*"})
        yield simulator


@pytest.fixture(scope="session", autouse=True)  # like moto itself, which refuses a second one
def _role(moto: AwsServer) -> None:
    """Add the role to moto, which makes up ids of another form for unknown roles."""
    assert ROLE_ARN == moto.role("deploy", {"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def user(sts: Simulator) -> User:
    """Return the caller."""
    return sts.add_user(USER_ARN)


def shape(value: object, path: str = "") -> dict[str, str]:
    """Describe an answer: each path with its type, lengths of ids, and the form of ARNs."""
    if isinstance(value, dict):
        return {
            where: what
            for key, inner in value.items()
            if key != "ResponseMetadata"
            for where, what in shape(inner, f"{path}.{key}").items()
        }
    return {path: _form(value)}


def _form(value: object) -> str:
    if isinstance(value, datetime):
        # moto adds microseconds, which the real service does not.
        return f"datetime, utc offset {value.utcoffset()}"
    if not isinstance(value, str):
        return type(value).__name__
    # Random parts are replaced by prefix and length; what the caller sent stays.
    text = re.sub(r"(AROA|AIDA|ASIA|AKIA)[A-Z0-9]+", lambda id_: f"{id_[1]}*{len(id_[0])}", value)
    if re.fullmatch(r"[A-Za-z0-9+/=]{40}", text):
        return "40 base64 characters"
    if re.fullmatch(r"[A-Za-z0-9+/=]{350,}", text):
        return "a long base64 token"
    return text


def raw(url: str, caller: User, parameters: dict[str, str]) -> tuple[Any, ET.Element]:
    """Send a signed AssumeRole by hand; return the response's headers and its document."""
    body = urlencode({"Action": "AssumeRole", "Version": "2011-06-15"} | parameters)
    host = url.removeprefix("http://")
    request = AWSRequest("POST", url + "/", {"Host": host}, body)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    keys = Credentials(caller.access_key_id, caller.secret_access_key)
    SigV4Auth(keys, "sts", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("POST", "/", body, dict(request.headers.items()))
        response = connection.getresponse()
        return response.headers, ET.fromstring(response.read())  # from servers of this test
    finally:
        connection.close()


def leaves(element: ET.Element, path: str = "") -> set[str]:
    """Return the path of every element that holds text, with its namespace."""
    where = f"{path}/{element.tag}"
    if len(element) == 0:
        return {where}
    return set().union(*(leaves(child, where) for child in element))


@pytest.mark.parametrize("parameters", [PLAIN, FULL], ids=["plain", "full"])
def test_assume_role_answers_as_moto_does(
    sts: Simulator, user: User, moto: AwsServer, parameters: Parameters
) -> None:
    """For botocore, keys, types, ARNs, id prefixes, lengths and time format are equal."""
    ours = client(sts, user).assume_role(**parameters)
    theirs = moto.client("sts").assume_role(**parameters)
    assert shape(theirs) == shape(ours)


def test_assume_role_is_the_same_document_as_motos(
    sts: Simulator, user: User, moto: AwsServer
) -> None:
    """The XML documents agree in every element and namespace, before an SDK reads them."""
    parameters = {"RoleArn": ROLE_ARN, "RoleSessionName": "build-7"}
    _, ours = raw(sts.url, user, parameters)
    _, theirs = raw(moto.url, User(USER_ARN, moto.key_id, moto.secret), parameters)
    assert leaves(theirs) == leaves(ours)
    expiration = next(element.text for element in ours.iter() if element.tag.endswith("Expiration"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", expiration or "")


def test_web_identities_are_answered_as_moto_does(
    sts: Simulator, user: User, moto: AwsServer
) -> None:
    """All of moto's fields have the same form; only ours describe the identity, too."""
    sts.add_web_identity("token-1", provider="oidc.example", subject="repo:a/b")
    web: Parameters = PLAIN | {"WebIdentityToken": "token-1"}
    ours = shape(client(sts, user).assume_role_with_web_identity(**web))
    theirs = shape(moto.client("sts").assume_role_with_web_identity(**web))
    extra = {".SubjectFromWebIdentityToken", ".Audience", ".Provider"}
    assert extra == set(ours) - set(theirs)
    # moto's AssumedRoleId is a fixed text here, not an id.
    theirs[".AssumedRoleUser.AssumedRoleId"] = "AROA*21:build-7"
    assert theirs == {path: form for path, form in ours.items() if path not in extra}


def test_the_caller_of_a_session_is_as_moto_says(
    sts: Simulator, user: User, moto: AwsServer
) -> None:
    """GetCallerIdentity agrees for the keys that AssumeRole returned."""
    answers = []
    for caller, url in ((client(sts, user), sts.url), (moto.client("sts"), moto.url)):
        keys = caller.assume_role(**PLAIN)["Credentials"]
        session = boto3.Session().client(
            "sts",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        answers.append(shape(session.get_caller_identity()))
    ours, theirs = answers
    assert theirs == ours
