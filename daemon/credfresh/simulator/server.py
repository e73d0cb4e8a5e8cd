"""Serves HTTP/1.1 with keep-alive, on one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from concurrent.futures import Future
from typing import Any

from credfresh.simulator.dispatcher import Dispatcher, Exchange
from credfresh.simulator.faults import Drip, Hang, Reset
from credfresh.simulator.wire import Framing, Reply, WireError

MAX_CONNECTIONS = 2048
"""Connections at the same time; any further one is closed at once."""
_AHEAD_LIMIT = 4 * 1024 * 1024
"""Bytes that a client may send ahead of its answers; beyond it, nothing is read from it."""
_STOP_TIMEOUT = 10.0
_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class Server:
    """Listens from `start` to `stop`; can be started again, on the same port."""

    def __init__(self, dispatcher: Dispatcher, host: str, port: int) -> None:
        self.host = host
        self.port = port
        """0 until the first start, if any free port was asked for."""
        self.crashes: list[BaseException] = []
        """Errors of the simulator itself: they are bugs, whatever a client has sent."""
        self.dispatcher = dispatcher
        self.gate = asyncio.Event()
        """Set when hanging requests are released, and then replaced by a new one."""
        self.connections: set[_Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()
        self._deserted = asyncio.Event()

    def start(self) -> None:
        """Listen; return once connections are accepted. Raises OSError if the port is in use."""
        if self._thread is not None:
            raise RuntimeError("the simulator is running already")
        listening: Future[int] = Future()
        thread = threading.Thread(
            target=self._run, args=(listening,), name="sts-simulator", daemon=True
        )
        thread.start()
        try:
            self.port = listening.result()
        except (OSError, OverflowError):
            thread.join()
            raise
        self._thread = thread

    def stop(self) -> None:
        """Close the port and every connection; do nothing if it is not running."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError(f"the simulator did not stop within {_STOP_TIMEOUT:g} s")
        self._thread = None

    def release(self) -> None:
        """Let every request that hangs now be answered."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._open_gate)

    def left(self, connection: _Connection) -> None:
        """Forget a connection that is closed."""
        self.connections.discard(connection)
        if not self.connections:
            self._deserted.set()

    def _open_gate(self) -> None:
        self.gate.set()
        self.gate = asyncio.Event()

    def _run(self, listening: Future[int]) -> None:
        try:
            asyncio.run(self._serve(listening))
        except (OSError, OverflowError) as error:  # a port in use, a port that is none
            if listening.done():
                raise
            listening.set_exception(error)

    async def _serve(self, listening: Future[int]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._crashed)
        self._loop = loop
        self.gate = asyncio.Event()
        self._stopping = asyncio.Event()
        self._deserted = asyncio.Event()
        server = await loop.create_server(
            lambda: _Connection(self, loop), self.host, self.port, backlog=MAX_CONNECTIONS
        )
        listening.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()
        self._deserted.clear()
        for connection in tuple(self.connections):
            connection.abort()
        if self.connections:
            await self._deserted.wait()
        await server.wait_closed()

    def _crashed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.crashes.append(context.get("exception") or RuntimeError(context["message"]))


class _Connection(asyncio.Protocol):
    """One client: its requests are answered in order, one at a time."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._dispatcher = server.dispatcher
        self._loop = loop
        self._framing = Framing()
        self._transport: asyncio.Transport
        self._waiting: asyncio.Task[None] | None = None
        self._congested = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows what asyncio gives
        self._transport = transport
        self._server.connections.add(self)
        if len(self._server.connections) > MAX_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._server.left(self)
        if self._waiting is not None:
            self._waiting.cancel()

    def abort(self) -> None:
        """Close the connection without an answer."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._framing.feed(data)
        self._advance()
        if self._framing.pending > _AHEAD_LIMIT:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        self._go_on()

    def _advance(self) -> None:
        """Answer the requests that have arrived, up to one that has to wait."""
        while self._waiting is None and not self._congested and not self._transport.is_closing():
            # Taken before the request is noted, so that a release after the note frees it.
            gate = self._server.gate
            try:
                request = self._framing.next()
            except WireError as error:
                headers = (("Content-Type", "text/plain"),)
                self._send(Reply(error.status, headers, error.reason.encode(), close=True))
                return
            if request is None:
                return
            exchange = self._dispatcher.begin(request)
            plan = exchange.plan
            if plan.latency or isinstance(plan.outcome, Hang) or isinstance(plan.delivery, Drip):
                self._waiting = self._loop.create_task(self._answer_slowly(exchange, gate))
                self._waiting.add_done_callback(self._settled)
            else:
                self._answer(exchange)

    def _answer(self, exchange: Exchange) -> None:
        if isinstance(exchange.plan.outcome, Reset):
            self._dispatcher.end(exchange, "reset")
            self._reset()
            return
        reply = self._dispatcher.reply(exchange)
        # Before it is sent, so that a client with an answer finds it in the journal.
        self._dispatcher.end(exchange, reply.outcome)
        self._send(reply)

    async def _answer_slowly(self, exchange: Exchange, gate: asyncio.Event) -> None:
        plan = exchange.plan
        try:
            if plan.latency:
                await asyncio.sleep(plan.latency.seconds)
            if isinstance(plan.outcome, Hang):
                await gate.wait()
            if isinstance(plan.delivery, Drip) and not isinstance(plan.outcome, Reset):
                await self._drip(exchange, plan.delivery.seconds)
            else:
                self._answer(exchange)
        except asyncio.CancelledError:
            self._dispatcher.end(exchange, "abandoned")
            raise

    async def _drip(self, exchange: Exchange, seconds: float) -> None:
        reply = self._dispatcher.reply(exchange)
        *most, last = reply.render()
        for byte in most:
            self._transport.write(bytes((byte,)))
            await asyncio.sleep(seconds)
        self._dispatcher.end(exchange, reply.outcome)
        self._transport.write(bytes((last,)))
        if reply.close:
            self._transport.close()

    def _settled(self, task: asyncio.Task[None]) -> None:
        """Go on with the next request, once one that had to wait is answered."""
        self._waiting = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._server.crashes.append(error)
            self._transport.abort()
            return
        self._go_on()

    def _go_on(self) -> None:
        self._transport.resume_reading()
        self._advance()

    def _send(self, reply: Reply) -> None:
        self._transport.write(reply.render())
        if reply.close:
            self._transport.close()

    def _reset(self) -> None:
        peer: socket.socket = self._transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self._transport.abort()
