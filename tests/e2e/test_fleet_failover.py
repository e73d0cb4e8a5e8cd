"""A fleet on three nodes, while nodes and hubs die, sleep or are sealed."""

from __future__ import annotations

import random  # noqa: TID251 - which fault comes next; the seed is told
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bao import PREFIX
from bao_cluster import BaoCluster
from credfresh.simulator import Simulator
from fleet import Fleet, Reader, follow, keys
from host import Host, Running, wait_until

LIFETIME = 60
"""The seconds that a session lasts; a take-over or an election may cost half of them."""


@pytest.fixture(name="cluster")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaoCluster]:
    cluster = BaoCluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end()


class Siege:
    """Breaks one thing at a time, waits, and repairs it."""

    def __init__(self, cluster: BaoCluster, hubs: list[Host], chance: random.Random) -> None:
        self._cluster = cluster
        self._hubs = hubs
        self._chance = chance
        self.running: list[Running] = [follow(hub) for hub in hubs]
        self.told: list[str] = []

    def strike(self, pause: threading.Event) -> None:
        """Break something, wait, and repair it."""
        fault = self._chance.choice(
            ["kill node", "pause node", "seal node", "kill hub", "pause hub"]
        )
        which = self._chance.randrange(2 if fault.endswith("hub") else 3)
        self.told.append(f"{fault} {which + 1}")
        node = self._cluster.nodes[which]
        match fault:
            case "kill node":
                node.kill()
            case "pause node":
                node.signal(signal.SIGSTOP)
            case "seal node":
                self._cluster.seal(node)
            case "kill hub":
                self.running[which].signal(signal.SIGKILL)
                self.running[which].wait()
            case _:
                self.running[which].signal(signal.SIGSTOP)
        pause.wait(self._chance.uniform(3.0, 8.0))
        if fault == "kill hub":
            self.running[which] = self._hubs[which].start("run")
        elif fault == "pause hub":
            self.running[which].signal(signal.SIGCONT)
        else:
            self._cluster.mend()
        pause.wait(self._chance.uniform(4.0, 8.0))


@pytest.mark.waits
@pytest.mark.timeout(900)
@pytest.mark.parametrize("strikes", [3, pytest.param(40, marks=pytest.mark.long)])
def test_whatever_dies_no_reader_on_a_host_notices(
    cluster: BaoCluster, sts: Simulator, tmp_path: Path, strikes: int
) -> None:
    """No reader finds expired or torn credentials, or older ones after newer ones."""
    tmp_path.chmod(0o700)
    sts.grant_seconds = LIFETIME
    fleet = Fleet(tmp_path, sts, cluster, f"{PREFIX}/siege")
    seed = random.SystemRandom().randrange(2**32)
    try:
        siege = Siege(cluster, [fleet.hub("hub1"), fleet.hub("hub2")], random.Random(seed))
        hosts = [fleet.host("a"), fleet.host("b")]
        for host in hosts:
            follow(host)
        with Reader(hosts[0]) as one, Reader(hosts[1]) as other:
            pause = threading.Event()
            for _ in range(strikes):
                siege.strike(pause)
            before = keys(hosts[0])
            wait_until(lambda: keys(hosts[0]).isdisjoint(before), "the fleet goes on", 90.0)
    finally:
        fleet.end()
    told = f"seed {seed}: {', '.join(siege.told)}"
    for reader in (one, other):
        assert reader.reads > 100, told
        assert (0, 0) == (reader.torn, reader.backwards), told
        assert min(reader.least.values()) > 0, told
