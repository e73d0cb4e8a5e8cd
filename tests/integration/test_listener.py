"""The listener on real sockets: hostile clients, its end, and addresses that are refused."""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import os
import resource
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import pytest
from waitress.channel import ClientDisconnected
from waitress.task import ErrorTask

import credfresh.listener
from credfresh.errors import CredfreshError
from credfresh.listener import (
    BUSY,
    DESCRIPTORS,
    MOST_CONNECTIONS,
    SILENCE,
    Listener,
    Listening,
    spell,
)
from credfresh.settings import Address, TcpAddress, UnixAddress
from disk import needs_root, no_descriptors
from fakes import EventLog
from host import wait_until
from programs import free_port

BIG = b"x" * 5_000_000
CHUNK = b"2000\r\n" + b"x" * 8192


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer `ok`, or 5 MB for `/big`."""
    body = BIG if environ["PATH_INFO"] == "/big" else b"ok\n"
    start("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    wrapper: Any = environ["wsgi.file_wrapper"]
    wrapped: Iterable[bytes] = wrapper(io.BytesIO(body))
    return wrapped


@pytest.fixture(name="listening")
def _listening() -> Iterator[Callable[[Address], Listener]]:
    opened: list[Listener] = []

    def start(address: Address) -> Listener:
        listener = Listener(address, application)
        listener.open()
        opened.append(listener)
        return listener

    yield start
    for listener in opened:
        listener.close()


@pytest.fixture(name="patient")
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the listener from closing a connection because it is slow."""
    for limit in ("SILENCE", "READING"):
        monkeypatch.setattr(credfresh.listener, limit, 3600)


def get(port: int, path: str = "/", *, timeout: float = 30) -> tuple[int, bytes]:
    """Ask once, on a new connection; return status and body."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


def connections(port: int, count: int, first: bytes) -> list[socket.socket]:
    """Open connections that send `first` and then nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    opened = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), timeout=30)
        one.sendall(first)
        opened.append(one)
    return opened


STALLED = {
    "silent": b"",
    "half a request line": b"GET / HT",
    "headers that do not end": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
    "a body that does not come": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
    "an answer that is not read": b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "many answers that are not read": b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n" * 8,
}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("first", STALLED.values(), ids=STALLED.keys())
def test_300_stalled_clients_do_not_delay_a_good_one(
    listening: Callable[[Address], Listener], first: bytes
) -> None:
    """A good client waits for none of them, whatever they stall at."""
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))
    stalled = connections(port, 300, first)

    for _ in range(5):
        assert (200, b"ok\n") == get(port)

    for one in stalled:
        one.close()


@pytest.mark.parametrize("stepped", [0, -3600], ids=["", "whose clock was set back"])
def test_the_newest_connections_may_stay(
    listening: Callable[[Address], Listener], monkeypatch: pytest.MonkeyPatch, stepped: int
) -> None:
    """Others make way, of whatever hour they seem: a client that has just come is about to ask."""
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))
    silent = connections(port, MOST_CONNECTIONS - 1, b"")
    wait_until(lambda: _held_at(port) == MOST_CONNECTIONS - 1, "all to be let in")
    true = time.time  # noqa: TID251 - what the server goes by
    monkeypatch.setattr(time, "time", lambda: true() + stepped)
    silent += connections(port, 1, b"")
    wait_until(lambda: _held_at(port) < MOST_CONNECTIONS - 1, "some to make way")

    first, last = silent[0], silent[-1]
    assert b"" == first.recv(1)
    last.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    assert last.recv(4096).startswith(b"HTTP/1.0 200")
    for one in silent:
        one.close()


def test_long_headers_and_bodies_are_refused(listening: Callable[[Address], Listener]) -> None:
    """Neither long headers nor a body, whole or in chunks: it would be kept until the answer."""
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))
    for status, first in (
        (b"431", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 8192),
        (b"413", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8192\r\n\r\n"),
        (b"413", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK),
    ):
        [client] = connections(port, 1, first)
        with client:
            assert status == client.recv(4096)[9:12]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("at", ["half a request line", "an answer that is not read"])
def test_beyond_the_limit_the_oldest_connections_make_way(
    listening: Callable[[Address], Listener], at: str
) -> None:
    """With twice as many clients as allowed, the oldest are closed and a good one is served."""
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))
    before = _open_files()
    stalled = connections(port, 2 * MOST_CONNECTIONS, STALLED[at])

    assert (200, b"ok\n") == get(port)

    # We hold both ends of each connection, and a client that does not read never sees the end.
    gone = before + 2 * len(stalled) - _open_files()
    for one in stalled:
        one.close()
    assert gone > MOST_CONNECTIONS / 2


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _held_at(port: int) -> int:
    """Count the connections to a port that were accepted and not yet closed (proc_net(5))."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # Columns: local address, state (0A listens), inode (0 before it is accepted, and once closed).
    ours = [row for row in rows if int(row[1].partition(":")[2], 16) == port and row[3] != "0A"]
    return sum(row[9] != "0" for row in ours)


def test_a_stalled_client_is_disconnected(
    listening: Callable[[Address], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SILENCE seconds a stalled client is disconnected and its answer dropped."""
    monkeypatch.setattr(credfresh.listener, "SILENCE", 2)
    stalled = {}
    for at, first in STALLED.items():
        port = free_port()
        listening(TcpAddress("127.0.0.1", port))
        [stalled[at]] = connections(port, 1, first)
        wait_until(lambda port=port: _held_at(port) == 1, f"{at}: it is let in")  # type: ignore[misc] # bound

    for at, client in stalled.items():
        port = client.getpeername()[1]
        wait_until(lambda port=port: _held_at(port) == 0, f"{at}: it is let go")  # type: ignore[misc] # bound
        client.close()


def test_a_stop_does_not_wait_for_connections(
    listening: Callable[[Address], Listener],
) -> None:
    """A stop does not wait for connections, and the port is free again."""
    port = free_port()
    listener = listening(TcpAddress("127.0.0.1", port))
    stalled = connections(port, 50, b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
    get(port)

    began = time.monotonic()
    listener.close()
    took = time.monotonic() - began

    for one in stalled:
        one.close()
    assert took < SILENCE / 2
    assert not listener.alive
    listening(TcpAddress("127.0.0.1", port))
    assert (200, b"ok\n") == get(port)


def test_a_client_that_reads_too_slowly_is_disconnected(
    listening: Callable[[Address], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sip now and then is not silence, but what waits for the client takes our memory."""
    monkeypatch.setattr(credfresh.listener, "READING", 1)
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))
    steady = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(steady), socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.settimeout(0.1)
        slow.sendall(STALLED["an answer that is not read"])

        def alone() -> bool:
            with contextlib.suppress(OSError):
                slow.recv(4096)
            steady.request("GET", "/")  # whoever reads at once stays, however long
            assert b"ok\n" == steady.getresponse().read()
            return _held_at(port) == 1

        wait_until(lambda: not alone(), "it is let in")
        first = steady.sock
        wait_until(alone, "it is let go")
        assert first is steady.sock


def test_while_nobody_is_connected_nothing_wakes_up(
    listening: Callable[[Address], Listener],
) -> None:
    """The loop of a listener without connections sleeps."""
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))
    get(port)
    loop = next(t for t in threading.enumerate() if t.name == "credfresh-listener")
    status = Path(f"/proc/self/task/{loop.native_id}/status")
    pause = threading.Event()

    def sleeps() -> bool:
        before = _switches(status)
        pause.wait(1.5 * BUSY)
        return before == _switches(status)

    wait_until(sleeps, "quiet, once the connection that was closed has woken it")


def _switches(status: Path) -> str:
    return next(line for line in status.read_text().splitlines() if line.startswith("voluntary"))


def test_a_client_that_is_gone_is_not_logged(
    listening: Callable[[Address], Listener],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not even one whose request was none: as often as it likes it could fill the log."""
    gone = threading.Event()

    def leave(_task: ErrorTask) -> None:
        gone.set()
        raise ClientDisconnected

    monkeypatch.setattr(ErrorTask, "execute", leave)
    port = free_port()
    listener = listening(TcpAddress("127.0.0.1", port))
    [client] = connections(port, 1, b"GET\r\n\r\n")
    with client:
        assert gone.wait(10)
        assert b"" == client.recv(1)

    listener.close()
    assert [] == [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


@pytest.mark.usefixtures("patient")
def test_a_client_that_sends_an_urgent_byte_is_disconnected(
    listening: Callable[[Address], Listener],
) -> None:
    """Nobody takes it, so that the system would tell of it again and again: who sends one goes."""
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))
    for first in (b"", b"GET / HT"):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(first)
            client.send(b"!", socket.MSG_OOB)
            with contextlib.suppress(ConnectionResetError):
                assert b"" == client.recv(1)
    assert (200, b"ok\n") == get(port)


def test_without_descriptors_clients_are_served_later(
    listening: Callable[[Address], Listener],
) -> None:
    """Clients that connect meanwhile are served later, and cost next to no work until then."""
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))
    get(port)
    loop = next(t for t in threading.enumerate() if t.name == "credfresh-listener")
    thread = Path(f"/proc/self/task/{loop.native_id}/stat")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(5)]
        file = stack.enter_context(thread.open())  # opened while descriptors are left
        with no_descriptors():
            for client in clients:
                client.connect(("127.0.0.1", port))
                client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
            before = _ticks(file)
            threading.Event().wait(1.0)
            took = _ticks(file) - before
        for client in clients:
            client.settimeout(10)
            assert client.recv(4096).startswith(b"HTTP/1.0 200")
    assert took < 0.1 * os.sysconf("SC_CLK_TCK")


def _ticks(stat: TextIO) -> int:
    """Return the CPU time of a thread in clock ticks (proc_pid_stat(5): utime and stime)."""
    stat.seek(0)
    fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_unix_socket_is_served(listening: Callable[[Address], Listener], tmp_path: Path) -> None:
    """The socket can be used by anybody who can enter its directory, and is removed at the end."""
    path = tmp_path / "metrics.sock"
    listener = listening(UnixAddress(str(path)))

    assert b"ok\n" in _ask_unix(path)
    assert 0o666 == stat.S_IMODE(path.stat().st_mode)
    listener.close()
    assert not path.exists()


def _ask_unix(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
    return answer


def test_a_socket_that_a_killed_daemon_left_is_taken_over(
    listening: Callable[[Address], Listener], tmp_path: Path
) -> None:
    """A socket on which nobody listens any more is replaced."""
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    listening(UnixAddress(str(path)))

    assert b"ok\n" in _ask_unix(path)


@needs_root
def test_a_socket_of_another_user_is_left_alone(tmp_path: Path) -> None:
    """It is for whoever made it to take it away, though nobody listens there any more."""
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    os.chown(path, 65534, 65534)

    with pytest.raises(CredfreshError, match="Address already in use"):
        Listener(UnixAddress(str(path)), application).open()
    assert path.is_socket()


def test_a_socket_that_somebody_listens_at_is_left_alone(
    listening: Callable[[Address], Listener], tmp_path: Path
) -> None:
    """A second daemon does not take the first one's socket, and a plain file is never removed."""
    path = tmp_path / "metrics.sock"
    listening(UnixAddress(str(path)))
    file = tmp_path / "file"
    file.write_text("precious")

    for taken in (path, file):
        with pytest.raises(CredfreshError, match="cannot listen"):
            listening(UnixAddress(str(taken)))
    assert b"ok\n" in _ask_unix(path)
    assert "precious" == file.read_text()


def test_a_socket_that_is_taken_away_is_made_anew(tmp_path: Path) -> None:
    """Nobody would reach the old one; what stands there by then is somebody else's."""
    path = tmp_path / "metrics.sock"
    address = UnixAddress(str(path))
    log = EventLog()
    listening = Listening(log)
    assert listening.open(address, application)
    alive = [listening.alive]
    path.unlink()
    alive.append(listening.alive)
    assert [True, False] == alive
    assert listening.open(address, application)
    assert b"ok\n" in _ask_unix(path)

    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert not listening.alive
        listening.close()
        assert path.is_socket()
        assert not listening.open(address, application)
    assert ["listen_failed"] == log.names()


def test_a_link_in_the_place_of_its_socket_opens_nothing_else_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write its directory could have us give everybody a file of ours."""
    path, secret = tmp_path / "metrics.sock", tmp_path / "secret"
    secret.touch(0o600)
    true = os.open

    def late(name: str, flags: int, *more: Any, **named: Any) -> int:
        if name == str(path):
            path.unlink()
            path.symlink_to(secret)
        return true(name, flags, *more, **named)

    monkeypatch.setattr(os, "open", late)

    with pytest.raises(CredfreshError, match="cannot listen"):
        Listener(UnixAddress(str(path)), application).open()
    assert 0o600 == stat.S_IMODE(secret.stat().st_mode)


def test_a_listener_that_lets_nobody_in_is_not_waited_for(
    listening: Callable[[Address], Listener], tmp_path: Path
) -> None:
    """A stopped daemon (SIGSTOP) accepts nothing; the main thread, which opens, must not wait."""
    path = str(tmp_path / "metrics.sock")
    with (
        ThreadPoolExecutor(1) as pool,
        socket.socket(socket.AF_UNIX) as stopped,
        socket.socket(socket.AF_UNIX) as other,
    ):
        stopped.bind(path)
        stopped.listen(0)
        other.connect(path)
        opened = pool.submit(listening, UnixAddress(path))

        with pytest.raises(CredfreshError, match="Address already in use"):
            opened.result(5)


def test_a_port_in_use_is_named_with_what_to_do(
    listening: Callable[[Address], Listener],
) -> None:
    """The error contains the address and a hint."""
    port = free_port()
    listening(TcpAddress("127.0.0.1", port))

    with pytest.raises(CredfreshError) as caught:
        listening(TcpAddress("127.0.0.1", port))

    assert f"127.0.0.1:{port}: cannot listen: Address already in use" == caught.value.message
    assert "choose another port" in str(caught.value.hint)


@pytest.mark.parametrize("after", range(4))
def test_without_threads_it_does_not_listen_and_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: int
) -> None:
    """At the limit of tasks `listen_failed` is logged, no thread is left, and a retry works."""
    start, left = threading.Thread.start, [after]

    def limited(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    before = set(threading.enumerate())  # those of the test before may still end
    address = UnixAddress(str(tmp_path / "metrics.sock"))
    log = EventLog()
    listening = Listening(log)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", limited)
        assert not listening.open(address, application)
    wait_until(lambda: before.issuperset(threading.enumerate()), "no thread is left")

    assert listening.open(address, application)
    assert ["listen_failed", "listen_recovered"] == log.names()
    assert "no thread" in str(log.of("listen_failed")[0]["error"])
    listening.close()


@pytest.mark.parametrize("spare", [0, 1, 2])
def test_without_descriptors_it_does_not_listen_and_leaves_no_thread_behind(
    tmp_path: Path, spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One may do for the socket, and not for what the server has beside it."""
    monkeypatch.setattr(credfresh.listener, "DESCRIPTORS", 0)  # it could have no more
    before = set(threading.enumerate())  # those of the test before may still end
    address = UnixAddress(str(tmp_path / "metrics.sock"))
    log = EventLog()
    listening = Listening(log)
    with contextlib.ExitStack() as stack:
        kept = [os.dup(0) for _ in range(spare)]
        stack.enter_context(no_descriptors())
        for descriptor in kept:
            os.close(descriptor)
        assert not listening.open(address, application)
    wait_until(lambda: before.issuperset(threading.enumerate()), "no thread is left")

    assert listening.open(address, application)
    assert ["listen_failed", "listen_recovered"] == log.names()
    listening.close()


def test_addresses_are_spelt_as_in_the_configuration() -> None:
    """Addresses in messages look as in the configuration, so that operators can search for them."""
    assert "127.0.0.1:9464" == spell(TcpAddress("127.0.0.1", 9464))
    assert "[::1]:9464" == spell(TcpAddress("::1", 9464))
    assert "unix:/run/x" == spell(UnixAddress("/run/x"))


def test_no_client_uses_up_the_descriptors_of_the_daemon(
    listening: Callable[[Address], Listener],
) -> None:
    """A low limit of open files is raised above what all connections need, as far as allowed."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        listening(TcpAddress("127.0.0.1", free_port()))

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert soft == (DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard))
    assert 2 * MOST_CONNECTIONS < soft
