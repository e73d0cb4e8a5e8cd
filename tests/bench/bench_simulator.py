"""How many AssumeRole a second the simulator serves: `python tests/bench/bench_simulator.py [S]`.

The simulator runs in a process of its own, on one core; the client is light (raw sockets, requests
signed beforehand) and runs on another core if there is one. Each line is for S seconds (default 3)
with some connections: requests a second, the share of a core that the simulator used, and its CPU
time for a request. Every answer is checked to be a grant.
"""

from __future__ import annotations

import multiprocessing
import os
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from credfresh.cli.clock import clock
from credfresh.simulator import Simulator

ROLE = "arn:aws:iam::222222222222:role/deploy"
GRANT = b"HTTP/1.1 200 "
END = b"</AssumeRoleResponse>\n"


def serve(pipe: Connection) -> None:
    """Run a simulator; answer each message with its CPU seconds, until the message is None."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with Simulator(clock) as sts:
        user = sts.add_user("arn:aws:iam::111111111111:user/ci")
        sts.add_role(ROLE, trusts={user.arn})
        pipe.send((sts.url, user.access_key_id, user.secret_access_key))
        while pipe.recv() is not None:
            pipe.send(time.process_time())


def signed_request(url: str, key_id: str, secret: str) -> bytes:
    """Return the bytes of one AssumeRole, valid for a quarter of an hour."""
    host = url.removeprefix("http://")
    body = urlencode(
        {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": ROLE,
            "RoleSessionName": "credfresh-build-host-production",
            "DurationSeconds": "3600",
        }
    )
    request = AWSRequest("POST", f"{url}/", {"Host": host}, body)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    SigV4Auth(Credentials(key_id, secret), "sts", "eu-west-1").add_auth(request)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def load(url: str, request: bytes, connections: int, seconds: float) -> int:
    """Ask on `connections` connections, again after each answer; return the number of grants."""
    host, _, port = url.removeprefix("http://").partition(":")
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        peer = socket.create_connection((host, int(port)))
        selector.register(peer, selectors.EVENT_READ, (peer, bytearray()))
        peer.sendall(request)
    grants = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1.0):
            peer, answer = key.data
            answer.extend(peer.recv(65536))
            if not answer.startswith(GRANT):
                raise RuntimeError(answer.decode())
            if answer.endswith(END):
                answer.clear()
                grants += 1
                peer.sendall(request)
    for key in list(selector.get_map().values()):
        key.data[0].close()
    return grants


@dataclass(frozen=True, slots=True)
class Served:
    """The simulator's figures for one number of connections."""

    connections: int
    a_second: float
    core: float
    """The share of a core that it used."""

    @property
    def each(self) -> float:
        """CPU seconds for a request."""
        return self.core / self.a_second


def served(seconds: float = 3.0) -> list[Served]:
    """Measure with 1, 4, 16 and 64 connections, for `seconds` each."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    server.start()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        url, key_id, secret = ours.recv()
        request = signed_request(url, key_id, secret)
        load(url, request, 4, 0.5)
        return [_served(ours, url, request, count, seconds) for count in (1, 4, 16, 64)]
    finally:
        os.sched_setaffinity(0, cores)
        ours.send(None)
        server.join()


def _served(
    server: Connection, url: str, request: bytes, connections: int, seconds: float
) -> Served:
    server.send("cpu")
    before = server.recv()
    grants = load(url, request, connections, seconds)
    server.send("cpu")
    return Served(connections, grants / seconds, (server.recv() - before) / seconds)


def main() -> None:
    """Measure and print."""
    for row in served(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0):
        print(  # noqa: T201 - a report
            f"{row.connections:3} connections  {row.a_second:8,.0f} AssumeRole/s  "
            f"{100 * row.core:4.0f} % of a core  {1e6 * row.each:5.0f} us CPU each"
        )


if __name__ == "__main__":
    main()
