"""An STS for benchmarks only, which costs next to nothing and checks nothing.

`python tests/bench/fast_sts.py` listens on a free port of loopback and prints it. Each line on
stdin is a JSON object of wishes, answered by a line of figures: {"calls": …, "cpu_s": …}. Wishes:
`delay` (seconds before each answer), `life` (seconds granted, instead of those asked for), `fail`
(answer 503 instead).

Demo and tests use the simulator, which checks what AWS checks and serves about 1,000 requests a
second; this one serves ten times as many, so that the client is what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ASKED = re.compile(rb"(?:^|&)(Action|DurationSeconds)=([A-Za-z0-9]+)")

_HEAD = (
    "HTTP/1.1 {status}\r\nx-amzn-RequestId: 0\r\nContent-Type: text/xml\r\n"
    "Date: {date}\r\nContent-Length: {length}\r\n\r\n{body}"
)
_GRANT = (
    '<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
    "<AssumedRoleUser><AssumedRoleId>AROAFAKE:bench</AssumedRoleId>"
    "<Arn>arn:aws:sts::111111111111:anybody-whoever-asks</Arn></AssumedRoleUser>"
    "<Credentials><AccessKeyId>ASIA{serial:016d}</AccessKeyId>"
    "<SecretAccessKey>bench/{serial:034d}</SecretAccessKey>"
    "<SessionToken>{token}{serial:016d}</SessionToken><Expiration>{until}</Expiration>"
    "</Credentials></{action}Result>"
    "<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{action}Response>"
)
_IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    "<GetCallerIdentityResult><Arn>arn:aws:iam::111111111111:user/ci</Arn><UserId>AIDAFAKE</UserId>"
    "<Account>111111111111</Account></GetCallerIdentityResult>"
    "<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
)
_FAILURE = (
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type>'
    "<Code>ServiceUnavailable</Code><Message>an outage</Message></Error>"
    "<RequestId>0</RequestId></ErrorResponse>"
)
TOKEN = "IQoJ" + "bench/token+" * 65
"""With the serial number about 800 characters, as long as AWS's."""


@dataclass(slots=True)
class Sts:
    """Counts its calls, and answers as wished."""

    delay: float = 0.0
    life: float | None = None
    fail: bool = False
    calls: int = 0
    serial: int = 0
    _rendered: tuple[int, str] = (0, "")
    _until: dict[float, str] = field(default_factory=dict)

    def wish(self, wishes: dict[str, Any]) -> dict[str, float]:
        """Apply wishes; return the figures so far."""
        self.delay = wishes.get("delay", self.delay)
        self.life = wishes.get("life", self.life)
        self.fail = wishes.get("fail", self.fail)
        return {"calls": self.calls, "cpu_s": time.process_time()}

    def answer(self, body: bytes) -> bytes:
        """Return the whole answer to one request."""
        asked = dict(_ASKED.findall(body))
        action = asked.get(b"Action", b"").decode()
        if action == "GetCallerIdentity":
            return self._reply("200 OK", _IDENTITY)
        self.calls += 1
        if self.fail:
            return self._reply("503 Service Unavailable", _FAILURE)
        self.serial += 1
        life = self.life or float(asked.get(b"DurationSeconds", b"3600"))
        grant = _GRANT.format(
            action=action, serial=self.serial, token=TOKEN, until=self._expiration(life)
        )
        return self._reply("200 OK", grant)

    def _reply(self, status: str, body: str) -> bytes:
        self._turn()
        date = self._rendered[1]
        return _HEAD.format(status=status, date=date, length=len(body), body=body).encode()

    def _expiration(self, life: float) -> str:
        self._turn()
        if life not in self._until:
            wall = time.gmtime(self._rendered[0] + life)
            self._until[life] = time.strftime("%Y-%m-%dT%H:%M:%SZ", wall)
        return self._until[life]

    def _turn(self) -> None:
        """Render the times anew if another second has begun."""
        second = int(time.time())  # noqa: TID251 - real clients compare it with their own
        if second != self._rendered[0]:
            self._rendered = second, formatdate(second, usegmt=True)
            self._until.clear()


class Door(asyncio.Protocol):
    """A connection that is kept for requests one after another."""

    def __init__(self, sts: Sts) -> None:
        self._sts = sts
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for answers."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._read, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._read) < whole:
                return
            body, self._read = self._read[end + 4 : whole], self._read[whole:]
            if self._sts.delay:
                asyncio.get_running_loop().call_later(self._sts.delay, self._answer, body)
            else:
                self._answer(body)

    def _answer(self, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._sts.answer(body))


async def serve() -> None:
    """Serve until stdin ends."""
    sts = Sts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Door(sts), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    wishes = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(wishes), sys.stdin)
    while line := await wishes.readline():
        sys.stdout.write(json.dumps(sts.wish(json.loads(line))) + "\n")
        sys.stdout.flush()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
