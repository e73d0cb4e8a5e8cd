"""The commands that ask a running daemon, as they are installed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import resource
import select
import signal
import socket as sockets
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from asking import connect, exchange, received
from credfresh.cli.clock import clock
from credfresh.config.json_schema import json_schema
from credfresh.control import protocol
from credfresh.simulator import faults
from disk import needs_root
from host import COMMAND, ENVIRONMENTS, Host, Running, wait_until

SHAPE = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "status.schema.json").read_text())
)
"""The documented shape of `status --json`."""


@pytest.fixture(autouse=True)
def _many_descriptors() -> Iterator[None]:
    """A thousand clients are in one process here."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


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


def life(host: Host, profile: str) -> float:
    """Return the seconds that a reader of the file finds."""
    expiration = host.sections()[profile]["x_security_token_expires"]
    return (
        datetime.fromisoformat(expiration) - datetime.fromtimestamp(clock().wall, UTC)
    ).total_seconds()


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

    SHAPE.validate(report)
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
    assert 1 == line.count("AccessDenied")
    [hint] = [line for line in shown.stderr.splitlines() if line.startswith("hint: ")]
    assert hint.startswith("hint: preproduction: the role must exist")


def test_without_a_daemon_the_marks_of_the_file_are_shown(host: Host) -> None:
    """What was published, until when and for which role; what is not known is null."""
    assert 0 == host.start("once").wait()
    shown = ask(host, "status")
    report = json.loads(ask(host, "status", "--json").stdout)

    SHAPE.validate(report)
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


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_table_can_be_written_in_any_locale(host: Host, encoding: str) -> None:
    """Of a bar that cannot be written its length can."""
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


def test_whoever_has_closed_stdout_gets_the_exit_status(host: Host) -> None:
    """It is all that a probe may want."""
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
    told = host.command("status", "--socket", str(socket)).stderr
    assert "the last reload was refused: " in told
    assert f"{host.config}:" in told
    development = "  development:\n    role_arn: arn:aws:iam::111111111111:role/development\n"
    host.configure(development, extra=f"control:\n  socket: {socket}\n")
    assert 0 == ask(host, "reload").returncode
    assert "" == host.command("status", "--socket", str(socket)).stderr


def test_what_a_later_daemon_adds_to_its_answers_is_passed_over(host: Host) -> None:
    """Both sides are of one package, and a daemon is restarted later than the package is new."""
    problem = {"source": "c.yaml", "line": 3, "column": 1, "path": "profiles", "reason": "missing"}
    answer = {"accepted": False, "problems": [problem | {"hint": None, "rule": 7}], "took_s": 1}
    with sockets.socket(sockets.AF_UNIX) as daemon:
        path = str(host.root / "later.sock")
        daemon.bind(path)
        daemon.listen()
        asking = subprocess.Popen(
            [COMMAND, "reload", "--socket", path],
            env=host.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        with daemon.accept()[0] as client:
            client.recv(65536)
            client.sendall(protocol.encode_answer(answer))
        _, said = asking.communicate(timeout=20)

    assert 78 == asking.returncode
    assert "c.yaml:3:1: profiles: missing\n" == said


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


class Terminal:
    """A terminal of 60 columns and 8 lines, or of another size, in which a command runs."""

    size = (8, 60)

    def __init__(self, host: Host, *arguments: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", *self.size, 0, 0))
        self.process = subprocess.Popen(
            [COMMAND, *arguments],
            env=host.environment | {"TERM": "xterm"} | environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read until that is shown.

        Raises:
            TimeoutError: it is not.
        """
        while text not in self.shown:
            ready, _, _ = select.select([self._ours], [], [], 20)
            if not ready:
                raise TimeoutError(self.shown)
            self.shown += os.read(self._ours, 65536).decode()

    def end(self) -> int:
        """Read to the end; return the exit status."""
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while data := os.read(self._ours, 65536):
                self.shown += data.decode()
        os.close(self._ours)
        return self.process.wait(20)


@pytest.mark.usefixtures("socket")
def test_on_a_terminal_the_table_has_colours_and_fits(host: Host) -> None:
    """Green is fresh; no line is longer than the terminal; NO_COLOR is obeyed."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    running(host)
    colourful = Terminal(host, "status", "--config", str(host.config))
    assert 4 == colourful.end()
    plain = Terminal(host, "status", "--config", str(host.config), NO_COLOR="1")
    assert 4 == plain.end()

    assert "\x1b[32mdevelopment" in colourful.shown
    assert "\x1b[31mpreproduction" in colourful.shown
    assert "\x1b" not in plain.shown
    table = plain.shown.partition("hint: ")[0]
    assert all(len(line) <= 60 for line in table.split("\r\n"))
    assert "…" in plain.shown


class Console(Terminal):
    """A terminal that does not know its size, as a serial console does not."""

    size = (0, 0)


@pytest.mark.usefixtures("socket")
def test_a_terminal_without_a_size_is_written_to_as_one_of_80_columns(host: Host) -> None:
    """Nobody reads a column of one letter."""
    running(host)
    once = Console(host, "status", "--config", str(host.config))
    assert 0 == once.end()
    watching = Console(host, "status", "--watch", "--config", str(host.config))
    watching.wait_for("\x1b[J")
    watching.process.send_signal(signal.SIGINT)
    assert 0 == watching.end()

    for shown in (once.shown, watching.shown):
        assert "AT LEAST" in shown
        assert "preproduction" in shown


@pytest.mark.usefixtures("socket")
def test_watch_gives_the_screen_back_to_whoever_ends_it(host: Host) -> None:
    """`timeout` sends SIGTERM."""
    running(host)
    screen = Terminal(host, "status", "--watch", "--config", str(host.config))
    screen.wait_for("production")
    screen.process.send_signal(signal.SIGTERM)

    assert 128 + signal.SIGTERM == screen.end()
    assert screen.shown.endswith("\x1b[?25h\x1b[?1049l")


@pytest.mark.usefixtures("socket")
def test_watch_borrows_the_screen_and_gives_it_back(host: Host) -> None:
    """The most urgent are shown where not all have room; Ctrl-C ends it with the last status."""
    host.configure(
        "".join(
            f"  p{n}:\n    role_arn: arn:aws:iam::111111111111:role/development\n"
            for n in range(1, 12)
        ),
        extra=f"control:\n  socket: {host.root}/run/control.sock\n",
    )
    running(host)
    screen = Terminal(host, "status", "--watch", "--config", str(host.config))
    screen.wait_for("more")
    screen.process.send_signal(signal.SIGINT)

    assert 0 == screen.end()
    assert screen.shown.startswith("\x1b[?1049h\x1b[?25l")
    assert screen.shown.rstrip().endswith("\x1b[?25h\x1b[?1049l")
    first = screen.shown.split("\x1b[H")[1].split("\x1b[J")[0]
    assert first.count("\n") < 8
    assert "… and 7 more" in first
    assert "Traceback" not in screen.shown


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


def test_ensure_returns_at_once_for_what_lasts(host: Host, socket: Path) -> None:
    """No call; the life is told."""
    running(host)
    calls = host.sts.count("AssumeRole")
    done = host.command("ensure", "production", "--valid-for", "45m", "--socket", str(socket))

    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("production: valid for 59m")
    assert calls == host.sts.count("AssumeRole")


def test_ensure_renews_what_does_not(host: Host, socket: Path) -> None:
    """It returns when the file has the life: a reader that comes next finds it."""
    host.sts.grant_seconds = 120
    running(host)
    before = host.sections()["production"]["aws_access_key_id"]
    wait_until(lambda: life(host, "production") < 113, "a few seconds")
    done = host.command(
        "ensure", "production", "--valid-for", "114s", "--json", "--socket", str(socket)
    )
    answer = json.loads(done.stdout)

    assert 0 == done.returncode, done.stderr
    assert answer["reached"]
    assert before != answer["access_key_id"]
    assert host.sections()["production"]["aws_access_key_id"] == answer["access_key_id"]
    assert 4 == host.sts.count("AssumeRole")


def test_a_thousand_jobs_at_once_cost_one_call(host: Host, socket: Path) -> None:
    """All of them are answered, each on a connection of its own."""
    host.sts.grant_seconds = 120
    running(host)
    wait_until(lambda: life(host, "production") < 113, "a few seconds")
    calls = host.sts.count("AssumeRole")
    request = protocol.encode_request(protocol.Ensure("production", 114, 60))
    jobs = [connect(socket) for _ in range(1000)]
    for job in jobs:
        job.sendall(request)
    answers = [json.loads(received(job)) for job in jobs]
    for job in jobs:
        job.close()

    assert [True] * 1000 == [answer["answer"]["reached"] for answer in answers]
    assert 1 == len({answer["answer"]["access_key_id"] for answer in answers})
    assert calls + 1 == host.sts.count("AssumeRole")


def test_ensure_fails_at_once_for_what_cannot_be(host: Host, socket: Path) -> None:
    """5, with the most that can be had."""
    running(host)
    done = host.command("ensure", "production", "--valid-for", "2h", "--socket", str(socket))

    assert 5 == done.returncode
    assert "at most 59m5" in done.stderr
    assert "hint: " in done.stderr


def test_ensure_tells_the_last_error(host: Host, socket: Path) -> None:
    """A role that refuses is told after one try; a job does not wait in vain."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    running(host)
    done = host.command("ensure", "preproduction", "--valid-for", "45m", "--socket", str(socket))

    assert 5 == done.returncode
    assert 1 == done.stderr.count("AccessDenied")


def test_ensure_waits_out_an_outage_until_its_timeout(host: Host, socket: Path) -> None:
    """And is answered when STS comes back in time."""
    injection = host.sts.inject(faults.internal_error(), times=1000)
    host.start("run").wait_for("control_opened")
    short = host.command(
        "ensure", "production", "--valid-for", "45m", "--timeout", "2s", "--socket", str(socket)
    )
    assert 5 == short.returncode
    assert "not in time" in short.stderr
    waiting = subprocess.Popen(
        [COMMAND, "ensure", "production", "--valid-for", "45m", "--socket", str(socket)],
        env=host.environment,
        stdout=subprocess.DEVNULL,
    )
    injection.withdraw()
    assert 0 == waiting.wait(60)


def test_an_unknown_profile_is_a_usage_error(host: Host, socket: Path) -> None:
    """2, with the name that was probably meant."""
    running(host)
    for command in (["ensure", "prodction", "--valid-for", "1m"], ["renew", "prodction"]):
        done = host.command(*command, "--socket", str(socket))
        assert 2 == done.returncode
        assert "did you mean `production`?" in done.stderr


def test_ensure_without_a_daemon_judges_the_file(host: Host) -> None:
    """0 while it suffices, else 69: nobody is there to renew."""
    assert 0 == host.start("once").wait()
    nobody = str(host.root / "nobody")
    for valid_for, profile, status in (
        ("45m", "production", 0),
        ("2h", "production", 69),
        ("1s", "staging", 69),
    ):
        done = host.command(
            "ensure", profile, "--valid-for", valid_for,
            "--socket", nobody, "--config", str(host.config),
        )  # fmt: skip
        assert status == done.returncode, done.stderr


def test_what_has_ended_is_not_enough_for_anybody(host: Host) -> None:
    """A job that asks for no time at all does not begin with dead keys."""
    host.sts.grant_seconds = 2
    host.start("once").wait()
    wait_until(lambda: life(host, "production") <= 0, "the expiration")

    done = host.command(
        "ensure", "production", "--valid-for", "0s",
        "--socket", str(host.root / "nobody"), "--config", str(host.config),
    )  # fmt: skip

    assert 69 == done.returncode
    assert "has 0s left" in done.stderr


def test_ensure_without_daemon_and_configuration_judges_what_sdks_read(host: Host) -> None:
    """A job has AWS_SHARED_CREDENTIALS_FILE; that is the file that it means."""
    assert 0 == host.start("once").wait()
    done = subprocess.run(
        [COMMAND, "ensure", "production", "--valid-for", "45m", "--json"],
        env=host.environment
        | {
            "AWS_SHARED_CREDENTIALS_FILE": str(host.credentials),
            "CREDFRESH_SOCKET": str(host.root / "nobody"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert {"from": "file", "reached": True}.items() <= json.loads(done.stdout).items()


def test_renew_returns_with_new_credentials_on_disk(host: Host, socket: Path) -> None:
    """For one profile or for all; once more within the distance it tells the same."""
    running(host)
    before = host.sections()
    done = host.command("renew", "production", "--socket", str(socket))
    after = host.sections()
    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("production: renewed, valid until 2")
    assert {"production"} == {n for n in before if before[n] != after[n]}
    calls = host.sts.count("AssumeRole")
    assert 0 == host.command("renew", "production", "--socket", str(socket)).returncode
    assert calls == host.sts.count("AssumeRole")

    done = host.command("renew", "--json", "--socket", str(socket))
    assert set(ENVIRONMENTS) == {p["profile"] for p in json.loads(done.stdout)["profiles"]}
    assert after["development"] != host.sections()["development"]
    assert calls + 2 == host.sts.count("AssumeRole")


def test_renew_says_what_failed(host: Host, socket: Path) -> None:
    """3; the others are renewed, and the old credentials stay."""
    running(host)
    before = host.sections()["preproduction"]
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    done = host.command("renew", "--socket", str(socket))

    assert 3 == done.returncode
    assert "preproduction: not renewed: AccessDenied" in done.stderr
    assert 2 == len(done.stdout.splitlines())
    assert before == host.sections()["preproduction"]


def test_withdraw_leaves_nothing_of_ours_and_all_of_theirs(host: Host, socket: Path) -> None:
    """The file as it was before us; nothing comes back but by name."""
    foreign = "# mine\n[mine]\naws_access_key_id = AKIAMINE\n"
    host.credentials.write_text(foreign)
    host.credentials.chmod(0o600)
    daemon = running(host)
    done = host.command("withdraw", "production", "--socket", str(socket))
    assert 0 == done.returncode, done.stderr
    assert {"mine", "development", "preproduction"} == set(host.sections())
    daemon.signal(signal.SIGUSR1)
    daemon.wait_for("credentials_renewed", len(ENVIRONMENTS) + 2)
    assert {"mine", "development", "preproduction"} == set(host.sections())
    assert 0 == host.command("withdraw", "--socket", str(socket)).returncode
    assert foreign == host.credentials.read_text()
    assert [1, 3] == [e["profiles"] for e in daemon.events("profiles_withdrawn")]

    assert 5 == host.command(
        "ensure", "production", "--valid-for", "1m", "--socket", str(socket)
    ).returncode  # fmt: skip
    assert 0 == host.command("renew", "--socket", str(socket)).returncode
    assert foreign == host.credentials.read_text()
    assert 0 == host.command("renew", "production", "--socket", str(socket)).returncode
    assert {"mine", "production"} == set(host.sections())


def test_withdraw_takes_the_twins_too(host: Host, socket: Path) -> None:
    """Neither a section nor a file holds the credentials any more; renewing brings both back."""
    directory = host.root / "run" / "process"
    host.configure(extra=f"control:\n  socket: {socket}\nprocess_dir: {directory}\n")
    running(host)
    token = host.sections()["production"]["aws_session_token"]

    def holders() -> list[Path]:
        files = [path for path in host.root.rglob("*") if path.is_file()]
        return [path for path in files if token.encode() in path.read_bytes()]

    assert {"credentials", "production.json"} <= {path.name for path in holders()}
    done = host.command("withdraw", "production", "--socket", str(socket))
    assert 0 == done.returncode, done.stderr
    wait_until(lambda: [] == holders(), "the end of what was replaced")
    assert "production" not in host.sections()
    assert not (directory / "production.json").exists()
    assert (directory / "development.json").exists()
    assert 0 == host.command("renew", "production", "--socket", str(socket)).returncode
    assert (directory / "production.json").exists()


def test_a_daemon_that_ends_lets_who_waits_look_at_the_file(host: Host, socket: Path) -> None:
    """69: there is nobody to renew any more."""
    host.sts.inject(faults.internal_error(), times=1000)
    daemon = host.start("run")
    daemon.wait_for("control_opened")
    waiting = subprocess.Popen(
        [COMMAND, "ensure", "production", "--valid-for", "45m", "--socket", str(socket)],
        env=host.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: host.sts.count("AssumeRole") > 6 or waiting.poll() is not None, "retries")
    assert 0 == daemon.stop()
    _, said = waiting.communicate(timeout=30)
    assert 69 == waiting.returncode, said


@needs_root
def test_others_may_ask_how_it_is_and_change_nothing(host: Host) -> None:
    """Whoever the mode lets in has status and ensure; the rest is 77. Who is kept out: 77 too."""
    with tempfile.TemporaryDirectory(prefix="credfresh-test-") as directory:
        Path(directory).chmod(0o755)
        socket = Path(directory) / "control.sock"
        host.configure(extra=f'control:\n  socket: {socket}\n  mode: "0666"\n')
        daemon = running(host)

        def as_nobody(*arguments: str) -> int:
            done = subprocess.run(
                # It may read all (a checkout may lie where nobody else may look) and write nothing.
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                 "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search", "--",
                 sys.executable, "-m", "credfresh", *arguments, "--socket", str(socket)],
                env={"PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=False,
            )  # fmt: skip
            assert "hint: " in done.stderr or done.returncode == 0
            return done.returncode

        assert 0 == as_nobody("status")
        assert 0 == as_nobody("ensure", "production", "--valid-for", "45m")
        assert [77] * 3 == [as_nobody(c) for c in ("renew", "reload", "withdraw")]
        assert [] == daemon.events("profiles_withdrawn")
        socket.chmod(0o600)
        assert 77 == as_nobody("status")


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["ensure", "production", "--valid-for", "45m"],
        ["renew", "production"],
        ["reload"],
        ["withdraw", "production"],
    ],
)
def test_the_client_commands_import_neither_boto3_nor_pydantic(
    host: Host, socket: Path, arguments: list[str]
) -> None:
    """Nor the logging, nor the daemon: jobs wait for them."""
    running(host)
    code = (
        "import sys\n"
        "from credfresh.cli import main\n"
        "try: main()\n"
        "except SystemExit as left: status = left.code\n"
        "heavy = {'boto3', 'botocore', 'pydantic', 'yaml', 'structlog', 'apscheduler', 'asyncio',\n"
        "    'waitress', 'prometheus_client', 'credfresh.life.supervisor', 'credfresh.settings'}\n"
        "print(status or 0, sorted(heavy & sys.modules.keys()), file=sys.stderr)\n"
    )
    for whereabouts in (["--socket", str(socket)], ["--config", str(host.config)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, *whereabouts],
            env=host.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "0 []\n" == done.stderr
