"""The commands that ask a running daemon, as they are installed."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from asking import exchange
from credfresh.config.json_schema import json_schema
from host import COMMAND, ENVIRONMENTS, Host, Running, wait_until


@pytest.fixture(name="socket")
def _socket(host: Host) -> Path:
    """A host whose daemon listens there."""
    socket = host.root / "run" / "control.sock"
    host.configure(extra=f"control:\n  socket: {socket}\n")
    return socket


def running(host: Host, **environment: str) -> Running:
    """Start the daemon, and wait until it is ready."""
    daemon = host.start("run", **environment)
    daemon.wait_for("daemon_ready")
    return daemon


def ask(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a client command with the host's configuration."""
    return host.command(*arguments, "--config", str(host.config))


def test_status_shows_every_profile(host: Host, socket: Path) -> None:
    """A table for people, plain where it is no terminal; 0 when all are fresh."""
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
def test_status_in_json_is_for_programs(host: Host) -> None:
    """The documented keys in their order, and no secret."""
    running(host)
    report = json.loads(ask(host, "status", "--json").stdout)

    assert {"version": 1, "from": "daemon"} == {k: report[k] for k in ("version", "from")}
    assert list(ENVIRONMENTS) == [p["profile"] for p in report["profiles"]]
    sections = host.sections()
    for profile in report["profiles"]:
        section = sections[profile["profile"]]
        assert section["aws_access_key_id"] == profile["access_key_id"]
        assert section["x_security_token_expires"] == profile["expiration"]
        assert section["aws_session_token"] not in json.dumps(report)
        assert "fresh" == profile["state"]
        assert 3500 < profile["seconds_left"] <= 3600
        assert 1800 == profile["guarantee_s"]


@pytest.mark.usefixtures("socket")
def test_status_tells_what_is_wrong(host: Host) -> None:
    """A refused role is missing, with its last error; 4 when any is not fresh."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    running(host)
    shown = ask(host, "status")

    assert 4 == shown.returncode
    [line] = [line for line in shown.stdout.splitlines() if line.startswith("preproduction")]
    assert "missing" in line
    assert "AccessDenied" in line


def test_without_a_daemon_the_marks_of_the_file_are_shown(host: Host) -> None:
    """What was published, until when and for which role; what is not known is null."""
    assert 0 == host.start("once").wait()
    shown = ask(host, "status")
    report = json.loads(ask(host, "status", "--json").stdout)

    assert 0 == shown.returncode
    assert "no daemon answers" in shown.stderr
    assert "file" == report["from"]
    assert set(ENVIRONMENTS) == {p["profile"] for p in report["profiles"]}
    for profile in report["profiles"]:
        assert ("fresh", None, None) == (
            profile["state"],
            profile["renew_at"],
            profile["last_error"],
        )
        assert profile["role_arn"].endswith(f":role/{profile['profile']}")


def test_without_a_daemon_expired_marks_are_expired(host: Host) -> None:
    """4, as with a daemon."""
    host.sts.grant_seconds = 2
    host.start("once").wait()
    wait_until(lambda: ask(host, "status").returncode == 4, "the expiration")
    assert "expired" in ask(host, "status").stdout


def test_with_neither_daemon_nor_file_there_is_nothing_to_say(host: Host) -> None:
    """69, with the place that was asked."""
    shown = host.command("status", "--socket", str(host.root / "nobody"))

    assert 69 == shown.returncode
    assert "nobody: no daemon answers" in shown.stderr
    assert "hint:" in shown.stderr


def test_reload_says_what_came_of_it(host: Host, socket: Path) -> None:
    """It returns when the configuration is in force: new profiles are known, old ones gone."""
    running(host)
    host.configure(
        "  production:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
        "  extra:\n    role_arn: arn:aws:iam::111111111111:role/development\n",
        extra=f"control:\n  socket: {socket}\n",
    )
    done = ask(host, "reload")
    assert 0 == done.returncode, done.stderr
    assert done.stdout.splitlines() == [
        "reloaded",
        "added: extra",
        "removed: development, preproduction",
    ]
    report = json.loads(ask(host, "status", "--json").stdout)
    assert ["production", "extra"] == [p["profile"] for p in report["profiles"]]
    again = json.loads(ask(host, "reload", "--json").stdout)
    assert {"version": 1, "accepted": True, "added": [], "removed": []}.items() <= again.items()


def test_a_refused_reload_lists_every_mistake_and_changes_nothing(host: Host, socket: Path) -> None:
    """78, as at the start; the daemon goes on with the old configuration."""
    daemon = running(host)
    host.configure(
        "  a:\n    role_arm: x\n    duration: 13h\n", extra=f"control:\n  socket: {socket}\n"
    )
    done = ask(host, "reload")

    assert 78 == done.returncode
    assert "profiles.a.role_arm: unknown key" in done.stderr
    assert "profiles.a.duration: must be 15m to 12h" in done.stderr
    problems = json.loads(ask(host, "reload", "--json").stdout)["problems"]
    assert {"profiles.a.role_arm", "profiles.a.duration"} <= {p["path"] for p in problems}
    report = json.loads(ask(host, "status", "--json").stdout)
    assert list(ENVIRONMENTS) == [p["profile"] for p in report["profiles"]]
    assert 2 == len(daemon.events("config_reload_failed"))


def test_a_moved_socket_needs_a_restart(host: Host, socket: Path) -> None:
    """And is said to."""
    running(host)
    host.configure(extra=f"control:\n  socket: {socket}.new\n")
    done = host.command("reload", "--socket", str(socket))

    assert 0 == done.returncode
    assert "needs a restart: control" in done.stdout


def test_a_job_needs_no_configuration(host: Host, socket: Path) -> None:
    """It is told the socket, by option or by environment."""
    running(host)
    assert 0 == host.command("status", "--socket", str(socket)).returncode
    done = subprocess.run(
        [COMMAND, "status"],
        env=host.environment | {"CREDFRESH_SOCKET": str(socket)},
        capture_output=True,
        check=False,
    )
    assert 0 == done.returncode


def test_the_usual_place_is_the_service_s_directory(host: Host) -> None:
    """Without a key, control.sock in $RUNTIME_DIRECTORY, for the daemon and for its reload."""
    directory = host.root / "run"
    running(host, RUNTIME_DIRECTORY=str(directory))
    assert (directory / "control.sock").is_socket()
    done = subprocess.run(
        [COMMAND, "reload", "--config", str(host.config)],
        env=host.environment | {"RUNTIME_DIRECTORY": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr


def test_without_a_place_there_is_no_socket(host: Host) -> None:
    """Started by hand and not configured: nothing listens, and nothing is said of it."""
    daemon = running(host)
    assert [] == daemon.events("control_opened")
    assert [] == [p for p in host.credentials.parent.iterdir() if p.is_socket()]


@pytest.mark.usefixtures("socket")
def test_a_second_daemon_on_the_socket_is_refused(host: Host) -> None:
    """75, though it keeps another file; the first one goes on listening."""
    running(host)
    other = host.root / "other.yaml"
    other.write_text(
        host.config.read_text().replace(str(host.credentials), str(host.credentials) + "2")
    )
    done = host.command("run", "--config", str(other))

    assert 75 == done.returncode
    assert "listens on this socket" in done.stdout + done.stderr
    assert 0 == ask(host, "status").returncode


def test_the_socket_survives_a_killed_daemon(host: Host, socket: Path) -> None:
    """A successor replaces what SIGKILL left."""
    first = running(host)
    first.signal(signal.SIGKILL)
    first.wait()
    assert socket.is_socket()
    assert 0 == ask(host, "status").returncode  # from the file

    running(host)
    assert "daemon" == json.loads(ask(host, "status", "--json").stdout)["from"]


def test_a_socket_that_somebody_took_away_is_put_back(host: Host, socket: Path) -> None:
    """Within seconds, and it is told."""
    daemon = running(host)
    socket.unlink()
    daemon.wait_for("control_opened", count=2)
    assert 0 == ask(host, "status").returncode


def test_watch_shows_it_again_and_again(host: Host, socket: Path) -> None:
    """Until Ctrl-C, whose exit status is that of the last look."""
    running(host)
    watching = subprocess.Popen(
        [COMMAND, "status", "--watch", "--json", "--socket", str(socket)],
        env=host.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
    watching.send_signal(signal.SIGINT)
    assert 0 == watching.wait(20)
    watching.stdout.close()
    assert first["profiles"][0]["seconds_left"] > second["profiles"][0]["seconds_left"]


def test_many_who_ask_at_once_are_all_told(host: Host, socket: Path) -> None:
    """Two hundred clients, each with its own connection."""
    running(host)
    said: list[int] = []

    def one() -> None:
        said.append(len(exchange(socket)["answer"]["profiles"]))

    threads = [threading.Thread(target=one) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [3] * 200 == said


def test_the_schema_knows_the_key() -> None:
    """Editors complete it."""
    assert "control" in json_schema()["properties"]
