"""The thread that serves the control socket, and clients of every kind."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asking import PATIENCE, STATUS, Oracle, connect, exchange, received, served
from credfresh.control import protocol, server
from credfresh.control.listening import ListeningSocket
from credfresh.control.protocol import Ensure, Reload, Status
from credfresh.errors import ControlCode, ControlError
from credfresh.settings import ControlSettings
from disk import for_children, needs_root
from host import wait_until

ENSURE = protocol.encode_request(Ensure("production", 60, 60))


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path / "control.sock"


@pytest.fixture(name="open_path")
def _open_path(open_directory: Path) -> Path:
    return open_directory / "control.sock"


@pytest.fixture(name="oracle")
def _oracle(path: Path) -> Iterator[Oracle]:
    with served(path) as oracle:
        yield oracle


def refused(path: Path, request: bytes) -> str:
    """Return the code of the error that answers these bytes."""
    code = exchange(path, request)["error"]["code"]
    assert isinstance(code, str)
    return code


def test_a_question_is_handed_on_with_the_pid_and_uid_of_the_client(
    oracle: Oracle, path: Path
) -> None:
    """The question carries the client's pid and uid, which the kernel vouches for."""
    assert {"said": "yes"} == exchange(path)["answer"]

    [question] = oracle.questions
    assert Status() == question.request
    assert (os.getpid(), os.geteuid()) == (question.peer.pid, question.peer.uid)


def test_clients_of_the_old_listener_are_served_after_a_move(oracle: Oracle, path: Path) -> None:
    """Clients of the old socket are answered, whether accepted or still in its backlog."""
    free, clients = threading.Event(), []
    oracle.keeps = lambda _: not free.wait(PATIENCE)
    for _ in range(200):
        clients.append(connect(path))
        clients[-1].sendall(STATUS)
    path.unlink()
    listening = ListeningSocket(ControlSettings(str(path)))
    assert oracle.server is not None
    oracle.server.move(listening.open())
    free.set()

    assert all({"said": "yes"} == json.loads(received(client))["answer"] for client in clients)
    assert {"said": "yes"} == exchange(path)["answer"]
    for client in clients:
        client.close()
    listening.close()


def test_a_client_that_stops_sending_is_answered(oracle: Oracle, path: Path) -> None:
    """`echo … | nc -N` shuts down its sending half, perhaps without a line end, and is answered."""
    for request in (STATUS, STATUS.rstrip()):
        with connect(path) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            assert {"said": "yes"} == json.loads(received(client))["answer"]
    oracle.keeps = lambda _: True
    with connect(path) as client:
        client.sendall(STATUS)
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: len(oracle.questions) == 3, "the question")
        oracle.answer(oracle.questions[-1].ticket)
        assert {"said": "yes"} == json.loads(received(client))["answer"]
    assert [] == oracle.gone


def test_a_request_may_come_byte_by_byte(oracle: Oracle, path: Path) -> None:
    """The server puts a request together from however many pieces it comes in."""
    with connect(path) as client:
        for byte in STATUS:
            client.sendall(bytes([byte]))
        assert {"said": "yes"} == json.loads(received(client))["answer"]
    assert 1 == len(oracle.questions)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"\n", "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_request"),
        (b"\x00\xff" * 500 + b"\n", "bad_request"),
        (b'{"version": 7, "ask": "status"}\n', "unsupported_version"),
        (b"x" * (protocol.MOST_REQUEST - 1) + b"\n", "bad_request"),
        (b"x" * protocol.MOST_REQUEST, "too_long"),
        (b"x" * protocol.MOST_REQUEST + b"\n", "too_long"),
        (b"{" * (10 * protocol.MOST_REQUEST), "too_long"),
    ],
)
def test_garbage_is_answered_with_an_error(
    oracle: Oracle, path: Path, request_: bytes, code: str
) -> None:
    """A malformed or overlong request gets an error and never reaches the main thread."""
    with connect(path) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request_)
        assert code == json.loads(received(client))["error"]["code"]
    assert [] == oracle.questions


def test_bytes_after_the_request_are_not_read(oracle: Oracle, path: Path) -> None:
    """A connection carries one question; further bytes are ignored."""
    assert {"said": "yes"} == exchange(path, STATUS + STATUS + b"x" * 1000)["answer"]
    assert 1 == len(oracle.questions)


def test_a_client_that_leaves_is_reported(oracle: Oracle, path: Path) -> None:
    """When a client disconnects, its ticket is reported as gone, and a late answer does no harm."""
    oracle.keeps = lambda _: True
    with connect(path) as client:
        client.sendall(ENSURE)
        wait_until(lambda: bool(oracle.questions), "the question")
    wait_until(lambda: bool(oracle.gone), "the end of the connection")

    assert [oracle.questions[0].ticket] == oracle.gone
    oracle.answer(oracle.gone[0])
    oracle.keeps = lambda _: False
    assert "answer" in exchange(path)


def test_a_large_answer_is_read_at_the_client_s_pace(oracle: Oracle, path: Path) -> None:
    """A slow client gets twenty megabytes through a 32 KB buffer while others are served."""
    oracle.body = {"text": "x" * 20_000_000}
    with connect(path) as slow:
        slow.sendall(STATUS)
        assert b"{" == slow.recv(1)
        oracle.body = {"said": "yes"}
        assert {"said": "yes"} == exchange(path)["answer"]
        assert len(received(slow)) > 20_000_000


@pytest.mark.parametrize("kind", ["silent", "half a request", "answered, and not reading"])
def test_three_hundred_stalled_clients_hold_up_nobody(
    oracle: Oracle, path: Path, kind: str
) -> None:
    """A good client among 300 stalled ones is answered in less than half of REQUEST_TIME."""
    oracle.body = {"text": "x" * 500_000}
    stalled = [connect(path) for _ in range(300)]
    for client in stalled:
        if kind != "silent":
            client.sendall(STATUS if kind.startswith("answered") else STATUS[:10])
    if kind.startswith("answered"):
        wait_until(lambda: len(oracle.questions) == 300, "the questions")

    oracle.body = {"said": "yes"}
    began = time.monotonic()
    assert {"said": "yes"} == exchange(path)["answer"]
    assert time.monotonic() - began < server.REQUEST_TIME / 2
    for client in stalled:
        client.close()


def hung_up(client: socket.socket) -> bool:
    """Say whether the other side has closed the connection, whatever it has sent before."""
    poll = select.poll()
    poll.register(client, 0)
    return bool(poll.poll(0))


def test_silent_clients_are_disconnected(
    oracle: Oracle, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends nothing gets `too_slow`; one that does not read is disconnected."""
    monkeypatch.setattr(server, "REQUEST_TIME", 0.2)
    monkeypatch.setattr(server, "ANSWER_TIME", 0.2)
    with connect(path) as silent:
        assert "too_slow" == json.loads(received(silent))["error"]["code"]
    oracle.body = {"text": "x" * 5_000_000}
    with connect(path) as deaf:
        deaf.sendall(STATUS)
        wait_until(lambda: hung_up(deaf), "the end of the connection")
        assert len(received(deaf)) < 5_000_000


def test_a_client_that_has_asked_may_wait_for_longer_than_request_time(
    oracle: Oracle, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job waits for minutes where STS does not answer; who came later and is silent goes."""
    monkeypatch.setattr(server, "REQUEST_TIME", 0.2)
    oracle.keeps = lambda _: True
    with connect(path) as waiting, connect(path) as silent:
        waiting.sendall(ENSURE)
        wait_until(lambda: len(oracle.questions) == 1, "the question")
        assert "too_slow" == json.loads(received(silent))["error"]["code"]
        oracle.answer(oracle.questions[0].ticket)
        assert {"said": "yes"} == json.loads(received(waiting))["answer"]


def test_when_all_places_are_taken_silent_clients_lose_theirs(path: Path) -> None:
    """Three thousand silent clients do not keep a good one out; clients that wait stay."""
    with served(path) as oracle:
        oracle.keeps = lambda request: isinstance(request, Ensure)
        waiting = [connect(path) for _ in range(20)]
        for client in waiting:
            client.sendall(ENSURE)
        wait_until(lambda: len(oracle.questions) == 20, "the questions")
        silent = [connect(path) for _ in range(3000)]

        began = time.monotonic()
        assert {"said": "yes"} == exchange(path)["answer"]
        assert time.monotonic() - began < server.REQUEST_TIME / 2
        assert "busy" == json.loads(received(silent[0]))["error"]["code"]
        oracle.answer(*(q.ticket for q in oracle.questions[:20]))
        assert [{"said": "yes"}] * 20 == [json.loads(received(c))["answer"] for c in waiting]
        for client in [*waiting, *silent]:
            client.close()


@pytest.fixture(autouse=True)
def _many_descriptors() -> Iterator[None]:
    """Raise the limit of open files: server and clients of a test share one process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16384, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_without_descriptors_accept_is_retried_later(path: Path) -> None:
    """Without free descriptors, accept is retried at a slow pace; the client is let in later."""
    code = (
        "import os, resource, socket, sys, threading\n"
        "from pathlib import Path\n"
        "from asking import STATUS, exchange, served\n"
        "path, tries, accept = Path(sys.argv[1]), [], socket.socket.accept\n"
        "def counted(listener): tries.append(0); return accept(listener)\n"
        "socket.socket.accept = counted\n"
        "with served(path):\n"
        "    exchange(path)\n"
        "    late = socket.socket(socket.AF_UNIX)\n"
        "    late.settimeout(20)\n"
        "    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "    held = []\n"
        "    try:\n"
        "        while True: held.append(os.dup(0))\n"
        "    except OSError: pass\n"
        "    late.connect(str(path))\n"
        "    late.sendall(STATUS)\n"
        "    tries.clear()\n"
        "    threading.Event().wait(1)\n"
        "    print('quiet', 0 < len(tries) < 20)\n"
        "    late.setblocking(False)\n"
        "    try: print('let in', late.recv(1))\n"
        "    except BlockingIOError: print('kept out')\n"
        "    late.settimeout(20)\n"
        "    for descriptor in held: os.close(descriptor)\n"
        "    print(late.recv(1000))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=for_children(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    answer = str(b'{"version":1,"answer":{"said":"yes"}}\n')
    assert ["quiet True", "kept out", answer] == done.stdout.splitlines(), done.stderr
    assert "" == done.stderr


@needs_root
@pytest.mark.parametrize("ask", ["renew", "reload", "withdraw"])
def test_other_users_may_ask_status_and_nothing_else(open_path: Path, ask: str) -> None:
    """Anybody who can connect may ask `status`; the rest is for root and the daemon's user."""
    code = (
        "import os, sys, socket\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "client = socket.socket(socket.AF_UNIX)\n"
        "client.connect(sys.argv[1])\n"
        "client.sendall(sys.argv[2].encode() + b'\\n')\n"
        "print(client.recv(1000).decode(), end='')\n"
    )

    def as_nobody(said: str) -> dict[str, dict[str, str]]:
        request = json.dumps({"version": 1, "ask": said})
        done = subprocess.run(
            [sys.executable, "-S", "-c", code, str(open_path), request],
            capture_output=True,
            text=True,
            check=True,
        )
        answer: dict[str, dict[str, str]] = json.loads(done.stdout)
        return answer

    with served(open_path, 0o666) as oracle:
        error = as_nobody(ask)["error"]
        assert "not_allowed" == error["code"]
        assert "you are another user" in error["message"]
        assert [] == oracle.questions
        assert {"said": "yes"} == as_nobody("status")["answer"]
        assert 65534 == oracle.questions[0].peer.uid
        assert "answer" in exchange(open_path, protocol.encode_request(Reload()))


def test_closing_answers_and_disconnects_all_clients(path: Path) -> None:
    """Closing takes no time: pending answers are delivered, other clients are disconnected."""
    with served(path) as oracle:
        oracle.keeps = lambda _: True
        waiting, silent = connect(path), connect(path)
        waiting.sendall(ENSURE)
        wait_until(lambda: bool(oracle.questions), "the question")
        assert oracle.server is not None
        oracle.server.refuse(
            [oracle.questions[0].ticket], ControlError(ControlCode.STOPPING, "it ends")
        )
        began = time.monotonic()
    assert time.monotonic() - began < server.REQUEST_TIME / 2
    assert "stopping" == json.loads(received(waiting))["error"]["code"]
    assert b"" == received(silent)
    waiting.close()
    silent.close()
    assert not path.exists()


def test_an_answer_to_a_thousand_clients_is_rendered_once(oracle: Oracle, path: Path) -> None:
    """An answer to a thousand clients is rendered only once."""
    rendered = []
    oracle.keeps = lambda _: True
    clients = [connect(path) for _ in range(1000)]
    for client in clients:
        client.sendall(ENSURE)
    wait_until(lambda: len(oracle.questions) == 1000, "the questions")
    assert oracle.server is not None

    def body() -> dict[str, str]:
        rendered.append(1)
        return {"said": "yes"}

    oracle.server.answer([q.ticket for q in oracle.questions], body)
    for client in clients:
        client.settimeout(PATIENCE)
        assert {"said": "yes"} == json.loads(received(client))["answer"]
        client.close()
    assert [1] == rendered
