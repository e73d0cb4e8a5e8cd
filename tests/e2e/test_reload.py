"""Another configuration for a running daemon, which no bad one can end (I7)."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from credfresh.simulator import Simulator
from host import ENVIRONMENTS, Host, Running, wait_until

GOLDEN = Path(__file__).parents[1] / "unit" / "config" / "golden"


def role(number: int, name: str) -> str:
    """Return a profile with one of the host's roles."""
    arn = f"arn:aws:iam::{str(number) * 12}:role/{ENVIRONMENTS[number - 1]}"
    return f"  {name}:\n    role_arn: {arn}\n"


def reload(running: Running, event: str) -> dict[str, object]:
    """Send SIGHUP; return the event that follows."""
    count = len(running.events(event))
    running.signal(signal.SIGHUP)
    return running.wait_for(event, count + 1)[-1]


def test_sighup_takes_over_what_has_changed(host: Host) -> None:
    """New profiles are published, removed ones leave the file, others cost no call."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    calls = host.sts.count("AssumeRole")
    host.configure(role(3, "production") + role(2, "extra"))

    done = reload(running, "config_reloaded")

    assert {"added": 1, "removed": 2, "changed": 0}.items() <= done.items()
    wait_until(lambda: {"production", "extra"} == set(host.sections()), "the new sections")
    assert calls + 1 == host.sts.count("AssumeRole")
    assert ":assumed-role/preproduction/" in host.identity("extra").stdout
    assert 0 == running.stop()


def test_no_bad_configuration_ends_a_running_daemon(host: Host, sts: Simulator) -> None:
    """With any known mistake the old profiles are still renewed."""
    sts.grant_seconds = 20
    running = host.start("run")
    running.wait_for("daemon_ready")
    good = host.config.read_bytes()
    before = len(running.events("credentials_renewed"))

    cases = sorted(GOLDEN.glob("*.yaml"))
    assert len(cases) > 40
    for case in cases:
        host.config.write_bytes(case.read_bytes())
        refused = reload(running, "config_reload_failed")
        assert str(host.config) in str(refused["first"]), case.name
    host.config.unlink()
    assert "credfresh.yaml" in str(reload(running, "config_reload_failed")["first"])
    host.config.mkdir()
    assert "credfresh.yaml" in str(reload(running, "config_reload_failed")["first"])
    host.config.rmdir()
    os.mkfifo(host.config)
    assert "credfresh.yaml" in str(reload(running, "config_reload_failed")["first"])
    host.config.unlink()

    running.wait_for("credentials_renewed", before + 3)
    assert set(ENVIRONMENTS) == set(host.sections())
    assert [] == running.events("profile_expired")
    host.config.write_bytes(good)
    assert {"added": 0, "removed": 0, "changed": 0}.items() <= reload(
        running, "config_reloaded"
    ).items()
    assert 0 == running.stop()


def test_a_configuration_that_others_may_write_is_not_taken(host: Host) -> None:
    """Whoever can write it could have commands run."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    host.configure(role(3, "production"))
    host.config.chmod(0o666)

    assert "others may write the file" in str(reload(running, "config_reload_failed")["first"])
    assert set(ENVIRONMENTS) == set(host.sections())
    assert 0 == running.stop()


def test_with_auto_a_change_is_taken_without_a_signal(host: Host) -> None:
    """A file changed in place or replaced is read, and a bad one reported and ignored."""
    host.configure(extra="reload: auto\n")
    running = host.start("run")
    running.wait_for("daemon_ready")

    host.config.write_text("nonsense")
    running.wait_for("config_reload_failed")
    new = host.root / "new.yaml"
    host.configure(role(1, "development"), extra="reload: auto\n")
    host.config.rename(new)
    new.rename(host.config)
    running.wait_for("config_reloaded")

    wait_until(lambda: {"development"} == set(host.sections()), "the only section")
    assert 0 == running.stop()


def test_a_storm_of_signals_ends_nothing(host: Host) -> None:
    """Hundreds of SIGHUPs cause no call and do not end the daemon."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    calls = host.sts.count("AssumeRole")
    for _ in range(300):
        running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded")

    assert 0 == running.stop()
    assert calls == host.sts.count("AssumeRole")


def test_a_reload_changes_the_log_level(host: Host) -> None:
    """The new level counts from the reload on, and the old one again after the next."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    host.configure(extra="log:\n  level: error\n")
    running.signal(signal.SIGHUP)
    host.config.write_text("nonsense")
    reload(running, "config_reload_failed")
    host.configure()
    reload(running, "config_reloaded")

    assert 0 == running.stop()
    assert "daemon_stopped" == running.events()[-1]["event"]


def due(host: Host) -> dict[str, object]:
    """Return when each profile is due, according to `status`."""
    socket = host.root / "run" / "control.sock"
    told = host.command("status", "--json", "--socket", str(socket))
    return {each["profile"]: each["renew_at"] for each in json.loads(told.stdout)["profiles"]}


def control(host: Host, name: str = "control.sock", mode: str = "0600") -> str:
    """Return the configuration of a control socket."""
    return f'control: {{socket: {host.root / "run" / name}, mode: "{mode}"}}\n'


def test_removed_profiles_leave_in_one_write_and_others_keep_their_times(host: Host) -> None:
    """Readers see all twenty removed profiles or none; the others keep their renewal times."""
    many = "".join(role(n % 3 + 1, f"extra{n}") for n in range(20))
    stays = role(1, "development") + role(2, "preproduction")
    host.configure(stays + many, extra=control(host))
    running = host.start("run")
    running.wait_for("daemon_ready")
    before, written = due(host), len(running.events("file_published"))
    wait_until(lambda: len(host.sections()) == 22, "all sections")
    calls = host.sts.count("AssumeRole")
    seen: set[int] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.001):
            seen.add(len(host.sections()))

    reader = threading.Thread(target=look)
    reader.start()
    host.configure(stays, extra=control(host))
    done = reload(running, "config_reloaded")
    wait_until(lambda: len(host.sections()) == 2, "the removal")
    stop.set()
    reader.join()

    assert {"added": 0, "removed": 20, "changed": 0}.items() <= done.items()
    assert seen <= {22, 2}
    running.wait_for("file_published", written + 1)
    assert written + 1 == len(running.events("file_published"))
    assert {name: before[name] for name in ("development", "preproduction")} == due(host)
    assert calls == host.sts.count("AssumeRole")
    assert 0 == running.stop()


@pytest.mark.waits
def test_a_burst_of_signals_is_few_reloads(host: Host) -> None:
    """All signals that come during a reload cause one more reload."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    running.signal(signal.SIGSTOP)
    for _ in range(100):
        running.signal(signal.SIGHUP)
    running.signal(signal.SIGCONT)
    running.wait_for("config_reloaded")
    for _ in range(100):
        running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded", 2)

    assert 0 == running.stop()
    assert len(running.events("config_reloaded")) <= 10


def test_a_changed_file_and_a_changed_mode_count_at_once(host: Host) -> None:
    """A new file gets all sections without a call, and the old one loses ours; a mode applies."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    calls, old, text = host.sts.count("AssumeRole"), host.credentials, host.config.read_text()
    host.config.write_text(text.replace(f"path: {old}\n", f'path: {old}\n  mode: "0640"\n'))
    reload(running, "config_reloaded")
    wait_until(lambda: old.stat().st_mode & 0o777 == 0o640, "the new mode")

    host.credentials = old.with_name("elsewhere")
    host.configure()
    reload(running, "config_reloaded")
    wait_until(host.credentials.exists, "the new file")
    assert set(ENVIRONMENTS) == set(host.sections())
    wait_until(lambda: b"aws_secret" not in old.read_bytes(), "nothing of ours in the old file")
    assert 0o600 == host.credentials.stat().st_mode & 0o777
    assert calls == host.sts.count("AssumeRole")
    assert 0 == running.stop()


def test_a_changed_socket_waits_for_a_restart_and_limits_do_not(host: Host) -> None:
    """Each reload names the key that needs a restart, and the old socket answers until then."""
    host.configure(extra=control(host))
    running = host.start("run")
    running.wait_for("daemon_ready")
    host.configure(extra=control(host, "other.sock") + "sts: {max_concurrency: 2}\n")
    done = reload(running, "config_reloaded")
    assert "control" == done["needs_restart"]
    assert set(ENVIRONMENTS) == set(due(host))

    host.configure(extra=control(host, "other.sock"))
    assert "control" == reload(running, "config_reloaded")["needs_restart"]

    host.configure(extra=control(host) + "sts: {calls_per_second: 1}\n")
    assert "needs_restart" not in reload(running, "config_reloaded")
    renewed = len(running.events("credentials_renewed"))
    running.signal(signal.SIGUSR1)
    running.wait_for("credentials_renewed", renewed + len(ENVIRONMENTS))
    assert 0 == running.stop()
