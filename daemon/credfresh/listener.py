"""Answers HTTP on loopback or a unix socket. The only door to waitress.

Every local process can connect, so nobody is trusted: threads, connections, headers and time are
bounded, and if too many connect, those that came first are closed. While nobody is connected
nothing wakes up.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ThreadedTaskDispatcher

from credfresh.errors import CredfreshError
from credfresh.events import Emit
from credfresh.settings import Address, UnixAddress

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 3
"""Threads that answer requests, beside the one that accepts connections."""

MOST_CONNECTIONS = 400
"""Connections at the same time; beyond it, those that came first are closed."""

SILENCE = 10
"""Seconds after which a connection is closed if nothing was sent or read on it."""

READING = 60
"""Seconds that a client may take to read its answer, which is kept in memory meanwhile."""

QUIET, BUSY = 30.0, 1.0
"""Seconds between two looks of the loop while nobody is connected, and while somebody is."""

DESCRIPTORS = 4096
"""The limit of open files, if the hard limit allows it: so no client uses up the daemon's."""

SEND_BUFFER = 1 << 16
"""Bytes that the kernel buffers for a client that does not read (by default 4 MB)."""

_SOCKET_MODE = 0o666
_HINTS = {
    errno.EADDRINUSE: "another process listens there: stop it, or choose another port",
    errno.EACCES: "let the daemon's user write that directory, or choose a port above 1023",
    errno.ENOENT: "create the directory of the socket",
    errno.EADDRNOTAVAIL: "this host has no such address (IPv6 may be off)",
}


class _Channel(HTTPChannel):
    """A connection. Even what is no request gets a path: waitress logs an error without one."""

    parser_class = type("Request", (HTTPChannel.parser_class,), {"path": ""})

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.idle = self.last_activity
        """Its last activity when nothing waited to be sent."""

    def handle_error(self) -> None:
        """Close it: waitress would log the error, and any client could fill the log."""
        self.handle_close()

    handle_expt = handle_error  # an urgent byte, which nobody reads, would wake the loop for ever


class Listener:
    """Serves one WSGI application at one address, with threads of its own."""

    def __init__(self, address: Address, application: WSGIApplication) -> None:
        self._address = address
        self._path = Path(address.path if isinstance(address, UnixAddress) else "")
        self._application = application
        self._map: dict[int, Any] = {}
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._socket: os.stat_result | None = None

    @property
    def alive(self) -> bool:
        """Whether it listens, and whoever comes to the address reaches it."""
        return self._thread is not None and self._thread.is_alive() and self._stands()

    def open(self) -> None:
        """Begin to listen.

        Raises:
            CredfreshError: the system refuses the address, or gives no threads or descriptors.
        """
        _make_room()
        try:
            bound, self._socket = _bind(self._address)
        except OSError as error:
            raise CredfreshError(
                f"{spell(self._address)}: cannot listen: {os.strerror(error.errno or 0)}",
                hint=_HINTS.get(error.errno or 0),
            ) from error
        dispatcher = ThreadedTaskDispatcher()  # waitress's own would leave its threads on failure
        try:
            dispatcher.set_thread_count(THREADS)
            self._serve(bound, dispatcher)
        except (RuntimeError, OSError, ValueError) as error:
            self.close()
            wasyncore.close_all(self._map, ignore_all=True)
            dispatcher.set_thread_count(0)
            bound.close()
            raise CredfreshError(
                f"{spell(self._address)}: cannot listen: no thread or descriptor could be had",
                hint="look at the unit's TasksMax and LimitNOFILE, and at its hooks",
            ) from error

    def _serve(self, bound: socket.socket, dispatcher: ThreadedTaskDispatcher) -> None:
        self._server = create_server(
            self._application,
            map=self._map,
            sockets=[bound],
            ident=None,
            connection_limit=MOST_CONNECTIONS + 100,  # we close some before it refuses any
            channel_timeout=SILENCE,
            cleanup_interval=2,
            max_request_header_size=8192,
            max_request_body_size=8192,
            asyncore_use_poll=True,
            log_socket_errors=False,
            # So that a client which does not read holds up no thread.
            outbuf_high_watermark=1 << 40,
            _dispatcher=dispatcher,
        )
        self._server.channel_class = _Channel
        thread = threading.Thread(target=self._run, name="credfresh-listener", daemon=True)
        thread.start()
        self._thread = thread

    def close(self) -> None:
        """Stop listening, and close all connections; takes a second at most."""
        if self._server is None:
            return
        self._stopping = True
        with contextlib.suppress(OSError):
            self._server.pull_trigger()
        if self._thread is not None:
            self._thread.join(0.5)
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=0.5)
        wasyncore.close_all(self._map, ignore_all=True)
        if self._socket is not None and self._stands():
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _stands(self) -> bool:
        """Say whether the socket is still where it was put."""
        with contextlib.suppress(OSError):
            return self._socket is None or os.path.samestat(self._path.lstat(), self._socket)
        return False

    def _run(self) -> None:
        idle = len(self._map)
        while not self._stopping:
            # Out of descriptors, none can be accepted, but those that wait would end each poll.
            self._server.accepting = _may_open()
            busy = len(self._map) > idle or not self._server.accepting
            wasyncore.loop(BUSY if busy else QUIET, use_poll=True, map=self._map, count=1)
            channels = list(self._server.active_channels.values())
            if len(channels) >= MOST_CONNECTIONS:
                _make_way(channels)
            for channel in channels:
                if not channel.total_outbufs_len:
                    channel.idle = channel.last_activity
                # The server itself closes only when it can write: never, if nobody reads.
                if channel.will_close or channel.last_activity - channel.idle > READING:
                    channel.handle_close()


def _make_way(channels: list[Any]) -> None:
    """Close the tenth that came first: no clock is asked, which may have been stepped."""
    waiting = [channel for channel in channels if not channel.requests]
    for channel in waiting[: MOST_CONNECTIONS // 10]:
        channel.will_close = True


class Listening:
    """At most one listener at a time; tells once why it cannot be opened."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._listener: Listener | None = None
        self._failing: str | None = None

    @property
    def alive(self) -> bool:
        """Whether it listens at present."""
        return self._listener is not None and self._listener.alive

    def open(self, address: Address, application: WSGIApplication) -> bool:
        """Listen there instead of anywhere else; False if the system refuses it."""
        self.close()
        listener = Listener(address, application)
        try:
            listener.open()
        except CredfreshError as error:
            if self._failing != error.message:
                self._failing = error.message
                self._emit(
                    "listen_failed", address=spell(address), error=error.message, hint=error.hint
                )
            return False
        self._listener = listener
        if self._failing is not None:
            self._failing = None
            self._emit("listen_recovered", address=spell(address))
        return True

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def spell(address: Address) -> str:
    """Return an address as the configuration spells it."""
    if isinstance(address, UnixAddress):
        return f"unix:{address.path}"
    return f"{address.url_host}:{address.port}"


def _bind(address: Address) -> tuple[socket.socket, os.stat_result | None]:
    if isinstance(address, UnixAddress):
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        where: Any = address.path
    else:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        where = (address.host, address.port)
    # Each connection inherits this.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    try:
        if isinstance(address, UnixAddress):
            _clear(address.path)
        bound.bind(where)
        return bound, _opened_up(address.path) if isinstance(address, UnixAddress) else None
    except OSError:
        bound.close()
        raise


def _opened_up(path: str) -> os.stat_result:
    """Let everybody connect whom its directory lets pass; do not follow a link in its place."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISSOCK(info.st_mode):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        Path(f"/proc/self/fd/{descriptor}").chmod(_SOCKET_MODE)
        return info
    finally:
        os.close(descriptor)


def _clear(path: str) -> None:
    """Remove a socket of ours on which nobody listens any more."""
    with contextlib.suppress(FileNotFoundError):
        info = os.lstat(path)
        if not stat.S_ISSOCK(info.st_mode) or info.st_uid != os.geteuid():
            return
        # Not blocking: else we would wait with others for accept.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            if probe.connect_ex(path) == errno.ECONNREFUSED:
                Path(path).unlink()


def _may_open() -> bool:
    """Say whether another file can be opened."""
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    return True


def _make_room() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
