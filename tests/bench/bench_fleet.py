"""What a fleet asks of STS and of its engine: `python tests/bench/bench_fleet.py [--json]`.

1. A simulation with the daemon's own policy, of two hours after a first one: 1, 100, 1,000 and
   10,000 hosts of 20 profiles with sessions of an hour, and one hub: calls to STS an hour, reads of
   the engine a second (mean, and the busiest second), bytes a second, the least life that a reader
   found on any host, and what a take-over by another hub costs.
2. A real OpenBao server (one node, TLS, raft, loopback): a steady 500 reads a second over kept
   connections while a hub publishes 20 profiles a second: median, p99, and the reads that were
   served; then as many reads as possible.

Exits with 1 if a bound is missed: calls to STS do not grow with the hosts; readers find half a
session; 500 reads a second with a p99 of at most 50 ms.
"""

from __future__ import annotations

import argparse
import heapq
import http.client
import json
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bao import MOUNT, PREFIX, Bao, ShiftedClock
from credfresh import policy
from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.publication import Publication
from credfresh.settings import RenewBefore
from credfresh.vault import lease, secret
from credfresh.vault.mirror import Mirror
from credfresh.vault.secret import Secret
from fakes import profile

PROFILES = 20
LIFETIME = 3600.0
HOURS = 3
LATENCY = 0.05
"""Seconds from a renewal until hosts can read it, in the simulation."""

READS = 500
PUBLISHES = 20
SECONDS = 20
READERS = 8


def granted(name: str, serial: int, now: float) -> Grant:
    """Return what STS grants at the second `now`."""
    keys = SessionCredentials(
        f"ASIA{name.upper()}{serial:08d}", "s" * 40, "t" * 800, now + LIFETIME
    )
    return Grant(keys, Instant(now, now), LIFETIME, LIFETIME, "request")


class Simulated:
    """One hub and many hosts, as a simulation of events with the real policy and secrets."""

    def __init__(self, hosts: int, *, takeover_at: float | None = None) -> None:
        self.hosts = hosts
        self.calls: list[float] = []
        self.reads: Counter[int] = Counter()
        self.size = 0
        self.least = LIFETIME
        self._serial = count()
        self._standing: dict[str, Secret] = {}
        self._expires: dict[tuple[str, int], float] = {}
        self._events: list[tuple[float, int, str, int]] = []
        self._order = count()
        self._takeover = takeover_at

    def run(self) -> None:
        """Simulate all hours."""
        for number in range(PROFILES):
            self._push(0.0, f"p{number}", -1)
            for host in range(self.hosts):
                self._push(1.0 + host / self.hosts, f"p{number}", host)
        while self._events and self._events[0][0] < HOURS * 3600:
            now, _, name, host = heapq.heappop(self._events)
            if host < 0:
                self._renew(now, name)
            else:
                self._follow(now, name, host)

    def _push(self, at: float, name: str, host: int) -> None:
        heapq.heappush(self._events, (at, next(self._order), name, host))

    def _renew(self, now: float, name: str) -> None:
        if self._takeover is not None and self._takeover <= now < self._takeover + lease.LEASE:
            self._push(self._takeover + lease.LEASE + lease.BEAT, name, -1)  # no hub leads
            return
        self.calls.append(now)
        grant = granted(name, next(self._serial), now)
        plan = policy.plan(grant, RenewBefore())
        after = plan.renew_at.wall - now
        self._standing[name] = secret.of_grant(
            grant, profile(name), renews_after=after, writer="hub"
        )
        self.size = len(json.dumps(secret.encoded(self._standing[name])))
        self._push(plan.renew_at.wall, name, -1)

    def _follow(self, now: float, name: str, host: int) -> None:
        self.reads[int(now)] += 1
        standing = self._standing[name]
        held = self._expires.get((name, host))
        if held is not None and now > 3600:
            self.least = min(self.least, held - now)
        if held == standing.expiration or now < standing.issued + LATENCY:
            self._push(now + 2.0, name, host)  # the hub is late: ask again
            return
        self._expires[name, host] = standing.expiration
        grant = standing.grant(Instant(now, now), now, request="r", salt=f"host-{host}")
        self._push(policy.plan(grant, RenewBefore()).renew_at.wall, name, host)

    def figures(self) -> dict[str, float]:
        """Return the figures of all hours after the first."""
        seconds = (HOURS - 1) * 3600
        later = {second: n for second, n in self.reads.items() if second >= 3600}
        reads = sum(later.values())
        return {
            "hosts": self.hosts,
            "sts_calls_an_hour": round(sum(at >= 3600 for at in self.calls) / (HOURS - 1), 1),
            "reads_a_second": round(reads / seconds, 2),
            "busiest_second": max(later.values(), default=0),
            "kilobytes_a_second": round(reads * self.size / seconds / 1000, 1),
            "least_life_s": round(self.least),
        }


def simulated() -> list[dict[str, float]]:
    """Return the figures of fleets of several sizes, and of one in which another hub takes over."""
    rows = []
    for hosts in (1, 100, 1_000, 10_000):
        fleet = Simulated(hosts)
        fleet.run()
        rows.append(fleet.figures())
    calm = Simulated(1_000)
    calm.run()
    # The worst moment: the hub dies just before a renewal.
    fleet = Simulated(1_000, takeover_at=next(at for at in calm.calls if at > 4000.0) - 1.0)
    fleet.run()
    return [*rows, {"take_over": 1, **fleet.figures()}]


class Load:
    """Readers at a steady pace, and a hub that publishes, on a real server."""

    def __init__(self, bao: Bao, directory: Path) -> None:
        self._bao = bao
        self._token = bao.token("host")
        self._hub = Mirror(
            bao.engine(bao.logged_in("hub", directory), ShiftedClock()),
            writer="hub",
            clock=ShiftedClock(),
        )
        self._context = ssl.create_default_context(cafile=str(bao.certificates.ca))
        self._pause = threading.Event()
        self.took: list[float] = []
        self.published = 0

    def run(self) -> dict[str, float]:
        """Publish everything once, then read and publish for SECONDS; return the figures."""
        for number in range(PROFILES):
            self._publish(number)
        start = time.monotonic() + 0.5
        with ThreadPoolExecutor(READERS + 1) as pool:
            hub = pool.submit(self._renew, start)
            for done in [pool.submit(self._read, start, number) for number in range(READERS)]:
                self.took += done.result()
            hub.result()
            began = time.monotonic()
            flat_out = [
                pool.submit(self._read, began, number, pace=False) for number in range(READERS)
            ]
            served = sum(len(done.result()) for done in flat_out)
            most = served / (time.monotonic() - began)
        ordered = sorted(self.took)
        return {
            "reads_a_second": round(len(ordered) / SECONDS, 1),
            "publishes_a_second": round(self.published / SECONDS, 1),
            "median_ms": round(statistics.median(ordered) * 1000, 2),
            "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
            "most_reads_a_second": round(most),
        }

    def _publish(self, number: int) -> None:
        clock = ShiftedClock()()
        grant = granted(f"p{number}", int(clock.wall * 1000) % 10**8, clock.wall)
        self._hub.publish(f"p{number}", Publication(profile(f"p{number}"), grant))

    def _renew(self, start: float) -> None:
        for turn in range(PUBLISHES * SECONDS):
            self._wait(start + turn / PUBLISHES)
            self._publish(turn % PROFILES)
            self.published += 1

    def _read(self, start: float, number: int, *, pace: bool = True) -> list[float]:
        took = []
        server = http.client.HTTPSConnection(
            "127.0.0.1", self._bao.node.port, timeout=30, context=self._context
        )
        for turn in range(READS * SECONDS // READERS):
            due = start + (turn + number / READERS) * READERS / READS
            if pace:
                self._wait(due)
            path = f"/v1/{MOUNT}/data/{PREFIX}/p{turn % PROFILES}"
            server.request("GET", path, headers={"X-Vault-Token": self._token})
            answer = server.getresponse()
            body = answer.read()
            # Counted from when it was due, so that a server that falls behind shows.
            took.append(time.monotonic() - due)
            if answer.status != http.HTTPStatus.OK or b"SessionToken" not in body:
                raise RuntimeError(f"status {answer.status}")
        server.close()
        return took

    def _wait(self, until: float) -> None:
        left = until - time.monotonic()
        if left > 0:
            self._pause.wait(left)


def measured() -> dict[str, float]:
    """Return the figures of a real server."""
    with tempfile.TemporaryDirectory() as name:
        bao = Bao(Path(name))
        try:
            return Load(bao, Path(name)).run()
        finally:
            bao.end()


def missed(rows: list[dict[str, float]], real: dict[str, float]) -> list[str]:
    """Return the bounds that are missed."""
    plain = [row for row in rows if "take_over" not in row]
    bounds = {
        "the calls of STS grow with the hosts": len({r["sts_calls_an_hour"] for r in plain}) == 1,
        "readers find less than half a session": all(r["least_life_s"] >= 1800 for r in plain),
        "a take-over is noticed": rows[-1]["least_life_s"] >= 1800 - 2 * lease.LEASE,
        f"{READS} reads a second": real["reads_a_second"] >= READS * 0.99,
        f"{PUBLISHES} publishes a second": real["publishes_a_second"] >= PUBLISHES * 0.99,
        "p99 of 50 ms": real["p99_ms"] <= 50,
    }
    return [name for name, kept in bounds.items() if not kept]


def main() -> int:
    """Simulate, measure and print; return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows, real = simulated(), measured()
    misses = missed(rows, real)
    if options.json:
        figures = {"simulated": rows, "measured": real, "missed": misses}
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        for row in [*rows, real]:
            sys.stdout.write("  ".join(f"{name} {value}" for name, value in row.items()) + "\n")
        sys.stdout.write("".join(f"MISSED: {each}\n" for each in misses))
    return 1 if misses else 0


if __name__ == "__main__":
    raise SystemExit(main())
