"""The Debian package on a machine that systemd has booted."""

from __future__ import annotations

from pathlib import Path

from credfresh.simulator import Simulator
from debian import NEXT, installing
from machine import Machine
from service import Service
from simulated import true_clock


def test_readers_notice_neither_an_upgrade_nor_a_removal(packages: Path) -> None:
    """Installed, started, upgraded, removed: whoever looks finds valid keys, STS is asked once."""
    with Machine({packages: "/mnt"}) as machine:
        sts = Simulator(true_clock)
        with machine.network():
            sts.start()
        machine.run("sh", "-ec", installing())
        service = Service(machine, sts, installed=True)
        service.reset()
        machine.run("systemctl", "enable", "credfresh")
        service.start()
        first, calls = service.pid, sts.count()
        assert service.readable("agent")

        machine.run("sh", "-ec", installing(NEXT))
        assert NEXT in machine.run("dpkg-query", "--show", "credfresh").stdout
        assert service.pid not in {0, first}
        assert "active" == service.show("ActiveState")
        assert service.readable("agent")
        assert not service.readable("stranger")
        machine.run("apt-get", "--yes", "remove", "credfresh")
        assert service.readable("agent")
        assert not service.readable("stranger")
        assert calls == sts.count()
        service.end()
        sts.stop()
