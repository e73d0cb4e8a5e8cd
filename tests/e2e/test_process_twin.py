"""The refreshable twins of the installed daemon, read by processes that outlive a session."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from credfresh.simulator import faults
from host import COMMAND, ENVIRONMENTS, Host, wait_until
from twins import key_of, recipe

CLIENT = """
import sys, boto3
client = boto3.client("sts")
for line in sys.stdin:
    print(client.get_caller_identity()["Arn"], client._request_signer._credentials.access_key)
    sys.stdout.flush()
"""


def with_twins(host: Host) -> Path:
    """Configure twins; return their directory."""
    directory = host.root / "process"
    host.configure(extra=f"process_dir: {directory}\n")
    return directory


def environment(host: Host, directory: Path, name: str) -> dict[str, str]:
    """Return the host's environment with that of `NAME.env` added."""
    return host.environment | recipe(directory, name)


def test_twin_and_section_hold_the_same_credentials(host: Host) -> None:
    """Each renewal is published in the section and in the twin."""
    directory = with_twins(host)
    running = host.start("run")
    running.wait_for("daemon_ready")

    sections = host.sections()
    assert {sections[name]["aws_access_key_id"] for name in ENVIRONMENTS} == {
        key_of(directory, name) for name in ENVIRONMENTS
    }
    assert {str(directory), str(host.credentials)} == {
        event["path"] for event in running.events("file_published")
    }


@pytest.mark.waits
def test_a_process_that_stays_up_sees_new_keys_by_itself(host: Host) -> None:
    """Each call of one client works through several session lifetimes, without a restart."""
    host.sts.grant_seconds = 8
    directory = with_twins(host)
    running = host.start("run")
    running.wait_for("daemon_ready")
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        env=environment(host, directory, "production"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    keys = []
    with client:
        assert client.stdin is not None
        assert client.stdout is not None
        for count in range(3, 16, 3):
            running.wait_for("credentials_renewed", count)
            client.stdin.write("\n")
            client.stdin.flush()
            arn, key = client.stdout.readline().split()
            assert ":assumed-role/production/" in arn
            keys.append(key)
        client.stdin.close()

    assert len(set(keys)) > 2
    assert 0 == client.returncode


def test_the_keys_of_the_host_do_not_shadow_the_twin(host: Host) -> None:
    """With all of `NAME.env`, a section of the same name in the host's own file is not read."""
    directory = with_twins(host)
    running = host.start("run")
    running.wait_for("daemon_ready")
    shadow = {"AWS_SHARED_CREDENTIALS_FILE": str(host.credentials)}
    host.credentials.write_text(
        "[production]\naws_access_key_id = AKIASTALE\naws_secret_access_key = stale\n"
    )

    def identity(environ: dict[str, str]) -> str:
        command = [str(Path(sys.executable).with_name("aws")), "sts", "get-caller-identity"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    recipe = environment(host, directory, "production")
    assert ":assumed-role/production/" in identity(shadow | recipe)
    assert "InvalidClientTokenId" in identity(recipe | shadow)


def test_a_restart_after_a_kill_writes_no_twin(host: Host) -> None:
    """A warm restart finds all twins right and writes none of them."""
    directory = with_twins(host)
    first = host.start("run")
    first.wait_for("daemon_ready")
    first.signal(signal.SIGKILL)
    first.wait()
    before = {entry.name: entry.stat().st_ino for entry in directory.iterdir()}

    second = host.start("run")
    second.wait_for("daemon_ready")
    second.stop()

    assert before == {entry.name: entry.stat().st_ino for entry in directory.iterdir()}


def test_a_profile_that_leaves_takes_its_twin_along(host: Host) -> None:
    """A reload removes the twin, and `twin_removed` says so."""
    directory = with_twins(host)
    running = host.start("run")
    running.wait_for("daemon_ready")
    profile = "  production:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
    host.configure(profile, extra=f"process_dir: {directory}\n")
    running.signal(signal.SIGHUP)

    removed = running.wait_for("twin_removed", 2)

    assert {"development", "preproduction"} == {event["twin"] for event in removed}
    assert ["production.json"] == [entry.name for entry in directory.glob("*.json")]


def test_through_an_outage_the_twin_stays(host: Host) -> None:
    """Expired credentials stay, or go with `on_expired: remove`; the next success restores them."""
    host.sts.grant_seconds = 3
    directory = host.root / "process"
    profile = (
        "  production:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
        "  development:\n    role_arn: arn:aws:iam::111111111111:role/development\n"
        "    on_expired: remove\n"
    )
    host.configure(profile, extra=f"process_dir: {directory}\n")
    running = host.start("run")
    running.wait_for("daemon_ready")
    host.sts.inject(faults.internal_error(), times=None)

    running.wait_for("profile_expired", 2)
    wait_until(lambda: not (directory / "development.json").exists(), "the removal")

    assert (directory / "production.json").exists()
    assert (directory / "development.env").exists()
    wait_until(lambda: {"production"} == set(host.sections()), "the section's removal")

    host.sts.clear_faults()
    host.sts.grant_seconds = None
    running.signal(signal.SIGUSR1)
    wait_until(lambda: {"production", "development"} == set(host.sections()), "the return")
    wait_until((directory / "development.json").exists, "the twin's return")


def test_a_withdrawal_removes_section_and_twin(host: Host) -> None:
    """`credfresh withdraw` removes section and twin at once; `renew` restores both."""
    directory, socket = host.root / "process", host.root / "run" / "control.sock"
    host.configure(extra=f"process_dir: {directory}\ncontrol:\n  socket: {socket}\n")
    host.start("run").wait_for("daemon_ready")

    done = host.command("withdraw", "production", "--socket", str(socket))

    assert 0 == done.returncode, done.stderr
    assert "production" not in host.sections()
    assert not (directory / "production.json").exists()
    assert (directory / "production.env").exists()
    assert (directory / "development.json").exists()
    assert 0 == host.command("renew", "production", "--socket", str(socket)).returncode
    assert host.sections()["production"]["aws_access_key_id"] == key_of(directory, "production")


def test_once_publishes_the_twins_too(host: Host) -> None:
    """`once`, for cron and images, publishes them as the daemon does."""
    directory = with_twins(host)

    assert 0 == host.command("once", "--config", str(host.config)).returncode

    assert {f"{name}.json" for name in ENVIRONMENTS} == {p.name for p in directory.glob("*.json")}


def test_status_says_what_hides_the_twin(host: Host) -> None:
    """With only half of the twin's environment set, `status` says what outranks the twin."""
    directory = with_twins(host)
    host.command("once", "--config", str(host.config))
    recipe = environment(host, directory, "production")
    half = recipe | {"AWS_SHARED_CREDENTIALS_FILE": str(host.credentials)}

    def said(environ: dict[str, str]) -> str:
        command = [COMMAND, "status", "--config", str(host.config)]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False
        ).stderr

    assert "outranks the twin" in said(half)
    assert "outranks" not in said(recipe)
