"""Connections to one URL send and raise what the SDK's own session does."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from bao import Certificates
from credfresh.settings import StsLimits
from credfresh.sts.connections import Connections
from programs import free_port

BODY = b"Action=AssumeRole"
HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "credfresh"}
ANSWER = b"HTTP/1.1 %s\r\nDate: now\r\nLocation: /other\r\nContent-Length: 2\r\n\r\nok"
LIMITS = StsLimits(connect_timeout=3.0, read_timeout=0.5)

Post = Callable[[], tuple[int, str, bytes]]
"""Sends one request, and returns status, date and body of the answer."""


def sdks(url: str) -> Post:
    """Return what sends requests by the SDK's own session."""
    timeout: Any = (3.0, 0.5)  # the stubs know one for both
    verify: Any = os.environ.get("REQUESTS_CA_BUNDLE") or True  # and no bundle
    session = URLLib3Session(proxies=get_environ_proxies(url), timeout=timeout, verify=verify)

    def post() -> tuple[int, str, bytes]:
        answer = session.send(AWSRequest("POST", url, HEADERS, BODY).prepare())
        return answer.status_code, answer.headers["date"], answer.content

    return post


def ours(url: str) -> Post:
    """Return what sends requests by ours."""
    connections = Connections(url, LIMITS, None)

    def post() -> tuple[int, str, bytes]:
        answer = connections.post({name: text.encode() for name, text in HEADERS.items()}, BODY)
        return answer.status, answer.headers.get("date", ""), answer.body

    return post


def request(client: socket.socket) -> bytes:
    """Return the next request, with its body if it is no CONNECT; empty if the client hung up."""
    heard = more = client.recv(65536)
    while more and heard.startswith(b"POST") and not heard.endswith(BODY):
        heard += (more := client.recv(65536))
    return heard


class Recorder:
    """Keeps the bytes of each request, gives its `answer`, and hangs up where that has no length.

    It is silent if it `sleeps`; with `tls` it speaks that.
    """

    def __init__(
        self,
        answer: bytes = ANSWER % b"200 OK",
        *,
        sleeps: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._answer = answer
        self._sleeps = sleeps
        self._tls = tls
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
            if self._tls is None:
                self._talk(client)
            else:
                with self._tls.wrap_socket(client, server_side=True) as opened:
                    self._talk(opened)

    def _talk(self, client: socket.socket) -> None:
        while heard := request(client):
            self.heard.append(heard)
            if not self._sleeps:
                client.sendall(self._answer)
            if b"Content-Length: 2" not in self._answer:
                client.shutdown(socket.SHUT_RDWR)


def said(make: Callable[[str], Post], url: str, recorder: Recorder) -> list[object]:
    """Return the answers to two requests, and what a server hears of them: lines in any order."""
    post = make(url)
    recorder.heard = []
    answers = [post(), post()]
    return [*answers, *(sorted(heard.split(b"\r\n")) for heard in recorder.heard)]


@pytest.mark.parametrize("path", ["", "/", "/some/path", "/path?and=query", "?query"])
@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"503 Service Unavailable"])
def test_a_request_is_sent_as_by_the_sdks_session(path: str, status: bytes) -> None:
    """Every byte is the same, whatever the path; no answer is followed or asked for again."""
    recorder = Recorder(ANSWER % status)
    with recorder.running() as at:
        theirs, our = (said(make, f"http://{at}{path}", recorder) for make in (sdks, ours))
    assert theirs == our
    assert 4 == len(our)


@pytest.mark.parametrize("proxy", ["{}", "http://{}", "http://me:s3cret@{}"])
@pytest.mark.parametrize("url", ["http://sts.invalid/path?query", "http://sts.invalid:8080"])
def test_a_proxy_that_sends_on_hears_the_whole_url(
    monkeypatch: pytest.MonkeyPatch, proxy: str, url: str
) -> None:
    """Such a proxy is told the server and its own credentials, as by the SDK's session."""
    recorder = Recorder()
    with recorder.running() as at:
        monkeypatch.setenv("HTTP_PROXY", proxy.format(at))
        theirs, our = (said(make, url, recorder) for make in (sdks, ours))
    assert theirs == our
    assert recorder.heard[0].startswith(b"POST http://sts.invalid")
    assert ("s3cret" in proxy) == (b"Proxy-Authorization: Basic" in recorder.heard[0])


def failed(make: Callable[[str], Post], url: str) -> str:
    """Return what kind of error a request raises, and for what error of urllib3."""
    with pytest.raises(BotoCoreError) as error:
        make(url)()
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
        errors = {failed(make, "https://sts.invalid/") for make in (sdks, ours)}
    assert {"ProxyConnectionError of ProxyError"} == errors
    theirs, our = recorder.heard
    assert theirs == our
    assert b"CONNECT sts.invalid:443" in our
    assert ("s3cret" in proxy) == (b"Basic" in our)


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
        theirs, our = failed(sdks, url), failed(ours, url)
    assert theirs == our
    assert our.startswith(kind)


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
    theirs, our = (failed(make, url.format(port)) for make in (sdks, ours))
    assert theirs == our
    assert our.startswith(kind)


def test_a_trusted_certificate_serves_its_own_host_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a bundle of one's own, too: a certificate of another host is refused."""
    certificates = Certificates.new(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificates.make("sts.test"))
    with Recorder(tls=tls).running() as at:
        other = at.replace("127.0.0.1", "localhost")
        good = [make(f"https://{at}/")() for make in (sdks, ours)]
        wrong = {failed(make, f"https://{other}/") for make in (sdks, ours)}
    assert good[0] == good[1]
    assert {"SSLError of SSLError"} == wrong


class Hints(Recorder):
    """Gives an interim answer to each request, and keeps the answer to it until the next."""

    def _talk(self, client: socket.socket) -> None:
        while request(client):
            client.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            if request(client):
                client.sendall(ANSWER % b"200 OK")


def test_an_answer_that_follows_an_interim_one_is_not_given_to_the_next_request() -> None:
    """It holds the credentials of another profile."""
    with Hints().running() as at:
        post = ours(f"http://{at}/")
        assert [103, 103, 103] == [post()[0] for _ in range(3)]


class Forgets(Recorder):
    """Answers three requests at once, and whatever comes first on a connection; then no more.

    So do the connections that a firewall has forgotten.
    """

    def __init__(self) -> None:
        super().__init__()
        self._three = threading.Barrier(3)

    def _talk(self, client: socket.socket) -> None:
        self.heard.append(request(client))
        if len(self.heard) <= self._three.parties:
            self._three.wait()
        client.sendall(ANSWER % b"200 OK")
        while request(client):
            pass


def test_of_kept_connections_that_are_dead_only_one_costs_an_attempt() -> None:
    """What fails leaves its place to a new one: else each would take until its timeout in turn."""
    with Forgets().running() as at:
        post = ours(f"http://{at}/")
        with ThreadPoolExecutor(3) as pool:
            three = [pool.submit(post) for _ in range(3)]
        assert [200] * 3 == [asked.result()[0] for asked in three]
        with pytest.raises(ReadTimeoutError):
            post()
        assert 200 == post()[0]
