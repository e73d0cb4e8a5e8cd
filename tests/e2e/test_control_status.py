"""`credfresh status`, from a running daemon or from the marks of the file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from credfresh.cli.status import PUBLIC
from host import COMMAND, ENVIRONMENTS, Host, ask, running, wait_until

SHAPE = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "status.schema.json").read_text())
)
"""The documented form of `status --json`."""


def test_status_shows_every_profile(host: Host, socket: Path) -> None:
    """Off a terminal the table is plain, and the exit status is 0 if all are fresh."""
    daemon = running(host)
    shown = ask(host, "status")

    assert 0 == shown.returncode, shown.stderr
    lines = shown.stdout.splitlines()
    assert ["PROFILE", *ENVIRONMENTS] == [line.split()[0] for line in lines]
    assert all("fresh" in line and "█" in line for line in lines[1:])
    assert "\x1b" not in shown.stdout
    assert str(socket) == daemon.events("control_opened")[0]["path"]
    assert 0 == daemon.stop()
    assert not socket.exists()


@pytest.mark.usefixtures("socket")
def test_status_in_json_follows_its_schema(host: Host) -> None:
    """The JSON follows the documented schema and has no secret."""
    running(host)
    report = json.loads(ask(host, "status", "--json").stdout)

    SHAPE.validate(report)
    assert {"version": 1, "from": "daemon"} == {k: report[k] for k in ("version", "from")}
    assert list(ENVIRONMENTS) == [p["profile"] for p in report["profiles"]]
    sections = host.sections()
    for profile in report["profiles"]:
        assert list(PUBLIC) == list(profile)
        section = sections[profile["profile"]]
        assert section["aws_access_key_id"] == profile["access_key_id"]
        assert section["x_security_token_expires"] == profile["expiration"]
        assert section["aws_session_token"] not in json.dumps(report)
        assert "fresh" == profile["state"]
        assert 3500 < profile["seconds_left"] <= 3600
        assert 1800 == profile["guarantee_s"]


@pytest.mark.usefixtures("socket")
def test_status_tells_what_is_wrong(host: Host) -> None:
    """A refused role is missing, with its last error and a hint; the exit status is 4."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    running(host)
    shown = ask(host, "status")

    assert 4 == shown.returncode
    [line] = [line for line in shown.stdout.splitlines() if line.startswith("preproduction")]
    assert "missing" in line
    assert 1 == line.count("AccessDenied")
    [hint] = [line for line in shown.stderr.splitlines() if line.startswith("hint: ")]
    assert hint.startswith("hint: preproduction: check that the role")


def test_without_a_daemon_the_marks_of_the_file_are_shown(host: Host) -> None:
    """Marks have state, expiration and role; what only a daemon knows is null."""
    assert 0 == host.start("once").wait()
    shown = ask(host, "status")
    report = json.loads(ask(host, "status", "--json").stdout)

    SHAPE.validate(report)
    assert 0 == shown.returncode
    assert "no daemon answers" in shown.stderr
    assert f"this is what the marks in {host.credentials} say" in shown.stderr
    assert "file" == report["from"]
    assert set(ENVIRONMENTS) == {p["profile"] for p in report["profiles"]}
    for profile in report["profiles"]:
        assert ("fresh", None, None) == (
            profile["state"],
            profile["renew_at"],
            profile["last_error"],
        )
        assert profile["role_arn"].endswith(f":role/{profile['profile']}")


def test_without_a_daemon_a_file_that_credfresh_has_not_written_is_told(host: Host) -> None:
    """The table is empty, which is not all fresh."""
    host.credentials.write_text("[mine]\naws_access_key_id = AKIAMINE\n")
    shown = ask(host, "status")

    assert 4 == shown.returncode
    assert f"{host.credentials} has no marks\n" in shown.stderr


def test_without_a_daemon_expired_marks_are_expired(host: Host) -> None:
    """The exit status is 4, as with a daemon."""
    host.sts.grant_seconds = 2
    host.start("once").wait()
    wait_until(lambda: ask(host, "status").returncode == 4, "the expiration")
    assert "expired" in ask(host, "status").stdout


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_table_can_be_written_in_any_locale(host: Host, encoding: str) -> None:
    """A bar that the encoding lacks is replaced, without a traceback."""
    host.start("once").wait()
    done = subprocess.run(
        [COMMAND, "status", "--config", str(host.config)],
        env=host.environment | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert 4 == len(done.stdout.splitlines())
    assert b"Traceback" not in done.stderr


def test_status_with_a_closed_stdout_gives_its_exit_status(host: Host) -> None:
    """A probe may need nothing but the status, and close stdout."""
    host.start("once").wait()
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", COMMAND, "status", "--config", str(host.config)],
        env=host.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert "Traceback" not in done.stderr


def test_status_without_daemon_and_file_exits_with_69(host: Host) -> None:
    """The exit status is 69, and the error names the socket."""
    shown = host.command("status", "--socket", str(host.root / "nobody"))

    assert 69 == shown.returncode
    assert "nobody: no daemon answers" in shown.stderr
    assert "hint:" in shown.stderr


def test_a_daemon_without_a_socket_is_not_looked_for_in_vain(host: Host) -> None:
    """Where the configuration names no socket, every command says that this may be why."""
    running(host)
    silent = f"{host.config} names no control.socket"

    status, ensured = ask(host, "status"), ask(host, "ensure", "production", "--valid-for", "2h")
    assert [0, 69] == [status.returncode, ensured.returncode]
    assert [1, 1] == [
        done.stderr.count(f"hint: is it running? {silent}") for done in (status, ensured)
    ]
    for command in ("renew", "reload", "withdraw"):
        asked = ask(host, command)
        assert (69, 1) == (asked.returncode, asked.stderr.count(silent))

    elsewhere = ask(host, "renew", "--socket", str(host.root / "nobody"))
    assert 69 == elsewhere.returncode
    assert silent not in elsewhere.stderr
