"""sd_notify(3): tells systemd how the daemon is. Does nothing where systemd does not listen.

The protocol is a datagram of `KEY=value` lines to the socket in $NOTIFY_SOCKET (a path, or an
abstract name behind `@`). A message that cannot be delivered is dropped: it must neither end the
daemon nor, where nobody reads (in a container whose manager has gone), hold it up.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Mapping

_PATIENCE = struct.pack("ll", 1, 0)
"""Seconds and microseconds that we wait, once, for a manager which does not read; until it reads
again messages are dropped at once. (The kernel waits: Python's timeouts would spin, since such a
socket always looks writable.)"""


def watchdog_limit(environ: Mapping[str, str], pid: int) -> float | None:
    """Return WatchdogSec in seconds, None if it is not set for us; as sd_watchdog_enabled(3) does.

    $WATCHDOG_PID, if it is set, names the one process that is meant.
    """
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    given = environ.get("WATCHDOG_USEC", "")
    return int(given) / 1e6 if given.isascii() and given.isdecimal() and int(given) > 0 else None


class Notifier:
    """Sends state to the service manager; `address` is $NOTIFY_SOCKET, None for nobody.

    `monotonic_ns` reads CLOCK_MONOTONIC, by which systemd orders reloads.
    """

    def __init__(
        self, address: str | None, *, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._address = "\0" + address[1:] if address and address[0] == "@" else address
        self._status = ""
        self._unread = False

    def ready(self) -> None:
        """Start-up is finished."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it, whether it succeeded or not."""
        # systemd tells this reload from an earlier one by the time in the same datagram.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={self._monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Shutdown has begun."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """All is well: wait WatchdogSec for the next such message."""
        self._send("WATCHDOG=1")

    def watchdog_trigger(self) -> None:
        """A part of the daemon is dead: end and restart us now."""
        self._send("WATCHDOG=trigger")

    def extend(self, seconds: float) -> None:
        """Start-up, or shutdown, goes on for up to so many more seconds."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, line: str) -> None:
        """Show one line in `systemctl status`; sent only when it has changed."""
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
            waits = socket.MSG_DONTWAIT if self._unread else 0
            try:
                sender.sendto(message.encode(), waits, self._address)
            except BlockingIOError:
                self._unread = True
            else:
                self._unread = False
