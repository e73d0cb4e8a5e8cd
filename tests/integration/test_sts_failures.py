"""Every way in which a call to STS can fail, on real sockets: code, scope, hint and bounds."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import fakes
from aws_servers import Answer, ScriptedServer, error_xml, grant_xml
from credfresh.answers import MOST_ANSWER
from credfresh.cli.clock import clock
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.model import Instant
from credfresh.principals import EnvironmentSource
from credfresh.settings import StsLimits
from programs import free_port
from sources import ProviderAt

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIASOURCE", "AWS_SECRET_ACCESS_KEY": SECRET}
TOKEN = "IQoJb3JpZ2luX2VjE" * 40


def failure(url: str, *, slow: float = 0.0, patience: float = 10.0) -> RenewalError:
    """Return the error of an attempt at `url` whose timeouts are `patience` seconds.

    `slow` is by how many seconds our wall clock is behind. No secret may be in the error.
    """

    def behind() -> Instant:
        true = clock()
        return Instant(true.wall - slow, true.boot)

    provider = ProviderAt(
        url,
        {"ci": EnvironmentSource()},
        StsLimits(connect_timeout=patience, read_timeout=patience),
        clock=behind,
        environ=KEYS,
    )
    profile = fakes.profile(source="ci")
    with pytest.raises(RenewalError) as failed:
        provider.obtain(profile, None)
    error = failed.value
    told = "".join(traceback.format_exception(error)) + repr(error) + str(error.hint)
    assert SECRET not in told
    assert TOKEN[:30] not in told
    assert "\n" not in error.message
    return error


def told(error: RenewalError) -> tuple[str, Mend, Scope]:
    """Return the attributes by which the policy decides."""
    return error.code, error.mend, error.scope


@contextlib.contextmanager
def listening(reply: bytes | None) -> Iterator[str]:
    """Accept one connection; send `reply` and close it, or send nothing if it is None."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    if reply is not None:
                        connection.recv(65536)
                        connection.sendall(reply)
                    else:
                        done.wait(5)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        done.set()
    thread.join()


def test_a_refused_connection_concerns_the_endpoint() -> None:
    """If nothing listens, every profile of the endpoint is concerned."""
    error = failure(f"http://127.0.0.1:{free_port()}")
    assert ("EndpointConnectionError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert "127.0.0.1" in error.message


def test_a_name_that_does_not_resolve_gets_a_hint_about_dns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message says that the name does not resolve, and the hint mentions DNS."""

    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no query leaves the machine
    error = failure("http://sts.invalid")
    assert ("EndpointConnectionError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert "does not resolve" in error.message
    assert "DNS" in str(error.hint)


def test_a_connection_closed_without_an_answer_concerns_the_endpoint(sts: ScriptedServer) -> None:
    """A connection closed without an answer concerns the endpoint."""
    sts.script = lambda _: Answer(body=None)
    assert ("ConnectionClosedError", Mend.TIME, Scope.ENDPOINT) == told(failure(sts.url))


def test_a_reset_in_the_middle_of_the_answer_concerns_the_endpoint() -> None:
    """A reset while the answer is read concerns the endpoint."""
    with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n<Assume") as url:
        error = failure(url)
    assert (Mend.TIME, Scope.ENDPOINT) == (error.mend, error.scope)


def test_a_truncated_answer_concerns_the_endpoint_and_is_not_quoted(sts: ScriptedServer) -> None:
    """A truncated answer concerns the endpoint, and secrets in it are not quoted."""
    body = grant_xml(secret=SECRET, token=TOKEN)[:600]
    sts.script = lambda _: Answer(body=body, length=5000)
    assert ("ConnectionClosedError", Mend.TIME, Scope.ENDPOINT) == told(failure(sts.url))


@pytest.mark.parametrize("head", [
    "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5000000\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "HTTP/1.1 502 Bad Gateway\r\n\r\n",
], ids=["length", "chunked", "negative chunk", "refusal"])  # fmt: skip
def test_an_answer_without_end_is_not_waited_for(head: str) -> None:
    """An answer over 1 MiB is not read on: each worker could hold one in memory."""
    with listening(head.encode() + bytes(16 * MOST_ANSWER)) as url:
        error = failure(url)
    assert ("AnswerTooLongError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert error.message.endswith("it is longer than 1 MiB")
    assert "something other than STS" in str(error.hint)


@pytest.mark.parametrize("size", ["-5", "five", ""])
def test_a_chunk_without_a_length_concerns_the_endpoint(size: str) -> None:
    """What follows such a chunk is not taken for its content."""
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with listening(f"{head}{size}\r\n<Assume".encode()) as url:
        error = failure(url)
    assert ("ConnectionClosedError", Mend.TIME, Scope.ENDPOINT) == told(error)


def test_silence_ends_with_the_read_timeout() -> None:
    """A server that accepts and stays silent costs one read timeout, without retries."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        error = failure(f"http://127.0.0.1:{silent.getsockname()[1]}", patience=0.3)
        took = time.monotonic() - began
        silent.accept()[0].close()
        silent.setblocking(False)  # noqa: FBT003 - the standard library's signature
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert ("ReadTimeoutError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert took < 10.0


def test_a_black_hole_ends_with_the_connect_timeout() -> None:
    """If a full backlog drops the handshake, the connect timeout ends the attempt."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)  # noqa: FBT003 - the standard library's signature
            client.connect_ex(full.getsockname())
        began = time.monotonic()
        error = failure(f"http://127.0.0.1:{full.getsockname()[1]}", patience=0.3)
    assert ("ConnectTimeoutError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert time.monotonic() - began < 10.0


def test_a_failed_tls_handshake_gets_a_hint_about_the_bundle() -> None:
    """The hint of a failed TLS handshake mentions AWS_CA_BUNDLE."""
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        error = failure(url.replace("http:", "https:"))
    assert ("SSLError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert "AWS_CA_BUNDLE" in str(error.hint)


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("missing.pem", "No such file or directory"),
        ("directory", "Is a directory"),
        ("empty.pem", "no certificate in it"),
        ("half.pem", "a certificate in it cannot be read"),
    ],
)
def test_an_unreadable_bundle_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, why: str
) -> None:
    """The message quotes the variable, its file and the reason."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty.pem").touch()
    (tmp_path / "half.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n")
    monkeypatch.setenv(name, f"{tmp_path}/{file}")
    with listening(None) as url:
        error = failure(url.replace("http:", "https:"))
    assert ("SSLError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert error.message.endswith(f"failed: {name}={tmp_path}/{file}: {why}")
    assert "certificates" in str(error.hint)


@pytest.mark.parametrize(
    ("reply", "what", "hint"),
    [
        (
            b"HTTP/1.1 407 \x1b[31m",
            " refuses a connection to https://sts.invalid/: HTTP 407",
            "user",
        ),
        (b"HTTP/1.0 503 Busy", " refuses a connection to https://sts.invalid/: HTTP 503", "allows"),
    ],
)
def test_what_a_proxy_says_to_connect_is_told_by_its_status(
    monkeypatch: pytest.MonkeyPatch, reply: bytes, what: str, hint: str
) -> None:
    """A missing password is a matter of the proxy's URL, and other refusals of the proxy."""
    with listening(reply + b"\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("//", "//me:s3cretpw@"))
        error = failure("https://sts.invalid")
    assert ("ProxyConnectionError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert f"the proxy{what}" == error.message
    assert hint in str(error.hint)
    assert "s3cretpw" not in error.message + str(error.hint)


def test_a_password_that_a_proxy_of_plain_http_misses_belongs_into_its_url(
    sts: ScriptedServer,
) -> None:
    """Without TLS the proxy answers in the place of STS."""
    sts.script = lambda _: Answer(407, "<html>who are you")
    error = failure(sts.url)
    assert ("HTTP407", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert "HTTP_PROXY" in str(error.hint)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_not_said_to_refuse(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Whoever looks at what the proxy allows would look in vain."""
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{free_port()}")
    error = failure(f"{scheme}://sts.invalid")
    assert ("ProxyConnectionError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert "the proxy cannot be reached" == error.message


def test_a_proxy_of_plain_http_that_hangs_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It said nothing that could be told."""
    with listening(b"") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        error = failure("http://sts.invalid")
    assert ("ProxyConnectionError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert "the proxy does not let us through" == error.message


def test_the_url_of_a_proxy_that_wrongly_begins_with_https_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its variable is HTTPS_PROXY, but most proxies speak no TLS themselves."""
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("http:", "https:"))
        error = failure("https://sts.invalid")
    assert ("ProxyConnectionError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert "TLS with the proxy itself failed" == error.message
    assert "http://" in str(error.hint)


def test_an_untrusted_certificate_is_refused_with_the_reason(tmp_path: Path) -> None:
    """A self-signed certificate is refused, and the message says why."""
    certificate = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection, context.wrap_socket(connection, server_side=True):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        error = failure(f"https://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert ("SSLError", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert error.message.endswith(": its certificate is not trusted: self-signed certificate")


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalFailure"), (503, "ServiceUnavailable"), (502, "BadGateway")],
)
def test_a_status_of_5xx_concerns_the_endpoint(sts: ScriptedServer, status: int, code: str) -> None:
    """Status 5xx concerns the endpoint, and time mends it."""
    sts.script = lambda _: Answer(status, error_xml(code))
    assert (code, Mend.TIME, Scope.ENDPOINT) == told(failure(sts.url))


@pytest.mark.parametrize(
    "code",
    ["Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException",
     "SlowDown"],
)  # fmt: skip
def test_throttling_is_recognised_in_every_spelling(sts: ScriptedServer, code: str) -> None:
    """Throttling, by whatever code, concerns the profile, and has no time if STS names none."""
    sts.script = lambda _: Answer(400, error_xml(code, "Rate exceeded"))
    error = failure(sts.url)
    assert (code, Mend.THROTTLE, Scope.PROFILE) == told(error)
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"x-amz-retry-after": "1500"}, 1.5),
        ({"x-amz-retry-after": "1500", "Retry-After": "7"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-4"}, None),
        ({"Retry-After": "9" * 400}, None),
    ],
)
def test_the_time_that_a_throttling_answer_names_is_understood(
    sts: ScriptedServer, headers: dict[str, str], seconds: float | None
) -> None:
    """Retry-After is in seconds, AWS's own header in milliseconds; nonsense is ignored."""
    sts.script = lambda _: Answer(400, error_xml("Throttling"), headers)
    assert seconds == failure(sts.url).retry_after


def test_a_date_in_retry_after_is_understood(sts: ScriptedServer) -> None:
    """A date in Retry-After is converted to seconds from now."""
    at = formatdate(time.time() + 30, usegmt=True)  # noqa: TID251 - the server's clock
    sts.script = lambda _: Answer(503, error_xml("SlowDown"), {"Retry-After": at})
    assert failure(sts.url).retry_after == pytest.approx(30, abs=10)


@pytest.mark.parametrize(
    ("code", "mend", "scope", "hint"),
    [
        ("AccessDenied", Mend.HUMAN, Scope.PROFILE, "docs/aws-setup.md"),
        ("ValidationError", Mend.HUMAN, Scope.PROFILE, "MaxSessionDuration"),
        ("RegionDisabledException", Mend.HUMAN, Scope.PROFILE, "activate STS"),
        ("MalformedPolicyDocument", Mend.HUMAN, Scope.PROFILE, "policy"),
        ("PackedPolicyTooLarge", Mend.HUMAN, Scope.PROFILE, "session_tags"),
        ("ExpiredToken", Mend.TIME, Scope.SOURCE, "source ci"),
        ("InvalidClientTokenId", Mend.HUMAN, Scope.SOURCE, "source ci"),
        ("UnrecognizedClientException", Mend.HUMAN, Scope.SOURCE, "source ci"),
        ("SignatureDoesNotMatch", Mend.HUMAN, Scope.SOURCE, "secret access key of source ci"),
        ("IDPCommunicationError", Mend.TIME, Scope.SOURCE, "identity provider"),
        ("InvalidIdentityToken", Mend.HUMAN, Scope.SOURCE, "token"),
        ("InternalFailure", Mend.TIME, Scope.ENDPOINT, "Health Dashboard"),
        ("NeverHeardOf", Mend.TIME, Scope.PROFILE, "None"),
    ],
)
def test_each_refusal_of_sts_has_code_mend_scope_and_hint(
    sts: ScriptedServer, code: str, mend: Mend, scope: Scope, hint: str
) -> None:
    """Each refusal has its code, who can mend it, whom it concerns, and a hint."""
    sts.script = lambda _: Answer(403, error_xml(code))
    error = failure(sts.url)
    assert (code, mend, scope) == told(error)
    assert hint in str(error.hint)
    assert "said so" == error.message


@pytest.mark.parametrize("slow", [7200.0, -7200.0])
def test_a_wrong_clock_is_blamed_for_a_refused_signature(sts: ScriptedServer, slow: float) -> None:
    """If a signature is refused while clocks differ by two hours, the clock is blamed."""
    sts.script = lambda _: Answer(403, error_xml("SignatureDoesNotMatch"))
    error = failure(sts.url, slow=slow)
    assert ("SignatureDoesNotMatch", Mend.TIME, Scope.ENDPOINT) == told(error)
    assert error.message.startswith("clock: this host's clock is 7")
    assert ("behind" if slow > 0 else "ahead of") in error.message


def test_a_wrong_clock_is_blamed_for_an_expired_signature_even_without_a_date(
    sts: ScriptedServer,
) -> None:
    """STS's own text about an expired signature suffices."""
    text = "Signature expired: 20261124T120000Z is now earlier than 20261124T140000Z"
    sts.script = lambda _: Answer(403, error_xml("SignatureDoesNotMatch", text), date="")
    assert failure(sts.url).message.startswith("clock: ")


def test_a_refusal_in_the_style_of_s3_is_understood(sts: ScriptedServer) -> None:
    """Some STS servers answer in the style of S3, or without a code."""
    sts.script = lambda _: Answer(
        403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    )
    error = failure(sts.url)
    assert (Mend.HUMAN if error.code == "AccessDenied" else Mend.TIME) == error.mend
    assert error.code in {"AccessDenied", "HTTP403"}
    sts.script = lambda _: Answer(418, "<Teapot/>")
    assert ("HTTP418", Mend.TIME, Scope.ENDPOINT) == told(failure(sts.url))


@pytest.mark.parametrize(
    "body",
    ["<html><body>502 Bad Gateway", "not XML", grant_xml(secret=SECRET, token=TOKEN)[:700]],
)
def test_garbage_is_not_repeated(sts: ScriptedServer, body: str) -> None:
    """Botocore's error quotes an answer that cannot be parsed; ours does not."""
    sts.script = lambda _: Answer(body=body)
    error = failure(sts.url)
    assert ("ResponseParserError", Mend.TIME, Scope.ENDPOINT) == told(error)


@pytest.mark.parametrize("body", ["", "<html><hr>Too Many Requests", '{"message": "slow"}'])
def test_a_refusal_whose_body_cannot_be_read_is_told_by_its_status(
    sts: ScriptedServer, body: str
) -> None:
    """429 is throttling; 404 and a redirect, which is not followed, concern the endpoint."""
    sts.script = lambda _: Answer(429, body, {"Retry-After": "7"})
    slow = failure(sts.url)
    assert ("HTTP429", Mend.THROTTLE, 7.0) == (slow.code, slow.mend, slow.retry_after)
    for status in (307, 404):
        sts.script = lambda _, status=status: Answer(status, body, {"Location": sts.url})  # type: ignore[misc]
        assert (f"HTTP{status}", Mend.TIME, Scope.ENDPOINT) == told(failure(sts.url))
    assert 3 == len(sts.requests), "no redirect is followed: the request is signed"


@pytest.mark.parametrize("expiration", ["1800000000000", "2027-13-45T00:00:00Z", SECRET])
def test_an_unreadable_expiration_is_not_quoted(sts: ScriptedServer, expiration: str) -> None:
    """An unreadable Expiration is not quoted; something other than STS may have answered."""
    sts.script = lambda _: Answer(body=grant_xml(expiration=expiration))
    error = failure(sts.url)
    assert (Mend.TIME, Scope.ENDPOINT) == told(error)[1:]
    assert "the answer of STS cannot be understood: a time in it cannot be read" == error.message
    assert "something other than STS" in str(error.hint)


def test_a_message_that_quotes_the_token_is_cleaned(sts: ScriptedServer) -> None:
    """STS's explanation of a wrong signature contains the session token, which is cut out."""
    text = f"It is wrong. The Canonical String was 'x-amz-security-token:{TOKEN}' {SECRET}"
    sts.script = lambda _: Answer(403, error_xml("SignatureDoesNotMatch", text))
    assert "It is wrong." == failure(sts.url).message


def test_arguments_that_the_sdk_refuses_need_a_human(sts: ScriptedServer) -> None:
    """Parameters that the SDK refuses need a human, and nothing is sent."""
    provider = ProviderAt(
        sts.url, {"ci": EnvironmentSource()}, StsLimits(), clock=clock, environ=KEYS
    )
    with pytest.raises(RenewalError) as failed:
        provider.obtain(fakes.profile(source="ci", duration=1), None)
    assert ("ParamValidationError", Mend.HUMAN, Scope.NONE) == told(failed.value)
    assert [] == sts.requests


def _self_signed(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path
