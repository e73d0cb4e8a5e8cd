"""`credfresh once` as installed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from disk import needs_root
from host import ENVIRONMENTS, Host


def test_once_publishes_and_leaves(host: Host) -> None:
    """Each role is assumed once, the file is written, and the exit status is 0."""
    running = host.start("once")

    assert 0 == running.wait(), running.lines
    assert set(ENVIRONMENTS) == set(host.sections())


def test_once_makes_no_call_for_fresh_profiles(host: Host) -> None:
    """Fresh profiles are left alone."""
    host.start("once").wait()
    calls = host.sts.count("AssumeRole")

    assert 0 == host.start("once").wait()
    assert calls == host.sts.count("AssumeRole")


def test_once_removes_sections_of_disabled_profiles(host: Host) -> None:
    """Without a daemon, `once` removes sections of disabled profiles and leaves the others."""
    host.start("once").wait()
    calls = host.sts.count("AssumeRole")
    text = host.config.read_text()
    host.config.write_text(text.replace("  production:\n", "  production:\n    enabled: false\n"))

    assert 0 == host.start("once").wait()
    assert {"development", "preproduction"} == set(host.sections())
    assert calls == host.sts.count("AssumeRole")


def test_once_exits_with_3_if_some_failed_and_publishes_the_others(host: Host) -> None:
    """If a role is refused, the exit status is 3, and the others are published."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    running = host.start("once")

    assert 3 == running.wait()
    assert {"development", "production"} == set(host.sections())
    [failed] = running.events("renewal_failed")
    assert "preproduction" == failed["profile"]
    assert "AccessDenied" == failed["code"]
    assert "aws-setup" in str(failed["hint"])


def test_once_beside_a_daemon_without_a_socket_is_refused(host: Host) -> None:
    """Without a control socket the daemon that keeps the file cannot be asked: 75."""
    daemon = host.start("run")
    daemon.wait_for("daemon_ready")

    once = host.start("once")
    assert 75 == once.wait()
    [refused] = once.events("start_refused")
    assert str(refused["hint"]).endswith("once asks its own daemon if control.socket is set")


def test_once_beside_a_daemon_of_its_configuration_asks_it(host: Host) -> None:
    """`once` asks that daemon for what is not fresh; 0 if all is fresh then, and 3 otherwise."""
    role = "arn:aws:iam::222222222222:role/preproduction"
    host.sts.remove_role(role)
    host.configure(extra=f"control:\n  socket: {host.root}/run/control.sock\n")
    daemon = host.start("run")
    daemon.wait_for("daemon_ready")
    refused = host.start("once")
    assert 3 == refused.wait(), refused.lines
    [asked] = refused.events("daemon_asked")
    assert (1, "preproduction") == (asked["profiles"], asked["failed"])

    host.sts.add_role(role, trusts={host.user.arn})
    # Renewals on demand keep a distance, which ends with a withdrawal; `renew` by name ends that.
    control = ("--config", str(host.config))
    assert 0 == host.command("withdraw", "preproduction", *control).returncode
    assert 0 == host.command("renew", "preproduction", *control).returncode
    calls = host.sts.count("AssumeRole")
    granted = host.start("once")
    assert 0 == granted.wait(), granted.lines
    assert 0 == granted.events("daemon_asked")[0]["profiles"]
    assert calls == host.sts.count("AssumeRole")
    assert set(ENVIRONMENTS) == set(host.sections())


def test_once_brings_no_withdrawn_profile_back(host: Host) -> None:
    """A profile that was withdrawn by hand is not renewed by cron."""
    host.configure(extra=f"control:\n  socket: {host.root}/run/control.sock\n")
    host.start("run").wait_for("daemon_ready")
    done = host.command("withdraw", "production", "--config", str(host.config))
    assert 0 == done.returncode

    assert 3 == host.start("once").wait()
    assert "production" not in host.sections()


def test_once_beside_a_daemon_of_another_configuration_is_refused(host: Host) -> None:
    """A daemon with another configuration is not asked, though it keeps the file: 75."""
    host.configure(extra=f"control:\n  socket: {host.root}/run/control.sock\n")
    host.start("run").wait_for("daemon_ready")
    other = host.root / "other.yaml"
    other.write_text(host.config.read_text())
    done = host.command("once", "--config", str(other))

    assert 75 == done.returncode
    assert "pid=" in done.stdout


@needs_root
@pytest.mark.parametrize("mode", ["0600", "0666"])
def test_once_of_a_user_who_may_not_write_says_so_in_one_sentence(host: Host, mode: str) -> None:
    """Beside a daemon that it may not ask to renew: 77, and nothing is tried."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    host.configure(extra=f'control:\n  socket: {host.root}/run/control.sock\n  mode: "{mode}"\n')
    host.start("run").wait_for("daemon_ready")
    done = subprocess.run(
        # It may read everything, as others may not enter the checkout, but write nothing.
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search", "--",
         sys.executable, "-m", "credfresh", "once", "--config", str(host.config)],
        env=host.environment,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    assert 77 == done.returncode, done.stdout
    [refused] = map(json.loads, done.stdout.splitlines())
    assert "start_refused" == refused["event"]
    sentence = {"0600": "uid 65534 may not write there", "0666": "renew is for root and"}[mode]
    assert sentence in refused["error"]
    assert refused["hint"]
