"""`credfresh run` as installed: a process, signals, a real file, a real HTTP STS."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from credfresh.life.daemon import ECHO
from credfresh.simulator import faults
from host import ENVIRONMENTS, Host, Running, wait_until


def test_the_daemon_publishes_all_environments_and_leaves_them_at_the_end(host: Host) -> None:
    """Three roles are assumed, published and usable; SIGTERM leaves the credentials on disk."""
    running = host.start("run")
    running.wait_for("daemon_ready")

    assert set(ENVIRONMENTS) == set(host.sections())
    assert 0 == running.stop()
    assert set(ENVIRONMENTS) == set(host.sections())
    answer = host.identity("production")
    assert ":assumed-role/production/" in answer.stdout, answer.stderr


def test_every_line_is_one_json_object_with_an_event(host: Host) -> None:
    """Whatever the daemon prints can be parsed."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    running.stop()

    assert all({"event", "level", "timestamp"} <= event.keys() for event in running.events())


def test_the_daemon_renews_ahead_of_expiration(host: Host) -> None:
    """Sessions of six seconds are renewed four times and never expire."""
    host.sts.grant_seconds = 6
    running = host.start("run")
    running.wait_for("daemon_ready")

    running.wait_for("credentials_renewed", count=3 * 4)

    assert [] == running.events("profile_expired")
    assert ":assumed-role/development/" in host.identity("development").stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_waits_for_attempts_in_flight(host: Host, number: int) -> None:
    """Attempts in flight are waited for and published before the end."""
    host.sts.inject(faults.Latency(1.0), times=3)
    running = host.start("run")
    host.sts.wait_for(1, "AssumeRole")

    running.signal(number)

    assert 0 == running.wait()
    assert [{"clean": True}] == [{"clean": e["clean"]} for e in running.events("daemon_stopped")]
    assert host.sections()


def test_a_second_signal_forces_the_end(host: Host) -> None:
    """A hanging STS does not delay the end after the second signal."""
    host.sts.inject(faults.Hang(), times=3)
    running = host.start("run")
    wait_until(lambda: host.sts.in_flight > 0, "a call in flight")

    running.signal(signal.SIGTERM)
    running.wait_for("daemon_stopping")
    threading.Event().wait(2 * ECHO)
    running.signal(signal.SIGTERM)

    assert 1 == running.wait()


def test_a_restart_after_a_kill_makes_no_call(host: Host) -> None:
    """After SIGKILL the file is the state: no call is made, and its content stays."""
    first = host.start("run")
    first.wait_for("daemon_ready")
    first.signal(signal.SIGKILL)
    first.wait()
    calls, content = host.sts.count("AssumeRole"), host.credentials.read_bytes()

    second = host.start("run")
    second.wait_for("daemon_ready")

    assert calls == host.sts.count("AssumeRole")
    assert content == host.credentials.read_bytes()
    assert 3 == second.events("daemon_started")[0]["standing"]


def test_sigusr1_renews_all(host: Host) -> None:
    """Every profile gets new keys, once."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    before = {name: keys["aws_access_key_id"] for name, keys in host.sections().items()}

    running.signal(signal.SIGUSR1)
    running.wait_for("credentials_renewed", count=6)
    wait_until(lambda: 6 <= host.sts.count("AssumeRole"), "six calls")
    running.stop()

    after = {name: keys["aws_access_key_id"] for name, keys in host.sections().items()}
    assert all(before[name] != after[name] for name in ENVIRONMENTS)
    assert 6 == host.sts.count("AssumeRole")


def test_a_failing_sts_leaves_the_last_good_credentials(host: Host) -> None:
    """During an outage the file stays; the failure and the recovery are logged."""
    host.sts.grant_seconds = 8
    running = host.start("run")
    running.wait_for("daemon_ready")
    before = set(host.sections())

    injection = host.sts.inject(faults.internal_error(), times=1000)
    running.wait_for("endpoint_failed")
    assert before == set(host.sections())
    injection.withdraw()

    running.wait_for("endpoint_recovered")


def test_a_second_daemon_on_the_file_is_refused(host: Host) -> None:
    """Another daemon ends with 75 and names the first one's pid."""
    running = host.start("run")
    running.wait_for("daemon_ready")

    second = host.start("run")

    assert 75 == second.wait()
    assert f"pid={running.process.pid}" in "".join(second.lines)


def test_a_bad_configuration_exits_with_78(host: Host) -> None:
    """Every problem is logged with its place, and no file is written."""
    host.configure("  production:\n    role_arn: nonsense\n    duration: 30s\n")
    running = host.start("run")

    assert 78 == running.wait()
    refused = running.events("config_refused")
    assert {"profiles.production.role_arn", "profiles.production.duration"} == {
        problem["path"] for problem in refused
    }
    assert {str(host.config)} == {problem["file"] for problem in refused}
    assert not host.credentials.exists()


def test_no_secret_is_printed_at_any_level(host: Host) -> None:
    """Log level debug prints neither the source's secret key nor those of sessions."""
    host.configure(extra="log:\n  level: debug\n")
    host.sts.inject(faults.internal_error(), times=1)
    running = host.start("run", BOTO_DEBUG="1")
    running.wait_for("daemon_ready")
    running.stop()
    output = "".join(running.lines)

    secrets = [host.user.secret_access_key]
    for section in host.sections().values():
        secrets += [section["aws_secret_access_key"], section["aws_session_token"]]
    assert len(secrets) == 7
    assert not [secret for secret in secrets if secret in output]


def test_a_sighup_while_the_daemon_starts_is_a_reload(host: Host) -> None:
    """It ends the daemon no more than a later one does, and is not forgotten."""
    running = host.start("run")
    seen = _sighup(running)
    for _ in range(4):  # on a busy machine this process may be too slow to see it
        if "Blk" not in seen:
            running.stop()
            running = host.start("run")
            seen = _sighup(running)
    assert "Blk" in seen, "it does not hold the signal while it starts"
    running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded")
    running.wait_for("file_published")
    assert 0 == running.stop()


def _sighup(running: Running) -> set[str]:
    """Wait until SIGHUP does not end a process; say whether it is blocked or caught: proc(5)."""
    seen: set[str] = set()

    def safe() -> bool:
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        masks = {mask: status.partition(f"Sig{mask}:")[2].split()[0] for mask in ("Blk", "Cgt")}
        seen.update(m for m, bits in masks.items() if int(bits, 16) >> signal.SIGHUP - 1 & 1)
        return bool(seen)

    wait_until(safe, "SIGHUP does not end it")
    return seen
