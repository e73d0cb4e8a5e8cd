"""`metrics` as installed: the textfile and the port of a real daemon."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from credfresh.cli.clock import clock
from credfresh.simulator import faults
from host import ENVIRONMENTS, Host, Running, wait_until
from programs import free_port

DIGITS = b"9" * 5000
"""A number that Python does not read: more than 4,300 digits."""


class Asked:
    """A client of the daemon's port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> tuple[int, str]:
        """Ask once, on a new connection; return status and body."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        finally:
            client.close()

    def value(self, sample: str) -> float | None:
        """Return the value of one sample of /metrics."""
        found = re.search(rf"(?m)^{re.escape(sample)} (\S+)$", self.get("/metrics")[1])
        return float(found[1]) if found else None

    def listens(self) -> bool:
        """Say whether the daemon listens there."""
        try:
            self.get("/readyz")
        except OSError:
            return False
        return True


@pytest.fixture(name="port")
def _port() -> int:
    return free_port()


@pytest.fixture(name="textfile")
def _textfile(host: Host) -> Path:
    return host.root / "credfresh.prom"


@pytest.fixture(name="running")
def _running(host: Host, port: int, textfile: Path) -> Running:
    host.configure(extra=f"metrics:\n  listen: 127.0.0.1:{port}\n  textfile: {textfile}\n")
    running = host.start("run")
    running.wait_for("daemon_ready")
    wait_until(Asked(port).listens, "a listener")
    return running


def test_the_daemon_serves_metrics_health_and_a_page(
    running: Running, port: int, textfile: Path
) -> None:
    """Metrics, health, status page and textfile agree that all is fresh; then it stops cleanly."""
    asked = Asked(port)

    wait_until(lambda: asked.get("/healthz") == (200, "ok\n"), "health")
    assert (200, "ready\n") == asked.get("/readyz")
    assert "All 3 profiles are fresh" in asked.get("/")[1]
    for name in ENVIRONMENTS:
        sample = f'credfresh_renewals_total{{profile="{name}",result="success"}}'
        assert 1.0 == asked.value(sample)
    wait_until(lambda: 'profiles{state="fresh"} 3.0' in textfile.read_text(), "a textfile")
    assert 0o644 == textfile.stat().st_mode & 0o777
    assert 0 == running.stop()
    assert textfile.exists()
    assert not asked.listens()


def test_health_is_judged_by_the_file(host: Host, running: Running, port: int) -> None:
    """A lost file is unhealthy although every renewal succeeded, and healthy once restored."""
    asked = Asked(port)
    wait_until(lambda: asked.get("/healthz")[0] == 200, "health")

    # A directory in its place keeps the daemon from restoring it.
    host.credentials.unlink()
    host.credentials.mkdir()

    wait_until(lambda: asked.get("/healthz")[0] == 503, "the loss to be seen")
    assert "production: missing\n" in asked.get("/healthz")[1]
    assert 0.0 == asked.value("credfresh_healthy")
    expiration = 'credfresh_credential_expiration_timestamp_seconds{profile="production"}'
    assert 0.0 == asked.value(expiration)
    host.credentials.rmdir()
    wait_until(lambda: asked.get("/healthz")[0] == 200, "the repair")
    assert not running.ended


def test_an_outage_shows_in_metrics_and_not_in_health(
    host: Host, running: Running, port: int
) -> None:
    """Failures are counted by their kind, while published credentials keep it healthy."""
    asked = Asked(port)
    host.sts.grant_seconds = 3
    host.sts.inject(faults.internal_error(), times=100_000)
    host.configure(
        "".join(
            f"  {name}:\n    role_arn: arn:aws:iam::{str(n) * 12}:role/{name}\n    duration: 16m\n"
            for n, name in enumerate(ENVIRONMENTS, 1)
        ),
        extra=f"metrics:\n  listen: 127.0.0.1:{port}\n",
    )
    running.signal(signal.SIGHUP)
    running.wait_for("endpoint_failed")

    failures = 'credfresh_consecutive_failures{profile="production"}'
    wait_until(lambda: (asked.value(failures) or 0) > 0, "a failure to show")
    transient = 'credfresh_renewals_total{profile="production",result="transient"}'
    assert (asked.value(transient) or 0) > 0
    wait_until(lambda: asked.get("/healthz")[0] == 200, "health")  # what is published is valid


def test_profiles_come_and_go_with_the_configuration(
    host: Host, running: Running, port: int
) -> None:
    """After a reload a new profile has all series, and a removed one none."""
    asked = Asked(port)
    host.configure(
        "  production:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
        "  newcomer:\n    role_arn: arn:aws:iam::111111111111:role/development\n",
        extra=f"metrics:\n  listen: 127.0.0.1:{port}\n",
    )

    running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded")

    wait_until(lambda: 'profile="newcomer"' in asked.get("/metrics")[1], "the newcomer")
    assert 'profile="development"' not in asked.get("/metrics")[1]


def test_a_refused_reload_shows_in_the_metrics_and_changes_nothing(
    host: Host, running: Running, port: int
) -> None:
    """The gauge is 0 until a configuration is accepted; everything else goes on."""
    asked = Asked(port)
    good = host.config.read_text()
    host.config.write_text(good.replace("role_arn", "role_arm"))
    running.signal(signal.SIGHUP)
    running.wait_for("config_reload_failed")

    wait_until(lambda: asked.value("credfresh_config_reload_success") == 0.0, "the refusal")
    for name in ENVIRONMENTS:
        sample = f'credfresh_renewals_total{{profile="{name}",result="success"}}'
        assert 1.0 == asked.value(sample)
    assert (200, "ok\n") == asked.get("/healthz")
    host.config.write_text(good)
    running.signal(signal.SIGHUP)
    wait_until(lambda: asked.value("credfresh_config_reload_success") == 1.0, "the acceptance")


def test_a_changed_instance_counts_from_the_next_start_on(
    host: Host, running: Running, port: int
) -> None:
    """Until then the sections bear the name of before, and are as good as they were."""
    asked = Asked(port)
    host.config.write_text(f"instance: another\n{host.config.read_text()}")
    running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded")

    with host.credentials.open("a") as file:  # so that it is read again
        file.write("# a note of somebody\n")
    written = clock().wall
    taken = "credfresh_snapshot_timestamp_seconds"
    wait_until(lambda: (asked.value(taken) or 0) > written, "a newer look")

    assert 3.0 == asked.value('credfresh_profiles{state="fresh"}')
    assert (200, "ok\n") == asked.get("/healthz")


def test_a_reload_turns_all_of_it_off_and_on(
    host: Host, running: Running, port: int, textfile: Path
) -> None:
    """Without `metrics` nothing listens and the textfile is removed; both come back with it."""
    asked = Asked(port)
    good = host.config.read_text()
    host.configure()
    running.signal(signal.SIGHUP)

    wait_until(lambda: not asked.listens(), "the end of the listener")
    wait_until(lambda: not textfile.exists(), "the end of the textfile")
    host.config.write_text(good)
    running.signal(signal.SIGHUP)
    wait_until(asked.listens, "the listener")
    wait_until(textfile.exists, "the textfile")


def test_neither_a_port_nor_a_directory_stops_a_renewal(host: Host, port: int) -> None:
    """If port and directory are refused, two events say so, and every profile is fresh."""
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        host.configure(
            extra=f"metrics:\n  listen: 127.0.0.1:{port}\n  textfile: {host.root}/no/c.prom\n"
        )
        running = host.start("run")
        running.wait_for("daemon_ready")
        [deaf] = running.wait_for("listen_failed")
        [failed] = running.wait_for("textfile_failed")

    assert f"127.0.0.1:{port}" == deaf["address"]
    assert "ENOENT" == failed["code"]
    assert set(ENVIRONMENTS) == set(host.sections())
    assert 0 == running.stop()


def test_a_flood_of_requests_fills_no_log(running: Running, port: int) -> None:
    """Whatever clients send, nothing is logged."""
    before = len(running.lines)
    junk = [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 100, b"POST / X"]
    junk += [
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % DIGITS,
    ]
    for one in junk:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(one)
    for _ in range(50):
        Asked(port).get("/nothing")

    assert before == len(running.lines), running.lines[before:]


def test_no_secret_is_served(host: Host, running: Running, port: int, textfile: Path) -> None:
    """Even with `detail: true`, no page has the source's keys or a session's secrets."""
    host.config.write_text(
        host.config.read_text().replace("metrics:\n", "metrics:\n  detail: true\n")
    )
    running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded")
    asked = Asked(port)
    wait_until(lambda: "arn:aws:iam" in asked.get("/")[1], "details")

    served = "".join(asked.get(path)[1] for path in ("/", "/metrics", "/healthz", "/readyz"))
    served += textfile.read_text()

    secrets = [host.user.secret_access_key, host.user.access_key_id]
    for section in host.sections().values():
        secrets += [section["aws_secret_access_key"], section["aws_session_token"]]
    assert [] == [secret for secret in secrets if secret in served]


@pytest.mark.parametrize("command", ["once", "check", "schema", "run"])
def test_commands_without_metrics_do_not_import_their_libraries(command: str) -> None:
    """Commands without metrics do not import their libraries."""
    program = (
        f"import sys, credfresh.cli.{command}, credfresh.cli.composition;"
        "print({'prometheus_client', 'waitress', 'credfresh.listener'} & sys.modules.keys())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert "set()\n" == run.stdout
