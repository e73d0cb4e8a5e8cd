"""Keys from the metadata services of an instance and of a container."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aws_servers import Answer, Request, ScriptedServer, error_xml, grant_xml, scripted
from credfresh.answers import MOST_ANSWER
from credfresh.errors import Mend
from credfresh.principals import DefaultChain, Ec2Source, EcsSource, FileSource, Principal
from credfresh.settings import StsLimits
from credfresh.sts.clients import Clients, StsEndpoint
from programs import free_port
from sources import Provide, container_json, denied, obtain, refused, signers


def imds(request: Request) -> Answer:
    """Answer as IMDSv2 does: no credentials without a session token."""
    role_path = "/latest/meta-data/iam/security-credentials/"
    if request.method == "PUT" and request.path == "/latest/api/token":
        assert "x-aws-ec2-metadata-token-ttl-seconds" in request.headers
        return Answer(body="imds-token")
    if request.headers.get("x-aws-ec2-metadata-token") != "imds-token":
        return Answer(401)
    if request.path == role_path:
        return Answer(body="build-host")
    return (
        Answer(body=container_json("ASIAIMDS"))
        if request.path.startswith(role_path)
        else Answer(404)
    )


def test_keys_of_an_instance_are_asked_for_through_imdsv2(
    provide: Provide, sts: ScriptedServer
) -> None:
    """A session token, the role and its keys are asked for, once for two renewals."""
    with scripted(imds) as metadata:
        provider = provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url})
        obtain(provider)
        obtain(provider)
        assert ["PUT", "GET", "GET"] == [r.method for r in metadata.requests]
    assert ["ASIAIMDS", "ASIAIMDS"] == signers(sts)
    assert "tok" == sts.requests[0].headers["x-amz-security-token"]


@pytest.mark.parametrize("kind", ["instance", "container"])
def test_a_replaced_role_of_an_instance_is_taken_over(
    provide: Provide, sts: ScriptedServer, kind: str
) -> None:
    """Who was denied attaches another role: the keys of the old one would last for hours."""
    attached = ["ASIAWRONG"]
    sts.script = lambda request: (
        Answer(body=grant_xml())
        if request.key_id == "ASIARIGHT"
        else Answer(403, error_xml("AccessDenied"))
    )

    def answer(request: Request) -> Answer:
        asked = imds(request) if kind == "instance" else Answer(body=container_json("ASIAIMDS"))
        return replace(asked, body=str(asked.body).replace("ASIAIMDS", attached[0]))

    with scripted(answer) as metadata:
        provider = (
            provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url})
            if kind == "instance"
            else provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": metadata.url})
        )
        denied(provider, "AccessDenied")
        attached[0] = "ASIARIGHT"
        obtain(provider)
    assert ["ASIAWRONG", "ASIAWRONG", "ASIARIGHT"] == signers(sts)


@pytest.mark.parametrize("place", ["container", "instance"])
def test_a_named_profile_without_keys_takes_none_of_instance_or_container(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """They are another principal's."""
    variable = {
        "container": "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "instance": "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    }[place]
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    (tmp_path / "file").write_text("[ci]\nregion = eu-west-1\n")
    answer = {"container": lambda _: Answer(body=container_json("ASIAOTHER")), "instance": imds}
    with scripted(answer[place]) as server:
        monkeypatch.setenv(variable, server.url)
        source = FileSource(str(tmp_path / "file"), "ci")
        assert "source_missing" == refused(provide(source, {variable: server.url})).code
        assert not server.requests


def test_the_instance_metadata_is_not_asked_for_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` would have every start wait for it."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    monkeypatch.setenv("AWS_DEFAULTS_MODE", "auto")
    with scripted(imds) as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        Clients(StsLimits()).at(StsEndpoint("eu-west-1"))
        assert not metadata.requests


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_instance_that_gives_no_token_is_not_asked_through_imdsv1(
    provide: Provide, status: int
) -> None:
    """IMDSv1 is never used: without a session token the source fails."""
    with scripted(lambda _: Answer(status)) as metadata:
        error = refused(provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}))
        assert {"PUT"} == {r.method for r in metadata.requests}
    assert error.code in {"source_failed", "source_missing"}
    assert "hop limit" in str(error.hint)


def test_an_instance_without_a_role_is_a_missing_source(provide: Provide) -> None:
    """If IMDS answers but no role is attached, the source is missing."""

    def bare(request: Request) -> Answer:
        return Answer(body="t") if request.method == "PUT" else Answer(404)

    with scripted(bare) as metadata:
        error = refused(provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}))
    assert "source_missing" == error.code


def test_without_instance_metadata_the_source_fails_within_20_s(provide: Provide) -> None:
    """If nothing listens, the source fails within 20 s."""
    url = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    refused(provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url}))
    assert time.monotonic() - began < 20.0


def test_keys_of_a_container_are_asked_for_with_the_token_of_its_file(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """The authorization token is read from its file, and keys are used until near expiry."""
    (tmp_path / "token").write_text("Bearer pod")
    with scripted(lambda _: Answer(body=container_json("ASIAECS"))) as container:
        provider = provide(
            EcsSource(),
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{container.url}/creds",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
            },
        )
        obtain(provider)
        obtain(provider)
        assert ["Bearer pod"] == [r.headers["authorization"] for r in container.requests]
    assert ["ASIAECS", "ASIAECS"] == signers(sts)


def test_keys_near_expiry_are_asked_for_again(provide: Provide, sts: ScriptedServer) -> None:
    """Container keys that last only a minute are fetched again before they sign again."""
    served = iter(["ASIAFIRST", "ASIASECOND", "ASIATHIRD"])
    lifetimes = iter([60.0, 6 * 3600.0])
    answers = (container_json(key, life) for key, life in zip(served, lifetimes, strict=False))
    with scripted(lambda _: Answer(body=next(answers))) as container:
        provider = provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url})
        obtain(provider)
        obtain(provider)
    assert "ASIASECOND" == signers(sts)[-1]


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({}, "source_missing"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, "source_failed"),
    ],
)
def test_without_a_container_endpoint_the_source_is_missing(
    provide: Provide, environ: dict[str, str], code: str
) -> None:
    """Without the variable the source is missing; plain HTTP to another host is refused."""
    assert code == refused(provide(EcsSource(), environ)).code


@pytest.mark.parametrize(
    "body",
    ["null", "[]", '{"AccessKeyId": "ASIA"}', container_json("ASIA").replace("Z", "")],
    ids=["null", "list", "half", "no zone"],
)
def test_a_malformed_answer_of_the_container_endpoint_is_blamed(
    provide: Provide, body: str
) -> None:
    """The message blames the answer, not the address."""
    with scripted(lambda _: Answer(body=body)) as container:
        error = refused(provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url}))
    assert "source_failed" == error.code
    assert "what it gave cannot be understood" in error.message


def by_credential_source(path: Path, word: str) -> FileSource:
    """Return a profile of a file whose role is assumed with keys of the surroundings."""
    path.write_text(f"[profile ci]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = {word}\n")
    return FileSource(str(path), "ci")


@pytest.mark.parametrize("place", ["container", "instance"])
@pytest.mark.parametrize("way", ["named", "chain", "credential_source"])
def test_an_endless_answer_of_instance_or_container_is_not_read(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, way: str
) -> None:
    """An answer longer than 1 MiB fails the source, whatever has sent it."""
    variable, word = {
        "container": ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "EcsContainer"),
        "instance": ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "Ec2InstanceMetadata"),
    }[place]
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    source: dict[str, Principal] = {
        "named": EcsSource() if place == "container" else Ec2Source(),
        "chain": DefaultChain(),
        "credential_source": by_credential_source(tmp_path / "config", word),
    }
    with scripted(lambda _: Answer(body="x" * (MOST_ANSWER + 1))) as server:
        monkeypatch.setenv(variable, server.url)
        error = refused(provide(source[way], {variable: server.url}))
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert "cannot be understood: it is longer than 1 MiB" in error.message


@pytest.mark.timeout(20)
@pytest.mark.parametrize("way", ["named", "default", "credential_source"])
def test_a_fifo_in_the_place_of_the_containers_token_holds_up_nothing(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Opening the FIFO would wait for a writer, and cost a worker at each attempt."""
    monkeypatch.chdir(tmp_path)  # of long paths not all is told
    source: dict[str, Principal] = {
        "named": EcsSource(),
        "default": DefaultChain(),
        "credential_source": by_credential_source(Path("config"), "EcsContainer"),
    }
    os.mkfifo("token")
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{free_port()}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "token",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    error = refused(provide(source[way], environ))
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert error.message.endswith(": token: Not a regular file")
