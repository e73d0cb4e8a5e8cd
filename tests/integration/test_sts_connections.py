"""Connections to one URL send and raise what the SDK's own session does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from credfresh.sts.connections import Connections
from programs import free_port

BODY = b"Action=AssumeRole"
ANSWER = b"HTTP/1.1 %s\r\nDate: now\r\nLocation: /other\r\nContent-Length: 2\r\n\r\nok"
TIMEOUT = (3.0, 0.5)


class Session(Protocol):
    """A session of the SDK, or ours."""

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request and return the answer."""


Made = Callable[..., Session]


def sdks(_url: str, **how: Any) -> Session:
    """Return the SDK's own session, which learns the URL from the request."""
    return URLLib3Session(**how)


class Recorder:
    """Keeps the bytes of each request, gives its `answer`, and hangs up where that has no length.

    It is silent if it `sleeps`.
    """

    def __init__(self, answer: bytes = ANSWER % b"200 OK", *, sleeps: bool = False) -> None:
        self._answer = answer
        self._sleeps = sleeps
        self.heard: list[bytes] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Listen for as long as the context; yields where."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=self._accept, args=(server,))
            thread.start()
            try:
                yield f"127.0.0.1:{server.getsockname()[1]}"
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as clients:
            while True:
                client = clients.enter_context(server.accept()[0])
                threading.Thread(target=self._serve, args=(client,)).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has enough, or the server ends
            while heard := client.recv(65536):
                while heard.startswith(b"POST") and not heard.endswith(BODY):
                    heard += client.recv(65536)
                self.heard.append(heard)
                if not self._sleeps:
                    client.sendall(self._answer)
                if b"Content-Length: 2" not in self._answer:
                    client.shutdown(socket.SHUT_RDWR)


def request(url: str) -> AWSPreparedRequest:
    """Return a request as AssumeRole's are."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "credfresh"}
    prepared = AWSRequest("POST", url, headers, BODY).prepare()
    prepared.stream_output = False
    return prepared


def session(made: Made, url: str) -> Session:
    """Return a session as for an endpoint of the SDK, with the proxies of the environment."""
    return made(
        url,
        verify=True,
        proxies=get_environ_proxies(url),
        timeout=TIMEOUT,
        max_pool_connections=4,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        client_cert=None,
        proxies_config=None,
    )


def said(made: Made, url: str, recorder: Recorder) -> tuple[int, bytes, list[bytes]]:
    """Return status, answer, and what a server hears of two requests."""
    http = session(made, url)
    http.send(request(url))
    answer = http.send(request(url))
    return answer.status_code, answer.content, recorder.heard


@pytest.mark.parametrize("path", ["", "/", "/some/path", "/path?and=query", "?query"])
@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"503 Service Unavailable"])
def test_a_request_is_sent_as_by_the_sdks_session(path: str, status: bytes) -> None:
    """Every byte is the same, whatever the path; no answer is followed or asked for again."""
    both = []
    recorder = Recorder(ANSWER % status)
    with recorder.running() as at:
        for made in (sdks, Connections):
            recorder.heard = []
            both.append(said(made, f"http://{at}{path}", recorder))
    assert both[0] == both[1]
    assert 2 == len(both[1][2])


@pytest.mark.parametrize("proxy", ["{}", "http://{}", "http://me:s3cret@{}"])
@pytest.mark.parametrize("url", ["http://sts.invalid/path?query", "http://sts.invalid:8080"])
def test_a_proxy_that_sends_on_hears_the_whole_url(
    monkeypatch: pytest.MonkeyPatch, proxy: str, url: str
) -> None:
    """Such a proxy is told the server and its own credentials, as by the SDK's session."""
    both = []
    recorder = Recorder()
    with recorder.running() as at:
        monkeypatch.setenv("HTTP_PROXY", proxy.format(at))
        for made in (sdks, Connections):
            recorder.heard = []
            both.append(said(made, url, recorder))
    assert both[0] == both[1]
    assert both[1][2][0].startswith(b"POST http://sts.invalid")
    assert ("s3cret" in proxy) == (b"Proxy-Authorization: Basic" in both[1][2][0])


def failed(made: Made, url: str) -> str:
    """Return what kind of error a request raises, and for what error of urllib3."""
    with pytest.raises(BotoCoreError) as error:
        session(made, url).send(request(url))
    cause = error.value.__cause__ or error.value.__context__
    return f"{type(error.value).__name__} of {type(cause).__name__}"


@pytest.mark.parametrize("proxy", ["http://{}", "http://me:s3cret@{}"])
def test_a_proxy_that_connects_gets_its_credentials(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """For https the proxy is asked for a tunnel, and its refusal is the SDK's error."""
    recorder = Recorder(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
    with recorder.running() as at:
        monkeypatch.setenv("HTTPS_PROXY", proxy.format(at))
        errors = [failed(made, "https://sts.invalid/") for made in (sdks, Connections)]
    assert errors[0] == errors[1]
    assert errors[1].startswith("ProxyConnectionError")
    theirs, ours = recorder.heard
    assert theirs == ours
    assert b"CONNECT sts.invalid:443" in ours
    assert ("s3cret" in proxy) == (b"Basic" in ours)


@pytest.mark.parametrize(
    ("recorder", "scheme", "kind"),
    [
        (Recorder(b""), "http", "ConnectionClosedError"),
        (Recorder(sleeps=True), "http", "ReadTimeoutError"),
        (Recorder(b"no HTTP"), "http", "ConnectionClosedError"),
        (Recorder(b"no TLS"), "https", "SSLError"),
        (Recorder(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000), "http", "ConnectionClosedError"),
    ],
)
def test_what_goes_wrong_is_the_sdks_error(recorder: Recorder, scheme: str, kind: str) -> None:
    """Connections that close, stay silent or speak something else raise what the SDK raises."""
    with recorder.running() as at:
        url = f"{scheme}://{at}/"
        theirs, ours = failed(sdks, url), failed(Connections, url)
    assert theirs == ours
    assert ours.startswith(kind)


@pytest.mark.parametrize(
    ("url", "proxy", "kind"),
    [
        ("http://127.0.0.1:{}/", None, "EndpointConnectionError"),
        ("http://sts.invalid/", None, "EndpointConnectionError"),
        ("http://sts.invalid/", "http://127.0.0.1:{}", "ProxyConnectionError"),
        ("https://sts.invalid/", "http://127.0.0.1:{}", "ProxyConnectionError"),
    ],
)
def test_a_server_that_is_not_there_is_the_sdks_error(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None, kind: str
) -> None:
    """So it is for a name that does not resolve, and for a proxy that is not there."""
    unresolved = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    real = socket.getaddrinfo

    def resolve(host: str, *others: Any, **more: Any) -> Any:
        if host.endswith(".invalid"):
            raise unresolved
        return real(host, *others, **more)

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    port = free_port()
    if proxy is not None:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, proxy.format(port))
    theirs, ours = (failed(made, url.format(port)) for made in (sdks, Connections))
    assert theirs == ours
    assert ours.startswith(kind)
