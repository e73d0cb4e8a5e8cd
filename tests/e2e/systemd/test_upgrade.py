"""The Debian package on a machine that systemd has booted."""

from __future__ import annotations

from pathlib import Path

from credfresh import __version__
from credfresh.cli.clock import clock
from credfresh.simulator import Simulator
from debian import NEXT, package_in
from machine import Machine
from service import Service


def install(machine: Machine, packages: Path, version: str) -> None:
    """Install a version as apt-get would have dpkg do it, keeping an edited configuration."""
    package = package_in(packages, version).name
    machine.run("dpkg", "--force-confold", "--install", f"/mnt/{package}")


def test_readers_notice_neither_an_upgrade_nor_a_removal(packages: Path) -> None:
    """Through start, upgrade and removal readers always find valid keys, without another call."""
    with Machine({packages: "/mnt"}) as machine:
        sts = Simulator(clock)
        with machine.network():
            sts.start()
        install(machine, packages, __version__)
        service = Service(machine, sts, installed=True)
        service.reset()
        machine.run("systemctl", "enable", "credfresh")
        service.start()
        first, calls = service.pid, sts.count()
        assert service.readable("agent")

        install(machine, packages, NEXT)
        assert NEXT in machine.run("dpkg-query", "--show", "credfresh").stdout
        assert service.pid not in {0, first}
        assert "active" == service.show("ActiveState")
        assert service.readable("agent")
        assert not service.readable("stranger")
        machine.run("dpkg", "--remove", "credfresh")
        assert service.readable("agent")
        assert not service.readable("stranger")
        assert calls == sts.count()
        service.end()
        sts.stop()
