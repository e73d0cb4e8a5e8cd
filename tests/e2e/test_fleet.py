"""Hubs and hosts as they are installed, on a real OpenBao server and the simulated STS."""

from __future__ import annotations

import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Self

import botocore.configloader
import botocore.exceptions
import pytest

from bao import PREFIX, Bao
from credfresh.simulator import Simulator
from host import ENVIRONMENTS, Host, Running, wait_until


@pytest.fixture(name="bao", scope="module")
def _bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    server = Bao(tmp_path_factory.mktemp("bao"))
    yield server
    server.end()


def engine(bao: Bao, host: Host, policy: str, prefix: str) -> str:
    """Return the mapping `vault` of a configuration, logged in by a token in a file."""
    token = host.root / f"{policy}.token"
    token.write_text(bao.token(policy))
    return (
        f"{{address: '{bao.address}', ca_file: {bao.certificates.ca},"
        f" prefix: {prefix}, auth: {{token_file: {token}}}}}"
    )


class Fleet:
    """Hosts in directories; all end with the test."""

    def __init__(self, root: Path, sts: Simulator, bao: Bao, prefix: str) -> None:
        self._prefix = prefix
        self._root = root
        self._sts = sts
        self._bao = bao
        self.all: list[Host] = []

    def host(self, name: str) -> Host:
        """Return a host that holds no AWS identity and follows the hubs."""
        host = self._new(name)
        host.source.unlink()
        profiles = "".join(f"  {each}: {{}}\n" for each in ENVIRONMENTS)
        host.config.write_text(
            f"credentials_file:\n  path: {host.credentials}\n"
            f"sources:\n  fleet:\n    vault: {engine(self._bao, host, 'host', self._prefix)}\n"
            f"defaults:\n  source: fleet\n  region: eu-west-1\nprofiles:\n{profiles}"
        )
        return host

    def hub(self, name: str) -> Host:
        """Return a host that asks STS and publishes."""
        host = self._new(name)
        host.configure(extra=f"vault: {engine(self._bao, host, 'hub', self._prefix)}\n")
        return host

    def end(self) -> None:
        """End every process."""
        for host in self.all:
            host.end()

    def _new(self, name: str) -> Host:
        root = self._root / name
        root.mkdir(mode=0o700)
        host = Host(root, self._sts)
        self.all.append(host)
        return host


@pytest.fixture(name="fleet")
def _fleet(
    request: pytest.FixtureRequest, tmp_path: Path, sts: Simulator, bao: Bao
) -> Iterator[Fleet]:
    tmp_path.chmod(0o700)
    name = request.node.name.replace("[", "-").replace("]", "")
    fleet = Fleet(tmp_path, sts, bao, f"{PREFIX}/{name}")
    yield fleet
    fleet.end()


class Reader:
    """Reads a host's file all the time, as botocore does, and remembers what it found."""

    def __init__(self, host: Host) -> None:
        self._path = host.credentials
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.reads = self.torn = 0
        self.least: dict[str, float] = {}
        self.expirations: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def backwards(self) -> int:
        """How often an older credential came after a newer one."""
        return sum(
            later < earlier
            for moments in self.expirations.values()
            for earlier, later in itertools.pairwise(moments)
        )

    def _run(self) -> None:
        while not self._end.wait(0.02):
            try:
                sections = botocore.configloader.raw_config_parse(str(self._path))
            except botocore.exceptions.BotoCoreError:
                self.torn += 1
                continue
            self.reads += 1
            self.torn += set(sections) != set(ENVIRONMENTS)
            now = time.time()  # noqa: TID251 - a real reader
            for name, values in sections.items():
                expires = datetime.fromisoformat(values["x_security_token_expires"]).timestamp()
                self.least[name] = min(self.least.get(name, 1e9), expires - now)
                seen = self.expirations.setdefault(name, [])
                if not seen or seen[-1] != expires:
                    seen.append(expires)


def keys(host: Host) -> set[str]:
    """Return the access key ids that stand in a host's file."""
    return {section["aws_access_key_id"] for section in host.sections().values()}


def calls(sts: Simulator) -> int:
    """Return how often a role was assumed."""
    return sts.count("AssumeRole")


def follow(host: Host) -> Running:
    """Start a daemon and wait until all is published."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    return running


def test_hosts_without_an_identity_have_what_the_hub_renewed(fleet: Fleet, sts: Simulator) -> None:
    """Two hosts hold the very sessions that one hub asked for: three calls, nine sections."""
    hub, hosts = fleet.hub("hub"), [fleet.host("a"), fleet.host("b")]
    follow(hub)
    for host in hosts:
        follow(host)

    assert keys(hub) == keys(hosts[0]) == keys(hosts[1])
    assert 3 == calls(sts)
    assert ":assumed-role/production/" in hosts[0].identity("production").stdout


def test_a_host_that_starts_first_is_fresh_when_a_hub_comes(fleet: Fleet) -> None:
    """Nobody has to start in any order."""
    host, hub = fleet.host("a"), fleet.hub("hub")
    running = host.start("run")
    running.wait_for("renewal_failed")
    follow(hub)

    running.wait_for("daemon_ready")
    assert {"NoSuchSecret"} == {str(e["code"]) for e in running.events("renewal_failed")}
    assert keys(hub) == keys(host)


def test_a_restarted_host_asks_for_nothing(fleet: Fleet, bao: Bao) -> None:
    """The file says what it holds: with the engine gone, a restart is fresh all the same."""
    hub, host = fleet.hub("hub"), fleet.host("a")
    follow(hub)
    follow(host).stop()
    bao.pause()
    try:
        again = host.start("run")
        again.wait_for("daemon_ready")
        assert [] == again.events("endpoint_failed")
    finally:
        bao.resume()
    assert set(ENVIRONMENTS) == set(host.sections())


def test_once_on_hub_and_host_does_a_fleet_by_cron(fleet: Fleet) -> None:
    """Each run leads, publishes and gives the lease back; the host takes it from there."""
    hub, host = fleet.hub("hub"), fleet.host("a")

    assert 0 == hub.start("once").wait()
    assert 0 == host.start("once").wait()

    assert keys(hub) == keys(host)
    assert 0 == hub.start("once").wait()


def test_check_online_on_a_host_tries_each_secret(fleet: Fleet) -> None:
    """Before anything runs, an operator sees what is not there yet."""
    host = fleet.host("a")

    tried = host.command("check", "--online", "--config", str(host.config))

    assert 3 == tried.returncode
    assert 3 == tried.stdout.count("refused: NoSuchSecret")


def test_a_sealed_engine_delays_no_file_of_the_hub(fleet: Fleet, bao: Bao, sts: Simulator) -> None:
    """The hub renews for itself meanwhile, and the newest goes out when the engine is back."""
    sts.grant_seconds = 12
    hub, host = fleet.hub("hub"), fleet.host("a")
    running = follow(hub)
    follow(host)
    bao.seal()
    running.wait_for("engine_failed")
    before = keys(hub)
    wait_until(lambda: keys(hub).isdisjoint(before), "the hub renews by itself")
    bao.unseal()

    running.wait_for("engine_recovered")
    wait_until(lambda: keys(host) <= keys(hub), "the host has the newest")
    assert [] == running.events("profile_expired")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_another_hub_takes_over_and_no_reader_notices(
    fleet: Fleet, sts: Simulator, fault: str
) -> None:
    """The leader dies, or sleeps and wakes: never a lapse, a torn read, or an older credential."""
    sts.grant_seconds = 50
    hubs, host = [fleet.hub("hub1"), fleet.hub("hub2")], fleet.host("a")
    first = follow(hubs[0])
    second = follow(hubs[1])
    follow(host)
    assert 3 == calls(sts)

    with Reader(host) as reader, Reader(hubs[1]) as beside:
        first.signal(signal.SIGKILL if fault == "kill" else signal.SIGSTOP)
        died = time.monotonic()
        wait_until(lambda: bool(second.events("hub_leads")), "the other hub leads", 30.0)
        took = time.monotonic() - died
        wait_until(lambda: calls(sts) >= 6, "the other hub renews", 60.0)
        if fault == "pause":
            first.signal(signal.SIGCONT)
        wait_until(lambda: keys(host) <= keys(hubs[1]), "the host follows it", 60.0)
        wait_until(lambda: len(reader.expirations["production"]) >= 2, "readers see it", 60.0)

    assert took < 30
    for seen in (reader, beside):
        assert 0 == seen.torn == seen.backwards
        assert min(seen.least.values()) > 0
    if fault == "pause":
        first.wait_for("hub_follows")
        assert not second.events("hub_follows")


def test_nothing_secret_reaches_the_engines_disk_or_any_log(fleet: Fleet, bao: Bao) -> None:
    """What stands in the files is looked for in the raft directory and in every line."""
    hub, host = fleet.hub("hub"), fleet.host("a")
    runs = [follow(hub), follow(host)]
    secrets = {
        section[key]
        for section in hub.sections().values()
        for key in ("aws_secret_access_key", "aws_session_token")
    }
    told = "".join(line for run in runs for line in run.lines) + bao.node.log.read_text()

    assert 6 == len(secrets)
    for secret in secrets:
        assert secret not in told
        found = subprocess.run(
            ["grep", "-rlF", "--", secret, str(bao.node.data)],
            capture_output=True,
            check=False,
        )
        assert (1, b"") == (found.returncode, found.stdout)
