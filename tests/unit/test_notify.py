"""Telling systemd how we are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from credfresh.notify import Notifier


@pytest.fixture(name="manager", params=["path", "abstract"])
def _manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(10)
        receiver.bind(address.replace("@", "\0", 1))
        yield address, receiver


def test_each_state_is_one_datagram(manager: tuple[str, socket.socket]) -> None:
    """Ready, status, extension and stopping arrive as the protocol spells them."""
    address, receiver = manager
    notifier = Notifier(address)
    notifier.ready()
    notifier.status("12/12 fresh")
    notifier.extend(1.5)
    notifier.stopping()

    assert [b"READY=1", b"STATUS=12/12 fresh", b"EXTEND_TIMEOUT_USEC=1500000", b"STOPPING=1"] == [
        receiver.recv(4096) for _ in range(4)
    ]


def test_an_unchanged_status_is_not_sent_again(manager: tuple[str, socket.socket]) -> None:
    """The service manager is woken by news only."""
    address, receiver = manager
    notifier = Notifier(address)
    for line in ("a", "a", "b"):
        notifier.status(line)

    assert [b"STATUS=a", b"STATUS=b"] == [receiver.recv(4096) for _ in range(2)]


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    """Without systemd, or with its socket gone, notifying does nothing and raises nothing."""
    for address in (None, str(tmp_path / "gone")):
        notifier = Notifier(address)
        notifier.ready()
        notifier.status("x")

    assert not (tmp_path / "gone").exists()
