"""What the control socket can bear: `python tests/bench/bench_control.py [--json]`.

A real daemon in a process of its own, asked over its socket by raw clients in this one:

- 1,000 clients that `ensure` the same profile at once, which takes a renewal: the number of calls
  to STS, and the seconds until the last client is answered;
- one client's `status` while 300 others stall (silent, half a request, an answer that is not read),
  as the worst of 50 in milliseconds, beside the same without the others;
- `status` of 10,000 profiles, and the CPU seconds of the daemon while 20 clients ask for it again
  and again for 10 s.

Exits with 1 if a bound is missed: one call with all answered; 1 s beside stalled clients.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from asking import STATUS, connect, exchange, received
from credfresh.cli.clock import clock
from credfresh.control import protocol
from credfresh.simulator import Simulator
from host import Host

CROWD = 1000
STALLED = 300
LOOKS = 50
MANY = 10_000


class Place:
    """A host with a daemon that has a control socket."""

    def __init__(self, directory: str, sts: Simulator) -> None:
        root = Path(directory)
        self.host = Host(root, sts)
        self.socket = root / "run" / "control.sock"
        self.extra = f"control:\n  socket: {self.socket}\n"
        self.host.configure(extra=self.extra)

    def start(self) -> int:
        """Start the daemon; return its process id."""
        running = self.host.start("run")
        running.wait_for("daemon_ready")
        return running.process.pid


def crowd(place: Place) -> dict[str, Any]:
    """Let 1,000 clients ensure a profile that needs a renewal; return the figures."""
    place.start()
    threading.Event().wait(8)
    sts = place.host.sts
    before = sts.count("AssumeRole")
    request = protocol.encode_request(protocol.Ensure("production", 3594, 60))
    began = time.perf_counter()
    clients = [connect(place.socket) for _ in range(CROWD)]
    for client in clients:
        client.sendall(request)
    answers = []
    for client in clients:
        answers.append(json.loads(received(client)))
        client.close()
    took = time.perf_counter() - began
    reached = sum(answer.get("answer", {}).get("reached", False) for answer in answers)
    return {"asked": CROWD, "reached": reached, "calls": sts.count("AssumeRole") - before,
            "last_after_s": round(took, 2)}  # fmt: skip


def looks(place: Place) -> list[float]:
    """Ask for the status 50 times; return the milliseconds of each."""
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        exchange(place.socket)
        took.append((time.perf_counter() - began) * 1000)
    return took


def stalled(place: Place) -> dict[str, Any]:
    """Ask for the status beside stalled clients; return the figures."""
    alone = looks(place)
    report = {"alone_ms": round(statistics.median(alone), 2)}
    for kind, sent in (("silent", b""), ("half", STATUS[:10]), ("unread", STATUS)):
        clients: list[socket.socket] = []
        for _ in range(STALLED):
            client = connect(place.socket)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.sendall(sent)
            clients.append(client)
        beside = looks(place)
        report[f"{kind}_median_ms"] = round(statistics.median(beside), 2)
        report[f"{kind}_worst_ms"] = round(max(beside), 2)
        for client in clients:
            client.close()
    return report


def many(place: Place) -> dict[str, Any]:
    """Ask a daemon of 10,000 profiles for its status; return the figures."""
    profiles = "".join(
        f"  p{n:05}:\n    role_arn: arn:aws:iam::111111111111:role/development\n"
        for n in range(MANY)
    )
    place.host.sts.remove_role("arn:aws:iam::111111111111:role/development")
    place.host.configure(profiles, extra=place.extra + "sts:\n  calls_per_second: 0.1\n")
    running = place.host.start("run")
    running.wait_for("control_opened")
    exchange(place.socket)
    began = time.perf_counter()
    answer = exchange(place.socket)
    took = time.perf_counter() - began
    before = cpu_of(running.process.pid)
    end = time.monotonic() + 10
    clients: dict[int, socket.socket] = {}
    poll = select.epoll()
    answered = 0
    while time.monotonic() < end:
        while len(clients) < 20:
            client = connect(place.socket)
            client.sendall(STATUS)
            clients[client.fileno()] = client
            poll.register(client, select.EPOLLIN)
        for descriptor, _ in poll.poll(0.1):
            if not clients[descriptor].recv(1 << 20):
                answered += 1
                clients.pop(descriptor).close()
    return {
        "profiles": len(answer["answer"]["profiles"]),
        "bytes": len(json.dumps(answer)),
        "took_ms": round(took * 1000),
        "answered_in_10_s": answered,
        "daemon_cpu_s": round(cpu_of(running.process.pid) - before, 2),
    }


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure and print; return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.umask(0o022)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    report: dict[str, dict[str, Any]] = {}
    for name, part in (("crowd", crowd), ("stalled", None), ("many", many)):
        with (
            tempfile.TemporaryDirectory(prefix="credfresh-bench-") as directory,
            Simulator(clock) as sts,
        ):
            place = Place(directory, sts)
            try:
                if part is None:
                    place.start()
                    report[name] = stalled(place)
                else:
                    report[name] = part(place)
            finally:
                place.host.end()
    worst = max(ms for key, ms in report["stalled"].items() if key.endswith("worst_ms"))
    one = {"reached": CROWD, "calls": 1}
    good = one.items() <= report["crowd"].items() and worst <= 1000
    if arguments.json:
        lines = [json.dumps({**report, "good": good})]
    else:
        lines = [
            f"{name}: " + "  ".join(f"{key} {value}" for key, value in part.items())
            for name, part in report.items()
        ]
        lines.append("within bounds" if good else "OUT OF BOUNDS: one call, all reached, 1 s")
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
