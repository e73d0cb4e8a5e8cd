"""Hubs and hosts as installed, on a real OpenBao server and the simulated STS."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bao import PREFIX, Bao
from credfresh import policy
from credfresh.simulator import Simulator
from fleet import Fleet, Reader, calls, follow, keys, left
from host import ENVIRONMENTS, PATIENCE, Running, wait_until


@pytest.fixture(name="bao", scope="module")
def _bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    server = Bao(tmp_path_factory.mktemp("bao"))
    yield server
    server.end()


@pytest.fixture(name="fleet")
def _fleet(
    request: pytest.FixtureRequest, tmp_path: Path, sts: Simulator, bao: Bao
) -> Iterator[Fleet]:
    tmp_path.chmod(0o700)
    name = request.node.name.replace("[", "-").replace("]", "")
    fleet = Fleet(tmp_path, sts, bao, f"{PREFIX}/{name}")
    yield fleet
    fleet.end()


def lifetimes(running: Running) -> dict[object, object]:
    """Return the lifetime of each profile's newest session, from the log."""
    return {e["profile"]: e["lifetime_s"] for e in running.events("credentials_renewed")}


def test_hosts_without_an_identity_have_what_the_hub_renewed(fleet: Fleet, sts: Simulator) -> None:
    """Two hosts have the sessions of one hub, which called STS once for each of three profiles."""
    hub, hosts = fleet.hub("hub"), [fleet.host("a"), fleet.host("b")]
    follow(hub)
    for host in hosts:
        follow(host)

    assert keys(hub) == keys(hosts[0]) == keys(hosts[1])
    assert 3 == calls(sts)
    assert ":assumed-role/production/" in hosts[0].identity("production").stdout


def test_a_host_that_starts_first_is_fresh_when_a_hub_comes(fleet: Fleet) -> None:
    """Hubs and hosts can be started in any order."""
    host, hub = fleet.host("a"), fleet.hub("hub")
    running = host.start("run")
    running.wait_for("renewal_failed")
    follow(hub)

    running.wait_for("daemon_ready")
    assert {"NoSuchSecret"} == {str(e["code"]) for e in running.events("renewal_failed")}
    assert keys(hub) == keys(host)


def test_what_a_hub_withdraws_is_gone_from_the_engine_and_not_from_hosts(fleet: Fleet) -> None:
    """Hosts keep the credentials that they have, but new hosts find none."""
    hub, host = fleet.hub("hub"), fleet.host("a")
    socket = hub.root / "control.sock"
    hub.config.write_text(f"control: {{socket: {socket}}}\n{hub.config.read_text()}")
    follow(hub)
    follow(host)
    before = keys(host)
    done = hub.command("withdraw", "production", "--socket", str(socket))

    assert 0 == done.returncode, done.stderr
    assert "production" not in hub.sections()
    late = fleet.host("late")
    look = ("check", "--online", "--config", str(late.config))
    missed = "production: not granted: NoSuchSecret"
    wait_until(lambda: missed in late.command(*look).stdout, "the secret is gone")
    assert before == keys(host)


def test_a_restarted_host_asks_for_nothing(fleet: Fleet, bao: Bao) -> None:
    """A restarted host trusts its file, so it is ready even if the engine does not answer."""
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


def test_a_host_that_wakes_to_what_has_long_expired_is_fresh_at_once(
    fleet: Fleet, sts: Simulator
) -> None:
    """A host whose credentials have expired is ready within ten seconds of its start."""
    sts.grant_seconds = 3
    hub, host = fleet.hub("hub"), fleet.host("a")
    running = follow(hub)
    follow(host).stop()
    wait_until(lambda: len(running.events("credentials_renewed")) > 9, "it is long ago", 60.0)
    sts.grant_seconds = 3600
    running.signal(signal.SIGUSR1)
    fresh = dict.fromkeys(ENVIRONMENTS, 3600)
    wait_until(lambda: lifetimes(running) == fresh, "the hub has sessions that last")

    began = time.monotonic()
    follow(host)

    assert time.monotonic() - began < 10
    assert min(left(host, name) for name in ENVIRONMENTS) > 0


@pytest.mark.waits
def test_ensure_on_a_host_waits_for_the_hubs_next_renewal(fleet: Fleet, sts: Simulator) -> None:
    """If a job asks for more life than is left, it waits until the hub has renewed."""
    sts.grant_seconds = 30
    hub, host = fleet.hub("hub"), fleet.host("a")
    socket = host.root / "control.sock"
    host.config.write_text(f"control: {{socket: {socket}}}\n{host.config.read_text()}")
    follow(hub)
    running = follow(host)
    before = keys(host)
    wait_until(lambda: left(host, "production") < 22, "some of it is used up", 30.0)

    asked = host.command(
        "ensure", "production", "--valid-for", "22s", "--timeout", "60s", "--socket", str(socket)
    )

    assert 0 == asked.returncode, asked.stderr + "".join(running.lines)
    assert left(host, "production") > 20
    assert host.sections()["production"]["aws_access_key_id"] not in before


def test_once_on_hub_and_host_does_a_fleet_by_cron(fleet: Fleet) -> None:
    """Each `once` on a hub leads, publishes and gives the lease back; one on a host follows."""
    hub, host = fleet.hub("hub"), fleet.host("a")

    assert 0 == hub.start("once").wait()
    assert 0 == host.start("once").wait()

    assert keys(hub) == keys(host)
    assert 0 == hub.start("once").wait()


def test_check_online_on_a_host_tries_each_secret(fleet: Fleet) -> None:
    """Before anything runs, `check --online` names the secrets that do not exist yet."""
    host = fleet.host("a")

    tried = host.command("check", "--online", "--config", str(host.config))

    assert 3 == tried.returncode
    assert 3 == tried.stdout.count("not granted: NoSuchSecret")


@pytest.mark.timeout(180)
def test_a_sealed_engine_delays_no_file_of_the_hub(fleet: Fleet, bao: Bao, sts: Simulator) -> None:
    """The hub renews its own file meanwhile, and publishes the newest once the engine is back."""
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
    # On a busy machine the host's session may have expired: then it asks once a minute, or sooner.
    wait_until(lambda: keys(host) <= keys(hub), "the host has the newest", policy.CAP + PATIENCE)
    assert [] == running.events("profile_expired")


@pytest.mark.waits
@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_another_hub_takes_over_and_no_reader_notices(
    fleet: Fleet, sts: Simulator, fault: str
) -> None:
    """When the leader dies or sleeps, no reader finds expired, torn or older credentials."""
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


@pytest.mark.waits
@pytest.mark.timeout(240)
def test_a_leader_whose_keys_are_gone_lets_another_hub_renew(fleet: Fleet) -> None:
    """The lease alone does not tell who can renew: a leader that cannot stands down in a minute."""
    hubs, host = [fleet.hub("hub1"), fleet.hub("hub2")], fleet.host("a")
    first = follow(hubs[0])
    second = follow(hubs[1])
    follow(host)
    before = keys(host)
    hubs[0].source.unlink()
    first.signal(signal.SIGUSR1)
    first.wait_for("source_failed")
    wait_until(lambda: bool(first.events("hub_stands_down")), "the leader stands down", 150.0)
    second.wait_for("hub_leads")

    assert first.events("hub_follows")
    second.signal(signal.SIGUSR1)
    wait_until(lambda: before.isdisjoint(keys(hubs[1])), "the other hub renews")

    def follows() -> bool:
        first.signal(signal.SIGUSR1)  # each time it takes what the engine has by then
        return keys(hubs[0]) == keys(hubs[1])

    wait_until(follows, "the first hub follows it", 60.0)
    assert [] == first.events("profile_expired") + first.events("source_recovered")


def test_nothing_secret_reaches_the_engines_disk_or_any_log(fleet: Fleet, bao: Bao) -> None:
    """The secrets in the files are neither in the raft directory nor in any log."""
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
