"""Clients of the control socket for tests: well-behaved ones, and all other kinds."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from credfresh.cli.clock import clock
from credfresh.control.listening import ListeningSocket
from credfresh.control.protocol import Request
from credfresh.control.server import Question, Server
from credfresh.settings import ControlSettings

STATUS = b'{"version": 1, "ask": "status"}\n'
PATIENCE = 20.0


def connect(path: Path | str) -> socket.socket:
    """Connect; this and each later call take PATIENCE seconds at most."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            client.connect(str(path))
        except BlockingIOError:  # the backlog is full: others are let in first
            assert time.monotonic() < end
            threading.Event().wait(0.01)
        else:
            return client


def received(client: socket.socket) -> bytes:
    """Return all that comes until the end."""
    data = b""
    try:
        while chunk := client.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def exchange(path: Path | str, request: bytes = STATUS) -> dict[str, Any]:
    """Send bytes, and return the answer, which is one line of JSON."""
    with connect(path) as client:
        client.sendall(request)
        line = received(client)
    assert line.endswith(b"\n"), line
    assert 1 == line.count(b"\n")
    answer: dict[str, Any] = json.loads(line)
    assert 1 == answer["version"]
    return answer


class Oracle:
    """Answers every question at once with `body`, but for those that it `keeps` until told."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.questions: list[Question] = []
        self.gone: list[int] = []
        self.keeps: Callable[[Request], bool] = lambda _: False
        self.body: dict[str, Any] = {"said": "yes"}

    def ask(self, question: Question) -> None:
        self.questions.append(question)
        if not self.keeps(question.request):
            self.answer(question.ticket)

    def answer(self, *tickets: int) -> None:
        assert self.server is not None
        self.server.answer(tickets, lambda: self.body)

    def left(self, ticket: int) -> None:
        self.gone.append(ticket)


@contextmanager
def served(path: Path, mode: int = 0o600) -> Iterator[Oracle]:
    """Serve a control socket at this path while the context lasts."""
    oracle = Oracle()
    listening = ListeningSocket(ControlSettings(str(path), mode))
    oracle.server = Server(
        listening.open(), clock=clock, tickets=itertools.count(1), ask=oracle.ask, left=oracle.left
    )
    oracle.server.start()
    try:
        yield oracle
    finally:
        oracle.server.stop(PATIENCE)
        listening.close()
        assert not oracle.server.alive()


@contextmanager
def foreign(path: Path, line: bytes) -> Iterator[None]:
    """Let another service listen at this path: it answers everybody with this line."""

    def serve() -> None:
        while True:
            with listener.accept()[0] as connection:
                if not connection.recv(65536):
                    return
                connection.sendall(line)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        service = threading.Thread(target=serve, daemon=True)
        service.start()
        try:
            yield
        finally:
            connect(path).close()
            service.join(PATIENCE)
