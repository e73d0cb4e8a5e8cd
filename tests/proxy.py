"""An HTTP proxy on loopback that decrypts TLS, as company proxies do."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from types import TracebackType
from typing import Self

from bao import Certificates


class OpeningProxy:
    """Answers CONNECT, shows a certificate of its own, and passes what it reads on to `upstream`.

    `asked` has the hosts that clients wanted to reach, in order.
    """

    def __init__(self, certificates: Certificates, upstream: str) -> None:
        self._certificates = certificates
        found = re.fullmatch(r"http://([\d.]+):(\d+)/?", upstream)
        assert found is not None
        self._upstream = (found[1], int(found[2]))
        self._lock = threading.Lock()
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def _accept(self) -> None:
        serving: list[threading.Thread] = []
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                serving.append(threading.Thread(target=self._serve, args=(client,)))
                serving[-1].start()
        for thread in serving:
            thread.join()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # a client that trusts nothing hangs up
            client.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            [host] = re.findall(rb"^CONNECT ([^:]+):443 ", head)
            self.asked.append(host.decode())
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with (
                self._shown(host.decode()).wrap_socket(client, server_side=True) as opened,
                socket.create_connection(self._upstream) as server,
            ):
                back = threading.Thread(target=_pass, args=(server, opened))
                back.start()
                _pass(opened, server)
                back.join()

    def _shown(self, host: str) -> ssl.SSLContext:
        with self._lock:  # each time the certificate's file is written anew
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._certificates.make(host))
        return context

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until one side ends; then end the other side."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
