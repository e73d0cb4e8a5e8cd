"""The side that serves: one thread for all clients, and bounds that no client can get past.

A client sends one line, is answered with one line, and is let go. Its line must be there within
`REQUEST_TIME`, the answer be taken within `ANSWER_TIME`; in between it may wait for as long as its
question allows. Nothing that a client does, or leaves undone, holds up another: sockets never
block here, and when all places are taken, whoever has been silent longest of the user who holds
most of them loses his.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Any

from credfresh.control import protocol
from credfresh.control.protocol import Request, RequestError
from credfresh.model import Clock

MOST_CLIENTS = 2048
"""Clients at the same time; each costs some 2 KB, and 32 KB of the kernel's while answered."""

MOST_OF_ONE_USER = 1536
"""Of these, for one user who is neither root nor ourselves."""

SPARE_DESCRIPTORS = 512
"""File descriptors that are left to the rest of the daemon, whatever clients do."""

REQUEST_TIME = 5.0
"""Seconds from being let in to the end of the request."""

ANSWER_TIME = 10.0
"""Seconds that a client may take to read its answer."""

_SEND_BUFFER = 32 * 1024
_AT_ONCE = 64
_SWEEP = 0.5
_IN = select.EPOLLIN | select.EPOLLRDHUP
_PEER = struct.Struct("3i")  # struct ucred, unix(7): pid, uid, gid


@dataclass(frozen=True, slots=True)
class Peer:
    """Who connected, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks; `ticket` names it until it is answered or has left."""

    ticket: int
    peer: Peer
    request: Request


Body = Callable[[], Mapping[str, Any]]
"""Makes an answer. Called in the server's thread: what takes long does so there."""


class _State(Enum):
    ASKING = "asking"
    WAITING = "waiting"
    ANSWERED = "answered"


@dataclass(slots=True, eq=False)
class _Client:
    socket: socket.socket
    ticket: int
    peer: Peer
    deadline: float
    state: _State = _State.ASKING
    received: bytearray = field(default_factory=bytearray)
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What goes out to some clients: an answer to be rendered once for all, or a finished line."""

    tickets: tuple[int, ...]
    body: Body | bytes


class Server:
    """Serves the clients of a listening socket. `tickets` are the names that they are given.

    `ask` is given each question, and `left` the ticket of each client that goes away without an
    answer. Both are called in the server's thread and must not block. `answer` and `refuse` may
    be called from any thread.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        clock: Clock,
        tickets: Iterator[int],
        ask: Callable[[Question], None],
        left: Callable[[int], None],
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._tickets = tickets
        self._ask = ask
        self._left = left
        self._own = os.geteuid()
        self._places = places()
        self._clients: dict[int, _Client] = {}
        self._by_ticket: dict[int, _Client] = {}
        self._of_user: Counter[int] = Counter()
        self._asking: dict[int, dict[int, _Client]] = {}
        self._deaf = False
        self._sweep_at = 0.0
        self._answers: SimpleQueue[_Answer] = SimpleQueue()
        self._stop = False
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.epoll()
        self._poll.register(self._bell, select.EPOLLIN)
        self._poll.register(listener, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="credfresh-control", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def alive(self) -> bool:
        """Say whether it still serves."""
        return self._thread.is_alive()

    def answer(self, tickets: Iterable[int], body: Body) -> None:
        """Answer these clients; who has left is passed over."""
        self._send(_Answer(tuple(tickets), body))

    def refuse(self, tickets: Iterable[int], error: RequestError) -> None:
        """Answer these clients with an error."""
        line = protocol.encode_error(error.code, error.message, hint=error.hint)
        self._send(_Answer(tuple(tickets), line))

    def stop(self, patience: float) -> None:
        """Let all clients go, those who still read their answer within `patience` seconds."""
        self._stop = True
        self._ring()
        if self._thread.is_alive():
            self._thread.join(patience)
        # A thread that hangs keeps its descriptors: to close them under it could hit others'.
        if not self._thread.is_alive():
            self._listener.close()
            self._poll.close()
            os.close(self._bell)

    def _send(self, answer: _Answer) -> None:
        self._answers.put(answer)
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_write(self._bell, 1)

    def _run(self) -> None:
        while not self._stop:
            self._turn(_SWEEP if self._clients or self._deaf else None)
        give_up = self._clock().boot + _SWEEP
        self._take_answers()
        for client in list(self._clients.values()):
            if client.state is _State.WAITING:
                self._reply(client, protocol.encode_error("stopping", "the daemon ends"))
        while any(c.unsent for c in self._clients.values()) and self._clock().boot < give_up:
            self._turn(0.05)
        for client in list(self._clients.values()):
            self._let_go(client)

    def _turn(self, timeout: float | None) -> None:
        for descriptor, _ in self._poll.poll(timeout, MOST_CLIENTS):
            if descriptor == self._bell:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._bell)
            elif descriptor == self._listener.fileno():
                if not self._stop:
                    self._let_in()
            elif client := self._clients.get(descriptor):
                self._attend(client)
        self._take_answers()
        now = self._clock().boot
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP
            if self._deaf:
                self._deaf = False
                self._poll.modify(self._listener, select.EPOLLIN)
            for client in [c for c in self._clients.values() if c.deadline <= now]:
                self._too_late(client)

    def _let_in(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # out of descriptors: until the next sweep, those who are in matter
                self._deaf = True
                self._poll.modify(self._listener, 0)
                return
            self._admit(accepted)

    def _admit(self, accepted: socket.socket) -> None:
        accepted.settimeout(0)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        pid, uid, _ = _PEER.unpack(
            accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        )
        deadline = self._clock().boot + REQUEST_TIME
        client = _Client(accepted, next(self._tickets), Peer(pid, uid), deadline)
        self._clients[accepted.fileno()] = self._by_ticket[client.ticket] = client
        self._asking.setdefault(uid, {})[client.ticket] = client
        self._of_user[uid] += 1
        self._poll.register(accepted, _IN)
        most = self._places * MOST_OF_ONE_USER // MOST_CLIENTS
        if self._of_user[uid] > most and uid not in (0, self._own):
            self._make_room(uid, client)
        elif len(self._clients) > self._places:
            self._make_room(self._of_user.most_common(1)[0][0], client)
        if client.state is _State.ASKING:
            self._read(client)

    def _make_room(self, uid: int, newcomer: _Client) -> None:
        """Send away who has been silent longest of a user's clients; the newcomer if none is."""
        silent = self._asking.get(uid) or {newcomer.ticket: newcomer}
        self._reply(next(iter(silent.values())), _busy())

    def _attend(self, client: _Client) -> None:
        match client.state:
            case _State.ASKING:
                self._read(client)
            case _State.WAITING:  # only the end of the connection wakes us
                self._let_go(client)
            case _State.ANSWERED:
                self._write(client)

    def _read(self, client: _Client) -> None:
        room = protocol.MOST_REQUEST + 1 - len(client.received)
        try:
            data = client.socket.recv(room)
        except BlockingIOError:
            return
        except OSError:
            self._let_go(client)
            return
        client.received += data
        line, end, _ = client.received.partition(b"\n")
        if not end and data and len(client.received) < protocol.MOST_REQUEST:
            return
        if not client.received:
            self._let_go(client)
        elif len(line) >= protocol.MOST_REQUEST:
            message = f"a request has at most {protocol.MOST_REQUEST:,} bytes"
            self._reply(client, protocol.encode_error("too_long", message))
        else:
            self._take(client, bytes(line))

    def _take(self, client: _Client, line: bytes) -> None:
        """Hand on a question, unless it is none, or not this client's to ask."""
        client.received.clear()
        try:
            request = protocol.decode_request(line)
            self._check_right(client.peer, request)
        except RequestError as error:
            line = protocol.encode_error(error.code, error.message, hint=error.hint)
            self._reply(client, line)
            return
        self._enter(client, _State.WAITING)
        # Whoever waits is bounded by who answers; this is the last resort.
        client.deadline = self._clock().boot + protocol.MOST_TIMEOUT + ANSWER_TIME
        self._poll.modify(client.socket, 0)  # the end of the connection is told even so
        self._ask(Question(client.ticket, client.peer, request))

    def _check_right(self, peer: Peer, request: Request) -> None:
        """Raise RequestError unless the peer may ask this.

        Under PrivateUsers= the kernel shows us every other user as nobody (65534): neither root's
        number nor ours can be had that way.
        """
        if isinstance(request, protocol.PRIVILEGED) and peer.uid not in (0, self._own):
            raise RequestError(
                "not_allowed",
                f"{type(request).__name__.lower()} is for root and the daemon's user"
                f" (uid {self._own}); you are uid {peer.uid}",
                hint="sudo, or ask for status and ensure only",
            )

    def _take_answers(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                answer = self._answers.get_nowait()
                body = answer.body
                line = body if isinstance(body, bytes) else protocol.encode_answer(body())
                for ticket in answer.tickets:
                    client = self._by_ticket.get(ticket)
                    if client is not None and client.state is _State.WAITING:
                        self._reply(client, line)

    def _reply(self, client: _Client, line: bytes) -> None:
        self._enter(client, _State.ANSWERED)
        client.unsent = memoryview(line)
        client.deadline = self._clock().boot + ANSWER_TIME
        self._write(client)

    def _write(self, client: _Client) -> None:
        try:
            while client.unsent:
                sent = client.socket.send(client.unsent, socket.MSG_NOSIGNAL)
                client.unsent = client.unsent[sent:]
        except BlockingIOError:
            self._poll.modify(client.socket, select.EPOLLOUT)
            return
        except OSError:
            pass
        self._let_go(client)

    def _too_late(self, client: _Client) -> None:
        if client.state is _State.ASKING:
            message = f"no request within {REQUEST_TIME:.0f} s"
            self._reply(client, protocol.encode_error("too_slow", message))
        else:
            self._let_go(client)

    def _enter(self, client: _Client, state: _State) -> None:
        if client.state is _State.ASKING:
            silent = self._asking[client.peer.uid]
            del silent[client.ticket]
            if not silent:
                del self._asking[client.peer.uid]
        client.state = state

    def _let_go(self, client: _Client) -> None:
        if client.state is _State.WAITING:
            self._left(client.ticket)
        self._enter(client, _State.ANSWERED)
        del self._clients[client.socket.fileno()]
        del self._by_ticket[client.ticket]
        self._of_user[client.peer.uid] -= 1
        if not self._of_user[client.peer.uid]:
            del self._of_user[client.peer.uid]
        client.socket.close()  # which takes it out of the poll


def places() -> int:
    """Return how many clients there may be, after asking the system for as many as we want.

    systemd.exec(5): a service has a soft limit of 1,024 descriptors and a hard one far above.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CLIENTS + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MOST_CLIENTS
    return max(8, min(MOST_CLIENTS, soft - SPARE_DESCRIPTORS))


def _busy() -> bytes:
    return protocol.encode_error(
        "busy", "too many clients at the same time", hint="try again in a moment"
    )
