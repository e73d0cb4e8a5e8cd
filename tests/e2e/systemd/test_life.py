"""The service under a real systemd: started, reloaded, stopped, killed."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time

import pytest

from credfresh.simulator import faults
from host import wait_until
from service import CONFIG, CREDENTIALS, PROFILES, UNIT, Service, took

DENIED = "arn:aws:iam::222222222200:role/development"
STATUS = re.compile(r"12/12 fresh, next [a-z]+ in \d+m\d\ds")


def test_the_service_is_up_when_its_profiles_are_fresh(service: Service) -> None:
    """While STS hangs, the start is extended beyond its timeout, and the status line shows why."""
    service.drop_in("hasty", "[Service]\nTimeoutStartSec=5s\n")
    service.sts.inject(faults.Hang(), times=None)
    service.machine.run("systemctl", "daemon-reload")
    service.systemctl("start", "--no-block")
    began = time.monotonic()
    assert service.sts.wait_for(1)

    wait_until(lambda: time.monotonic() > began + 5.5, "it has more time")
    assert "activating" == service.show("ActiveState")
    assert service.show("StatusText").startswith("0/12 fresh")
    assert not service.outside(CREDENTIALS).exists()
    service.sts.clear_faults()
    service.sts.release()
    service.wait("ActiveState", "active")
    assert STATUS.fullmatch(service.show("StatusText"))
    assert service.readable("agent")
    assert not service.readable("stranger")


@pytest.mark.parametrize("ready", ["settled", "fresh"])
def test_a_denied_role_holds_the_start_only_with_ready_fresh(service: Service, ready: str) -> None:
    """A denied role counts as settled for `ready: settled`; for `fresh` the start waits on."""
    denied = service.sts.inject(faults.access_denied(), times=None, role=DENIED)
    service.configure(f"ready: {ready}\n")
    service.machine.run("systemctl", "daemon-reload")
    service.systemctl("start", "--no-block")

    service.wait_for("renewal_failed")
    if ready == "fresh":
        wait_until(lambda: service.show("StatusText").startswith("11/12 fresh"), "11 are fresh")
        assert "activating" == service.show("ActiveState")
        denied.withdraw()
        service.ask("renew", "development")
    service.wait("ActiveState", "active")
    assert service.show("StatusText").startswith(
        "11/12 fresh" if ready == "settled" else "12/12 fresh"
    )


def test_a_bad_configuration_is_not_tried_again(service: Service) -> None:
    """The start fails with 78 and is not repeated until somebody corrects the file."""
    service.spoil()
    service.machine.run("systemctl", "daemon-reload")

    assert 0 != service.systemctl("start", check=False).returncode
    assert ("failed", "78") == (service.show("ActiveState"), service.show("ExecMainStatus"))
    assert "0" == service.show("NRestarts")
    assert 1 == len(service.events("config_refused"))
    service.configure()
    service.start()


def test_a_reload_waits_for_its_outcome(service: Service) -> None:
    """A bad configuration is refused with its reason, a good one applied, by the same process."""
    service.start()
    good, before, calls = service.config, service.pid, service.sts.count()

    service.spoil()
    refused = service.systemctl("reload", check=False)
    assert 0 != refused.returncode
    assert "active" == service.show("ActiveState")
    assert service.show("StatusText").startswith("12/12 fresh")
    assert "reload refused: " in service.show("StatusText")
    assert "role_anr" in service.show("StatusText")
    assert calls == service.sts.count()
    added = f"  trial: {{role_arn: {DENIED}}}\n"
    service.configure(profiles=good.partition("profiles:\n")[2] + added)
    service.systemctl("reload")
    assert 1 == len(service.events("config_reloaded"))
    assert "refused" not in service.show("StatusText")
    wait_until(lambda: "[trial]" in service.outside(CREDENTIALS).read_text(), "a new section")
    assert calls + 1 == service.sts.count()
    assert service.readable("agent")
    assert not service.readable("stranger")
    assert before == service.pid


def test_systemd_is_told_of_each_reload_and_its_end(service: Service) -> None:
    """After SIGHUP the daemon sends RELOADING=1 with the time, then READY=1, in any case."""
    service.start()
    service.machine.run("systemctl", "log-level", "debug")
    try:
        for event in ("config_reloaded", "config_reload_failed"):
            service.systemctl("kill", "--signal=HUP", "--kill-whom=main")
            service.wait_for(event)
            service.wait("ActiveState", "active")
            service.spoil()
    finally:
        service.machine.run("systemctl", "log-level", "info")
    told = re.findall(r"Got notification message from PID \d+ \(([^)]*)\)", service.told())

    told = [message for message in told if not message.startswith(("STATUS", "WATCHDOG"))]
    assert ["RELOADING=1, MONOTONIC_USEC=", "READY=1"] * 2 == [
        re.sub(r"\d{3,}", "", message) for message in told
    ]


def test_credentials_outlive_the_service(service: Service) -> None:
    """Credentials stay while it is stopped, and neither a start nor a restart calls STS."""
    service.start()
    calls = service.sts.count()

    service.systemctl("stop")
    assert "success" == service.show("Result")
    assert service.readable("agent")
    assert not service.readable("stranger")
    service.start()
    service.systemctl("restart")
    assert STATUS.fullmatch(service.show("StatusText"))
    assert service.readable("agent")
    assert not service.readable("stranger")
    assert calls == service.sts.count()


def test_after_a_kill_the_service_answers_again_at_once(service: Service) -> None:
    """After SIGKILL the file stays, and a new daemon answers without a call (-rP shows when)."""
    service.start()
    calls, killed = service.sts.count(), service.pid

    def again() -> bool:
        return service.pid not in {0, killed} and service.show("ActiveState") == "active"

    service.systemctl("kill", "--signal=KILL", "--kill-whom=main")
    seconds = took(lambda: wait_until(again, "it is up again"))
    assert 0 == service.ask("ensure", "production", "--valid-for", "1m").returncode
    print(f"serving {seconds:.2f} s after SIGKILL")  # noqa: T201 - shown by -rP
    assert "1s" == service.show("RestartUSec")
    assert "1" == service.show("NRestarts")
    assert calls == service.sts.count()
    assert service.readable("agent")


def test_a_journald_that_was_stopped_gets_the_log_again_once_it_is_started(
    service: Service,
) -> None:
    """The restarted journald does not know the stream any more; the daemon opens a new one."""
    service.start()
    journald = ("systemd-journald.service", "systemd-journald.socket")
    service.machine.run("systemctl", "stop", *journald, "systemd-journald-dev-log.socket")
    for _ in range(3):
        service.ask("reload")
    service.machine.run("systemctl", "start", *journald, "systemd-journald-dev-log.socket")
    service.ask("reload")

    [lost] = service.events("log_lines_lost")
    assert 2 == lost["lines"]
    assert 2 == len(service.events("config_reloaded"))


def test_a_directory_that_only_others_need_does_not_hold_up_the_start(service: Service) -> None:
    """If the textfile's directory or a second group's is missing, the service runs all the same."""
    for path in ("/var/lib/node_exporter/credfresh", "/run/credfresh-reports"):
        shutil.rmtree(service.outside(path), ignore_errors=True)
    service.configure("metrics: {textfile: /var/lib/node_exporter/credfresh/credfresh.prom}\n")
    for name in ("textfile", "second-group"):
        service.drop_in(name)
    service.start()

    service.wait_for("textfile_failed")
    assert service.readable("agent")
    assert "0" == service.show("NRestarts")


def test_a_key_that_cannot_be_opened_does_not_flood_the_journal(service: Service) -> None:
    """The unit fails before restart-delay could run, so systemd itself must wait between starts."""
    service.outside("/etc/credfresh/aws.cred").unlink(missing_ok=True)
    service.drop_in("source-key")
    service.machine.run("systemctl", "daemon-reload")
    assert 0 != service.systemctl("start", check=False).returncode

    threading.Event().wait(3)
    assert "0" == service.show("NRestarts")
    assert "auto-restart" == service.show("SubState")


def test_once_run_by_root_beside_the_service_asks_it(service: Service) -> None:
    """Root asks the daemon; without one, `once` ends with 78: paths are not safe for root."""
    service.start()
    calls = service.sts.count()
    said = service.ask("once").stdout.splitlines()

    assert ["daemon_asked"] == [json.loads(line)["event"] for line in said]
    assert calls == service.sts.count()
    service.systemctl("stop")
    done = service.ask("once", check=False)
    [refused] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (78, "config_refused") == (done.returncode, refused["event"])
    assert refused["hint"].startswith("run this as that user")


def test_a_command_for_another_configuration_is_refused(service: Service) -> None:
    """Without a configured socket, a command refuses a daemon that keeps another configuration."""
    service.start()
    published = service.outside(CREDENTIALS).read_bytes()
    text = service.config.replace("/run/credfresh/", "/run/other/")
    other = re.sub(r"^control:.*\n", "", text, flags=re.MULTILINE)
    service.machine.write("/etc/credfresh/other.yaml", other)

    for order in ("withdraw", "renew", "reload", "status", "ensure production --valid-for 1m"):
        done = service.ask(*order.split(), "--config", "/etc/credfresh/other.yaml", check=False)
        assert (69, "") == (done.returncode, done.stdout), order
        assert "another configuration's" in done.stderr
    assert published == service.outside(CREDENTIALS).read_bytes()

    own = re.sub(r"^control:.*\n", "", service.config, flags=re.MULTILINE)
    service.write_config(own)
    for order in ("renew", "reload", "status", "ensure production --valid-for 1m"):
        assert 0 == service.ask(*order.split(), "--config", CONFIG).returncode
        if order == "reload":
            service.write_config(f"instance: moved\n{own}")  # applies from the next start on


def test_a_second_daemon_has_a_unit_of_its_own(service: Service) -> None:
    """It is made as docs/operations.md says: a copy of the unit, and other paths."""
    service.start()
    machine, config = service.machine, "/etc/credfresh/other.yaml"
    unit = machine.run("systemctl", "cat", UNIT).stdout
    for old, new in (
        ("credfresh run\n", f"credfresh run --config {config}\n"),
        ("credfresh reload\n", f"credfresh reload --config {config}\n"),
        ("RuntimeDirectory=credfresh\n", "RuntimeDirectory=other\n"),
    ):
        assert 1 == unit.count(old)
        unit = unit.replace(old, new)
    machine.write("/etc/systemd/system/other.service", unit)
    machine.write(config, service.config.replace("/run/credfresh/", "/run/other/"))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "other")
    machine.run("systemctl", "reload", "other")

    assert 0 == service.ask("status", "--config", config).returncode
    machine.run("systemctl", "stop", "other")
    assert service.readable("agent", "/run/other/credentials")
    assert 69 == service.ask("renew", "--config", config, check=False).returncode
    assert 0 == service.ask("renew").returncode
    shutil.rmtree(service.outside("/run/other"))


@pytest.mark.parametrize("read_timeout", ["1s", pytest.param("30s", marks=pytest.mark.long)])
def test_hung_calls_do_not_hold_up_the_end(service: Service, read_timeout: str) -> None:
    """With twelve calls that hang, the service still stops by itself within its time."""
    service.configure(f"sts: {{read_timeout: {read_timeout}}}\n")
    service.start()
    service.sts.inject(faults.Hang(), times=None)
    service.systemctl("kill", "--signal=USR1", "--kill-whom=main")
    wait_until(lambda: service.sts.in_flight >= len(PROFILES), "all hang")

    seconds = took(lambda: service.systemctl("stop"))
    print(f"stopped within {seconds:.2f} s")  # noqa: T201 - shown by -rP
    assert "success" == service.show("Result")
    assert 1 == len(service.events("daemon_stopped"))
    assert service.readable("agent")
