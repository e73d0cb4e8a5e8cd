"""The server's side: one thread for all clients, and bounds that no client can get past.

A client sends one line, gets one line, and is disconnected. It must send its line within
`REQUEST_TIME`, and read the answer within `ANSWER_TIME`; in between it may wait for as long as its
question allows. Nothing that a client does, or leaves undone, holds up another: sockets never
block here, and when all places are taken, the user who holds most of them loses the client that
has been silent longest.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from credfresh.control import protocol
from credfresh.control.clientele import MOST_CLIENTS, Client, Clientele, Peer, State, places
from credfresh.control.protocol import Request
from credfresh.errors import ControlCode, ControlError
from credfresh.model import Clock
from credfresh.values import dataclass

REQUEST_TIME = 5.0
"""Seconds from the connection to the end of the request."""

ANSWER_TIME = 10.0
"""Seconds that a client may take to read its answer."""

_BUSY = ControlError(ControlCode.BUSY, "too many clients at once", hint="try again in a moment")
_SEND_BUFFER = 32 * 1024
_AT_ONCE = 64
_SWEEP = 0.5
_IN = select.EPOLLIN | select.EPOLLRDHUP
_PEER = struct.Struct("3i")  # struct ucred, unix(7): pid, uid, gid


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks. `ticket` identifies the client until it is answered or has left."""

    ticket: int
    peer: Peer
    request: Request


Body = Callable[[], Mapping[str, Any]]
"""Makes an answer. It is called in the server's thread, so that it does not hold up the caller."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer for some clients: a body that is rendered once for all of them, or a whole line."""

    tickets: tuple[int, ...]
    body: Body | bytes


class Server:
    """Serves the clients of a listening socket, and gives each the next one of `tickets`.

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
        self._clients = Clientele(places(), privileged=frozenset({0, self._own}))
        self._paused = False
        self._sweep_at = 0.0
        self._answers: SimpleQueue[_Answer | socket.socket] = SimpleQueue()
        self._stop = False
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.epoll()
        self._poll.register(self._wakeup, select.EPOLLIN)
        self._poll.register(listener, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="credfresh-control", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def alive(self) -> bool:
        """Say whether the thread still runs."""
        return self._thread.is_alive()

    def answer(self, tickets: Iterable[int], body: Body) -> None:
        """Answer these clients, except those that have left."""
        self._send(_Answer(tuple(tickets), body))

    def refuse(self, tickets: Iterable[int], error: ControlError) -> None:
        """Answer these clients with an error."""
        self._send(_Answer(tuple(tickets), protocol.encode_error(error)))

    def move(self, listener: socket.socket) -> None:
        """Let clients in at another socket from now on; those who have come already stay."""
        self._send(listener)

    def stop(self, patience: float) -> None:
        """Disconnect all clients, and end; waits at most `patience` seconds for that."""
        self._stop = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(patience)
        # A thread that hangs keeps its descriptors: it might use a closed one when it is reused.
        if not self._thread.is_alive():
            for client in self._clients:  # also those of a thread that died of a mistake
                self._let_go(client)
            self._listener.close()
            self._poll.close()
            os.close(self._wakeup)

    def _send(self, answer: _Answer | socket.socket) -> None:
        self._answers.put(answer)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_write(self._wakeup, 1)

    def _run(self) -> None:
        while not self._stop:
            self._turn(_SWEEP if self._clients or self._paused else None)
        give_up = self._clock().boot + _SWEEP
        self._take_answers()
        for client in self._clients:
            if client.state is State.WAITING:
                self._turn_away(client, ControlError(ControlCode.STOPPING, "the daemon ends"))
        while any(c.unsent for c in self._clients) and self._clock().boot < give_up:
            self._turn(0.05)

    def _turn(self, timeout: float | None) -> None:
        arrivals = False
        for descriptor, _ in self._poll.poll(timeout, MOST_CLIENTS):
            if descriptor == self._wakeup:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wakeup)
            elif descriptor == self._listener.fileno():
                arrivals = not self._stop
            elif client := self._clients.at(descriptor):
                self._attend(client)
        # Last, since a new client may get the descriptor of one that has left above.
        if arrivals:
            self._let_in()
        self._take_answers()
        now = self._clock().boot
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP
            if self._paused:
                self._paused = False
                self._poll.modify(self._listener, select.EPOLLIN)
            for client in [c for c in self._clients if c.deadline <= now]:
                self._too_late(client)

    def _move(self, listener: socket.socket) -> None:
        while not self._stop and self._let_in():
            pass  # those who have connected to the old socket
        self._listener.close()  # which takes it out of the poll
        self._listener = listener
        self._poll.register(listener, select.EPOLLIN)

    def _let_in(self) -> bool:
        """Accept some connections; say whether there may be more."""
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return False
            except OSError:  # out of descriptors: accept nobody until the next sweep
                self._paused = True
                self._poll.modify(self._listener, 0)
                return False
            self._admit(accepted)
        return True

    def _admit(self, accepted: socket.socket) -> None:
        accepted.settimeout(0)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        ucred = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid, uid, _ = _PEER.unpack(ucred)
        deadline = self._clock().boot + REQUEST_TIME
        client = Client(accepted, next(self._tickets), Peer(pid, uid), deadline)
        self._poll.register(accepted, _IN)
        leaves = self._clients.admit(client)
        if leaves is not None:
            self._turn_away(leaves, _BUSY)
        if client.state is State.ASKING:
            self._read(client)

    def _attend(self, client: Client) -> None:
        match client.state:
            case State.ASKING:
                self._read(client)
            case State.WAITING:  # the only event for it is the end of the connection
                self._let_go(client)
            case State.ANSWERED:
                self._write(client)

    def _read(self, client: Client) -> None:
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
            self._turn_away(client, ControlError(ControlCode.TOO_LONG, message))
        else:
            self._take(client, bytes(line))

    def _take(self, client: Client, line: bytes) -> None:
        """Pass a question on, or refuse it: it may be malformed, or not allowed to this user."""
        client.received.clear()
        try:
            request = protocol.decode_request(line)
            protocol.check_right(request, uid=client.peer.uid, own=self._own)
        except ControlError as error:
            self._turn_away(client, error)
            return
        self._clients.enter(client, State.WAITING)
        # The answering side limits how long a question waits; this deadline is the last resort.
        client.deadline = self._clock().boot + protocol.MOST_TIMEOUT + ANSWER_TIME
        self._poll.modify(client.socket, 0)  # epoll tells the end of the connection even so
        self._ask(Question(client.ticket, client.peer, request))

    def _take_answers(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                answer = self._answers.get_nowait()
                if isinstance(answer, socket.socket):
                    self._move(answer)
                    continue
                body = answer.body
                line = body if isinstance(body, bytes) else protocol.encode_answer(body())
                for ticket in answer.tickets:
                    client = self._clients.holder(ticket)
                    if client is not None and client.state is State.WAITING:
                        self._reply(client, line)

    def _turn_away(self, client: Client, error: ControlError) -> None:
        self._reply(client, protocol.encode_error(error))

    def _reply(self, client: Client, line: bytes) -> None:
        self._clients.enter(client, State.ANSWERED)
        client.unsent = memoryview(line)
        client.deadline = self._clock().boot + ANSWER_TIME
        self._write(client)

    def _write(self, client: Client) -> None:
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

    def _too_late(self, client: Client) -> None:
        if client.state is State.ASKING:
            message = f"no request within {REQUEST_TIME:.0f} s"
            self._turn_away(client, ControlError(ControlCode.TOO_SLOW, message))
        else:
            self._let_go(client)

    def _let_go(self, client: Client) -> None:
        if client.state is State.WAITING:
            self._left(client.ticket)
        self._clients.leave(client)
        client.socket.close()  # which takes it out of the poll
