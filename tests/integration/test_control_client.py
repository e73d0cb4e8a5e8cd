"""Clients of whatever listens in the daemon's place: jobs wait for them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from credfresh.control import client
from credfresh.control.protocol import Ensure, Status
from credfresh.errors import ControlError


@contextmanager
def answered(path: Path, piece: bytes, pause: float) -> Iterator[None]:
    """Listen at `path`, and send this piece again and again to the one who connects."""
    done = threading.Event()

    def serve() -> None:
        with listening.accept()[0] as connection:
            while not done.wait(pause):
                try:
                    connection.sendall(piece)
                except OSError:  # the client has gone
                    return

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        try:
            yield
        finally:
            done.set()
            server.join(5)


@pytest.mark.timeout(20)
def test_an_answer_that_trickles_is_not_waited_for_beyond_the_patience(tmp_path: Path) -> None:
    """It counts as none, so that `ensure` keeps to its timeout and then judges the file."""
    path = tmp_path / "control.sock"
    with answered(path, b" ", 0.05), pytest.raises(ControlError, match="no answer in time") as told:
        client.ask(str(path), Ensure("production", 60.0, 0.2), patience=0.2)

    assert "no_daemon" == told.value.code


@pytest.mark.timeout(60)
def test_an_answer_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client takes no more than the largest answer."""
    monkeypatch.setattr(client, "MOST_ANSWER", 1 << 20)
    path = tmp_path / "control.sock"
    with answered(path, b" " * (1 << 18), 0.0), pytest.raises(ControlError, match="does not end"):
        client.ask(str(path), Status())
