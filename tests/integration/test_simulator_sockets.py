"""The simulator's server against raw sockets: framing, keep-alive, start and stop."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from credfresh.cli.clock import clock
from credfresh.simulator import Fault, Simulator, faults, server
from simulated import ROLE_ARN, USER_ARN, client

UNSIGNED = b"GET /?Action=GetCallerIdentity&Version=2011-06-15 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def sts() -> Iterator[Simulator]:
    """Run a simulator."""
    with Simulator(clock) as simulator:
        yield simulator


@contextlib.contextmanager
def connected(sts: Simulator) -> Iterator[socket.socket]:
    """Connect to the simulator's port."""
    port = int(sts.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        yield peer


def read_response(peer: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one response by its Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(65536)
        assert piece, f"closed after {data!r}"
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    while len(body) < int(headers["content-length"]):
        body += peer.recv(65536)
    return int(first.split(" ")[1]), headers, body


def test_an_unsigned_request_lacks_authentication(sts: Simulator) -> None:
    """Without an Authorization header the answer is 403 MissingAuthenticationToken."""
    with connected(sts) as peer:
        peer.sendall(UNSIGNED)
        status, headers, body = read_response(peer)
    assert 403 == status
    assert b"<Code>MissingAuthenticationToken</Code>" in body
    assert "text/xml" == headers["content-type"]
    assert headers["x-amzn-requestid"].encode() in body
    assert headers["date"].endswith(" gmt")


def test_a_connection_is_kept_for_many_requests(sts: Simulator) -> None:
    """Answers come in order on one connection, also when requests are sent ahead."""
    with connected(sts) as peer:
        peer.sendall(UNSIGNED)
        assert 403 == read_response(peer)[0]
        for _ in range(3):
            peer.sendall(UNSIGNED)
        answers = b""
        while answers.count(b"</ErrorResponse>") < 3:
            answers += peer.recv(65536)
    assert 4 == sts.count("GetCallerIdentity", outcome="MissingAuthenticationToken")


def test_a_request_may_arrive_in_pieces(sts: Simulator) -> None:
    """A request that comes byte by byte is answered."""
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    text = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with connected(sts) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in text:
            peer.sendall(bytes((byte,)))
        assert b"MissingAuthenticationToken" in read_response(peer)[2]
    assert 1 == sts.count()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET http://sts/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70000, 431),
    ],
)
def test_a_malformed_request_is_refused_and_its_connection_closed(
    sts: Simulator, request_bytes: bytes, status: int
) -> None:
    """Bad framing gets its HTTP status, the connection is closed, and others are still served."""
    with connected(sts) as peer:
        peer.sendall(request_bytes)
        answer = read_response(peer)
        assert status == answer[0]
        assert "close" == answer[1]["connection"]
        with contextlib.suppress(ConnectionResetError):
            assert b"" == peer.recv(1)
    with connected(sts) as peer:
        peer.sendall(UNSIGNED)
        assert 403 == read_response(peer)[0]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (b"/", b"MissingAction"),
        (b"/?Action=&Version=2011-06-15", b"MissingAction"),
        (b"/?Action=GetCallerIdentity", b"InvalidAction"),
        (b"/?Action=GetCallerIdentity&Version=2012-01-01", b"InvalidAction"),
        (b"/?Action=%00%3Cb%3E%ff&Version=2011-06-15", b"InvalidAction"),
    ],
)
def test_an_odd_query_is_an_error_in_xml(sts: Simulator, target: bytes, code: bytes) -> None:
    """Whatever the Action is, the answer is well-formed and escaped."""
    with connected(sts) as peer:
        peer.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        status, _, body = read_response(peer)
    assert 400 == status
    assert b"<Code>" + code + b"</Code>" in body
    assert b"\x00" not in body
    assert b"<b>" not in body


def test_http_1_0_and_connection_close_are_obeyed(sts: Simulator) -> None:
    """An HTTP/1.0 connection, or one with `Connection: close`, is closed after its answer."""
    for text in (
        UNSIGNED.replace(b"HTTP/1.1", b"HTTP/1.0"),
        UNSIGNED.replace(b"Host: x", b"Host: x\r\nConnection: close"),
    ):
        with connected(sts) as peer:
            peer.sendall(text)
            assert 403 == read_response(peer)[0]
            assert b"" == peer.recv(1)


def test_stop_and_start_are_an_outage_on_the_same_port(sts: Simulator) -> None:
    """A stop ends all connections and refuses new ones; a start brings users and port back."""
    user = sts.add_user(USER_ARN)
    before = sts.url
    with connected(sts) as peer:
        peer.sendall(UNSIGNED)
        read_response(peer)
        sts.stop()
        with contextlib.suppress(ConnectionResetError):
            assert b"" == peer.recv(1)
        with pytest.raises(ConnectionRefusedError), connected(sts):
            pass
    sts.stop()
    sts.start()
    assert before == sts.url
    assert USER_ARN == client(sts, user).get_caller_identity()["Arn"]


def test_stopping_leaves_no_thread_and_no_hanging_client() -> None:
    """A stop ends hanging, slow and half-sent requests, and the server's thread."""
    sts = Simulator(clock).start()
    sts.inject(faults.Hang())
    sts.inject(faults.Latency(3600), after=1)
    with connected(sts) as hung, connected(sts) as slow, connected(sts) as half:
        hung.sendall(UNSIGNED)
        assert sts.wait_for(1)
        slow.sendall(UNSIGNED)
        assert sts.wait_for(2)
        half.sendall(UNSIGNED[:20])
        sts.stop()
        for peer in (hung, slow, half):
            with contextlib.suppress(ConnectionResetError):
                assert b"" == peer.recv(1)
    assert 2 == sts.count(outcome="abandoned")
    assert 0 == sts.in_flight
    assert not [thread for thread in threading.enumerate() if thread.name == "sts-simulator"]


def test_a_port_in_use_is_an_error_at_start(sts: Simulator) -> None:
    """The failed simulator can be stopped all the same, and starting one twice is refused."""
    port = int(sts.url.rpartition(":")[2])
    second = Simulator(clock, port=port)
    with pytest.raises(OSError, match="address already in use"):
        second.start()
    second.stop()
    with pytest.raises(OverflowError):
        Simulator(clock, port=70000).start()
    with pytest.raises(RuntimeError, match="running already"):
        sts.start()


def test_a_client_that_does_not_read_is_not_buffered_without_bound(sts: Simulator) -> None:
    """Requests of a client that does not read wait once the socket is full; others are served."""
    sts.inject(faults.Respond("x" * 1_000_000), times=None)
    with connected(sts) as peer:
        peer.sendall(UNSIGNED * 40)
        assert sts.wait_for(1)
        with connected(sts) as other:
            other.sendall(UNSIGNED)
            read_response(other)
        assert sts.count() < 30
        received = 0
        while received < 40_000_000:
            received += len(peer.recv(1 << 20))
    assert 41 == sts.count()


def test_a_client_that_sends_ahead_is_not_read_without_bound(sts: Simulator) -> None:
    """While its first request hangs, less than 40 MB more are taken from a client."""
    sts.inject(faults.Hang())
    with connected(sts) as peer:
        peer.sendall(UNSIGNED)
        peer.settimeout(0.3)
        with pytest.raises(TimeoutError):
            peer.sendall(b"x" * 40_000_000)
        peer.settimeout(10)
        sts.release()
        assert 403 == read_response(peer)[0]


def test_connections_beyond_the_limit_are_closed_at_once(
    sts: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections within the limit are kept."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    with connected(sts) as first:
        first.sendall(UNSIGNED)
        assert 403 == read_response(first)[0]
        with connected(sts) as second, contextlib.suppress(ConnectionResetError):
            assert b"" == second.recv(1)
        first.sendall(UNSIGNED)
        assert 403 == read_response(first)[0]


def _broken(_: object) -> bool:
    raise LookupError("a bug")


@pytest.mark.parametrize(
    ("struck", "when", "error"),
    [
        ((faults.Hang(),), _broken, LookupError),
        ((faults.Latency(0), faults.Respond("\ud800")), None, UnicodeEncodeError),
    ],
    ids=["on arrival", "while answering later"],
)
def test_an_error_of_the_simulator_itself_is_raised_at_stop(
    struck: tuple[Fault, ...], when: Callable[[object], bool] | None, error: type[Exception]
) -> None:
    """A bug (here one in an injected fault) must not pass for an outage."""
    sts = Simulator(clock).start()
    sts.inject(*struck, when=when)
    with connected(sts) as peer:
        peer.sendall(UNSIGNED)
        with contextlib.suppress(ConnectionResetError):
            assert b"" == peer.recv(1)
    with pytest.raises(error):
        sts.stop()


def test_many_clients_are_answered_at_once(sts: Simulator) -> None:
    """Hanging requests do not delay others, and the high-water mark counts them."""
    sts.add_role(ROLE_ARN, trusts=set())
    sts.inject(faults.Hang(), times=50)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(connected(sts)) for _ in range(50)]
        for peer in peers:
            peer.sendall(UNSIGNED)
        assert sts.wait_for(50)
        with connected(sts) as other:
            other.sendall(UNSIGNED)
            assert 403 == read_response(other)[0]
        assert 50 == sts.in_flight
        sts.release()
        assert [403] * 50 == [read_response(peer)[0] for peer in peers]
    assert 0 == sts.in_flight
    assert 51 == sts.high_water
    sts.clear_journal()
    assert (0, 0, ()) == (sts.high_water, sts.count(), sts.calls)
