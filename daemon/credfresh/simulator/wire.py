"""HTTP/1.1 framing: turns bytes into requests, and replies into bytes. Pure."""

from __future__ import annotations

from http import HTTPStatus

from credfresh.values import dataclass

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers at most; a session token's header has some hundred bytes."""
BODY_LIMIT = 1024 * 1024
"""Bytes of a request body at most; the largest valid AssumeRole is about 60 KB."""


class WireError(Exception):
    """The bytes are no request that this server takes; the connection must be closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; header names in lower case, values stripped, order and repeats kept."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    keep_alive: bool = True

    def header(self, name: str) -> str | None:
        """Return the first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """One response. `announce` is the Content-Length to send; None: the true one."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    outcome: str = ""
    """The outcome for the journal; not sent."""
    announce: int | None = None
    close: bool = False

    def render(self) -> bytes:
        """Return the bytes to send."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        length = len(self.body) if self.announce is None else self.announce
        head = [f"HTTP/1.1 {self.status} {phrase}"]
        head += [f"{name}: {value}" for name, value in self.headers]
        head.append(f"Content-Length: {length}")
        if self.close:
            head.append("Connection: close")
        return "\r\n".join([*head, "", ""]).encode("latin-1", "replace") + self.body


class Framing:
    """Cuts the bytes of one connection into requests."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: HttpRequest | None = None
        self._length = 0

    def feed(self, data: bytes) -> None:
        """Add bytes that were received."""
        self._buffer += data

    @property
    def pending(self) -> int:
        """How many bytes have been fed and not been returned in a request yet."""
        return len(self._buffer)

    def next(self) -> HttpRequest | None:
        """Return the next whole request, or None if more bytes are needed.

        Raises WireError if the bytes are not HTTP/1.x, too many, or sent in chunks.
        """
        if self._head is None:
            self._head = self._take_head()
        head = self._head
        if head is None or len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._head = None
        return HttpRequest(head.method, head.target, head.headers, body, head.keep_alive)

    def _take_head(self) -> HttpRequest | None:
        end = self._buffer.find(b"\r\n\r\n", 0, HEAD_LIMIT)
        if end < 0:
            if len(self._buffer) >= HEAD_LIMIT:
                raise WireError(431, "request line and headers exceed 64 KiB")
            return None
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        head = _parse_head(lines)
        self._length = _body_length(head)
        return head


def _parse_head(lines: list[str]) -> HttpRequest:
    match lines[0].split(" "):
        case [method, target, "HTTP/1.1" | "HTTP/1.0" as version] if target.startswith("/"):
            pass
        case _:
            raise WireError(400, "no HTTP/1.x request line")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise WireError(400, "a header line is malformed")
        headers.append((name.lower(), value.strip()))
    request = HttpRequest(method, target, tuple(headers), b"")
    wish = (request.header("connection") or "").lower()
    keep_alive = wish != "close" if version == "HTTP/1.1" else wish == "keep-alive"
    return HttpRequest(method, target, request.headers, b"", keep_alive)


def _body_length(head: HttpRequest) -> int:
    if head.header("transfer-encoding") is not None:
        raise WireError(501, "transfer encodings are not implemented; send a Content-Length")
    lengths = {value for name, value in head.headers if name == "content-length"}
    if not lengths:
        return 0
    if len(lengths) > 1:
        raise WireError(400, "contradictory Content-Length headers")
    text = lengths.pop()
    if not (text.isascii() and text.isdigit()):
        raise WireError(400, "Content-Length is no number")
    # The number of digits is checked first: int() refuses absurdly long ones.
    if len(text) > len(str(BODY_LIMIT)) or int(text) > BODY_LIMIT:
        raise WireError(413, "the body exceeds 1 MiB")
    return int(text)
