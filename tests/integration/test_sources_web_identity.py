"""Keys for a token in a file: what goes to STS, and what a bad token or answer means."""

from __future__ import annotations

import os
import socket
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

import fakes
from aws_servers import Answer, AwsServer, Request, ScriptedServer, error_xml, grant_xml
from credfresh.answers import MOST_ANSWER
from credfresh.cli.clock import clock
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.principals import FileSource, WebIdentitySource
from credfresh.settings import StsLimits
from programs import free_port
from sources import Provide, ProviderAt, obtain, refused, signers


def test_web_identity_rereads_its_token(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """The request with the token is unsigned, and the next lookup reads the file again."""
    token = tmp_path / "token"
    token.write_text("first")

    def answer(request: Request) -> Answer:
        if request.form["Action"] != "AssumeRoleWithWebIdentity":
            return Answer(body=grant_xml())
        assert not request.key_id, "nothing signs it"
        operation = "AssumeRoleWithWebIdentity"
        body = grant_xml(key_id=f"ASIA{request.form['WebIdentityToken']}", lifetime=60,
                         operation=operation)  # fmt: skip
        return Answer(body=body)

    sts.script = answer
    source = WebIdentitySource(str(token), "arn:aws:iam::111111111111:role/oidc", "runner")
    provider = provide(source)
    obtain(provider)
    token.write_text("second")
    obtain(provider)
    assert ["", "ASIAfirst"] == signers(sts)[:2]
    assert "ASIAsecond" == signers(sts)[-1]
    assert "runner" == sts.requests[0].form["RoleSessionName"]


def test_a_refused_web_identity_is_a_failure_of_the_source(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """STS's message about the token is reported as a failure of the source."""
    (tmp_path / "token").write_text("a.b.c")
    sts.script = lambda _: Answer(400, error_xml("InvalidIdentityToken", "Token audience is wrong"))
    error = refused(provide(WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o")))
    assert ("source_refused", Mend.HUMAN) == (error.code, error.mend)
    assert "InvalidIdentityToken: Token audience is wrong" in error.message


def test_web_identity_fails_only_where_its_endpoint_does(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """Two profiles share a source but have different endpoints, and only one of these works.

    The failure of an endpoint is not blamed on the source.
    """
    (tmp_path / "token").write_text("a.b.c")

    def answer(request: Request) -> Answer:
        return Answer(body=grant_xml(operation=request.form["Action"]))

    sts.script = answer
    other = f"http://127.0.0.1:{free_port()}"
    provider = provide(WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o"))
    elsewhere = replace(fakes.profile(source="ci"), endpoint_url=other)

    with pytest.raises(RenewalError) as failed:
        provider.obtain(elsewhere, None)
    assert ("source_unreachable", Scope.ENDPOINT) == (failed.value.code, failed.value.scope)
    assert "endpoint_url" in str(failed.value.hint)
    obtain(provider)
    with pytest.raises(RenewalError) as failed_again:
        provider.obtain(elsewhere, None)
    # Keys from one endpoint are not used at the other.
    assert "source_unreachable" == failed_again.value.code
    obtain(provider)

    asked = [request.form["Action"] for request in sts.requests]
    assert ["AssumeRoleWithWebIdentity", "AssumeRole", "AssumeRole"] == asked


@pytest.mark.parametrize("body", [
    "<html>",
    grant_xml(operation="AssumeRoleWithWebIdentity") + " " * MOST_ANSWER,
    grant_xml(expiration="1800000000000", operation="AssumeRoleWithWebIdentity"),
], ids=["no XML", "no end", "milliseconds"])  # fmt: skip
def test_an_answer_that_is_not_understood_is_not_held_against_the_token_file(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, body: str
) -> None:
    """The file was read and sent, so the hint is that something other than STS answered."""
    (tmp_path / "token").write_text("a.b.c")
    sts.script = lambda _: Answer(body=body)
    source = WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o")
    error = refused(provide(source), Scope.ENDPOINT)
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert "cannot be understood" in error.message
    assert "something other than STS" in str(error.hint)


def test_an_answer_that_broke_off_concerns_the_endpoint(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """It is not taken for an answer of something other than STS."""
    (tmp_path / "token").write_text("a.b.c")
    half = grant_xml(operation="AssumeRoleWithWebIdentity")[:-40]
    sts.script = lambda _: Answer(body=half, length=5000)
    source = WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o")
    error = refused(provide(source), Scope.ENDPOINT)
    assert ("source_unreachable", Mend.TIME) == (error.code, error.mend)
    assert "cannot be understood" not in error.message


def test_a_failed_lookup_logs_nothing(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Botocore would log a traceback, with half an answer and its secret."""
    (tmp_path / "token").write_text("a.b.c")
    half = grant_xml(secret="CANARY", operation="AssumeRoleWithWebIdentity")[:-40]
    sts.script = lambda _: Answer(body=half)
    source = WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o")
    error = refused(provide(source), Scope.ENDPOINT)
    assert "CANARY" not in "".join(traceback.format_exception(error))
    assert [] == [r for r in caplog.records if r.levelname in {"WARNING", "ERROR"}]


def test_a_missing_token_file_is_named(provide: Provide, tmp_path: Path) -> None:
    """The error names the missing file."""
    missing = str(tmp_path / "gone")
    error = refused(provide(WebIdentitySource(missing, "arn:aws:iam::111111111111:role/o")))
    assert ("source_unreadable", missing in error.message) == (error.code, True)


@pytest.mark.parametrize(
    ("content", "says", "mend"),
    [
        (b"", "is empty", Mend.TIME),
        (b" \n", "is empty", Mend.TIME),
        (b"abc", "fewer than 4 characters", Mend.TIME),
        (b"SECRET\xff\xfe", "is not text", Mend.HUMAN),
        (b"SECRET\x00\x01", "is not text", Mend.HUMAN),
        (b"SECRET " * 10_000, "more than 65536 bytes", Mend.HUMAN),
    ],
    ids=["empty", "blank", "short", "not UTF-8", "control characters", "long"],
)
def test_what_is_wrong_in_a_token_file_is_said_and_not_quoted(  # noqa: PLR0917 - a case is three
    provide: Provide, sts: ScriptedServer, tmp_path: Path, content: bytes, says: str, mend: Mend
) -> None:
    """The error has the path, the flaw and who can mend it; no request is sent."""
    token = tmp_path / "token"
    token.write_bytes(content)
    error = refused(provide(WebIdentitySource(str(token), "arn:aws:iam::1:role/o")))
    assert ("source_unreadable", mend) == (error.code, error.mend)
    assert f"{token} " in error.message.rpartition(": ")[2]
    assert says in error.message
    assert "the bare token as text" in str(error.hint)
    told = "".join(traceback.format_exception(error))
    assert not any(found in told for found in ("SECRET", "abc"))
    assert [] == sts.requests


@pytest.mark.parametrize("kind", ["a FIFO", "a directory", "a socket", "a device"])
def test_a_token_file_that_is_no_regular_file_is_refused_at_once(
    provide: Provide, tmp_path: Path, kind: str
) -> None:
    """Opening a FIFO would wait for a writer, and reading a device might never end."""
    path = "/dev/zero" if kind == "a device" else str(tmp_path / "token")
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "a FIFO":
            os.mkfifo(path)
        elif kind == "a directory":
            Path(path).mkdir()
        elif kind == "a socket":
            listening.bind(path)
        error = refused(provide(WebIdentitySource(path, "arn:aws:iam::1:role/o")))
    assert time.monotonic() - began < 10.0
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert error.message.endswith(f"{path} is {kind}, not a regular file")
    assert "regular file" in str(error.hint)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("way", ["itself", "source_profile"])
def test_a_fifo_as_the_token_file_of_a_profile_is_refused_at_once(
    provide: Provide, tmp_path: Path, way: str
) -> None:
    """A profile may name a token file as well as the configuration can; so may the one above it."""
    os.mkfifo(tmp_path / "token")
    above = {
        "itself": "",
        "source_profile": "role_arn = arn:aws:iam::1:role/r\nsource_profile = up\n[profile up]\n",
    }
    (tmp_path / "file").write_text(
        f"[profile oidc]\n{above[way]}"
        f"role_arn = arn:aws:iam::1:role/o\nweb_identity_token_file = {tmp_path}/token\n"
    )
    error = refused(provide(FileSource(str(tmp_path / "file"), "oidc")))
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert error.message.endswith(f"{tmp_path}/token is a FIFO, not a regular file")


def test_web_identity_works_against_moto(moto: AwsServer, tmp_path: Path) -> None:
    """A server of another project grants the unsigned request, and AssumeRole with its keys."""
    (tmp_path / "token").write_text("a.b.c")
    provider = ProviderAt(
        moto.url,
        {"ci": WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::111111111111:role/oidc")},
        StsLimits(),
        clock=clock,
        environ={},
    )
    assert obtain(provider).credentials.access_key_id.startswith("ASIA")
