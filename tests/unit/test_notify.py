"""What the daemon tells systemd, and how."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from credfresh.notify import Notifier, watchdog_limit


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


@pytest.mark.timeout(20)
def test_a_manager_that_does_not_read_is_waited_for_once(
    manager: tuple[str, socket.socket],
) -> None:
    """A full socket delays the main thread once; when it is read again, systemd is told again."""
    address, receiver = manager
    notifier = Notifier(address)
    began = time.monotonic()
    for number in range(2000):
        notifier.status(str(number))
    took = time.monotonic() - began

    receiver.setblocking(False)  # noqa: FBT003 - the standard library's
    with contextlib.suppress(BlockingIOError):
        while True:
            receiver.recv(4096)
    notifier.ready()
    assert b"READY=1" == receiver.recv(4096)
    assert took < 5.0


def test_the_watchdog_is_fed_and_triggered_as_the_protocol_spells_it(
    manager: tuple[str, socket.socket],
) -> None:
    """WATCHDOG=1 feeds it, and WATCHDOG=trigger makes it bite."""
    address, receiver = manager
    notifier = Notifier(address)
    notifier.watchdog()
    notifier.watchdog_trigger()

    assert [b"WATCHDOG=1", b"WATCHDOG=trigger"] == [receiver.recv(4096) for _ in range(2)]


def test_a_reload_is_told_with_its_time_in_one_datagram(
    manager: tuple[str, socket.socket],
) -> None:
    """The message that begins a reload has the time by CLOCK_MONOTONIC, in microseconds."""
    address, receiver = manager
    Notifier(address, monotonic_ns=lambda: 1_234_567_890).reloading()

    assert b"RELOADING=1\nMONOTONIC_USEC=1234567" == receiver.recv(4096)


@pytest.mark.parametrize(
    ("environ", "limit"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "42"}, 120.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
    ],
)
def test_the_watchdog_counts_only_for_the_process_that_systemd_names(
    environ: dict[str, str], limit: float | None
) -> None:
    """$WATCHDOG_USEC counts for the process of $WATCHDOG_PID, or for any where that is not set."""
    assert limit == watchdog_limit(environ, 42)
