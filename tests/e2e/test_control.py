"""The control socket of a running daemon: its path, who may ask for what, and how many."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from asking import exchange, foreign
from credfresh.config.json_schema import json_schema
from disk import needs_root
from host import COMMAND, Host, ask, running


def test_a_job_needs_no_configuration(host: Host, socket: Path) -> None:
    """A job finds the socket by --socket or by CREDFRESH_SOCKET."""
    running(host)
    assert 0 == host.command("status", "--socket", str(socket)).returncode
    done = subprocess.run(
        [COMMAND, "status"],
        env=host.environment | {"CREDFRESH_SOCKET": str(socket)},
        capture_output=True,
        check=False,
    )
    assert 0 == done.returncode


def test_the_default_socket_is_in_the_runtime_directory(host: Host) -> None:
    """By default daemon and client use control.sock in $RUNTIME_DIRECTORY."""
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


def test_a_daemon_started_by_hand_has_no_socket_by_default(host: Host) -> None:
    """A daemon started by hand without `control` has no socket, and does not log that."""
    daemon = running(host)
    assert [] == daemon.events("control_opened")
    assert [] == [p for p in host.credentials.parent.iterdir() if p.is_socket()]


@pytest.mark.usefixtures("socket")
def test_a_second_daemon_on_the_socket_is_refused(host: Host) -> None:
    """The exit status is 75, though it keeps another file; the first daemon still answers."""
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
    """The next daemon replaces the socket that SIGKILL left."""
    first = running(host)
    first.signal(signal.SIGKILL)
    first.wait()
    assert socket.is_socket()
    assert 0 == ask(host, "status").returncode  # answered from the file

    running(host)
    assert "daemon" == json.loads(ask(host, "status", "--json").stdout)["from"]


def test_a_socket_that_somebody_took_away_is_put_back(host: Host, socket: Path) -> None:
    """The daemon makes it again and logs `control_opened` once more."""
    daemon = running(host)
    socket.unlink()
    daemon.wait_for("control_opened", count=2)
    assert 0 == ask(host, "status").returncode


def test_two_hundred_clients_at_once_are_all_answered(host: Host, socket: Path) -> None:
    """Two hundred clients with a connection each are all answered."""
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


def test_the_json_schema_has_the_key_control() -> None:
    """The JSON Schema has `control`, so that editors complete it."""
    assert "control" in json_schema()["properties"]


def test_an_unknown_profile_is_a_usage_error(host: Host, socket: Path) -> None:
    """The exit status is 2, and the hint names the similar profile."""
    running(host)
    for command in (["ensure", "prodction", "--valid-for", "1m"], ["renew", "prodction"]):
        done = host.command(*command, "--socket", str(socket))
        assert 2 == done.returncode
        assert "did you mean `production`?" in done.stderr


ODD = b'{"version": 1, "answer": {"profiles": [{"profile": 3}], "reached": true, "accepted": 1}}\n'


@pytest.mark.parametrize("line", [b"HTTP/1.1 400 Bad Request\r\n\r\n", ODD])
def test_another_service_at_the_socket_is_told_as_such(host: Host, line: bytes) -> None:
    """As if no daemon ran: 69, also where it answers with JSON; the file is judged."""
    assert 0 == host.start("once").wait()
    path = host.root / "run" / "other.sock"
    with foreign(path, line):
        orders = [ask(host, c, "--socket", str(path)) for c in ("renew", "reload", "withdraw")]
        judged = [
            ask(host, "ensure", "production", "--valid-for", asked, "--socket", str(path))
            for asked in ("45m", "2h")
        ]
        shown = ask(host, "status", "--socket", str(path))

    for done in [*orders, judged[1]]:
        assert 69 == done.returncode, done.stderr
        assert done.stderr.startswith(f"credfresh: {path}: what answers there is no credfresh")
        assert 2 == done.stderr.count("\n")  # the message and a hint
    assert 0 == judged[0].returncode, judged[0].stderr
    assert judged[0].stdout.startswith("production: valid for 59m")
    assert 0 == shown.returncode
    assert f"{path}: what answers there is no credfresh" in shown.stderr


@needs_root
def test_other_users_may_use_status_and_ensure_and_nothing_else(host: Host) -> None:
    """Others may use `status` and `ensure` only; 77 otherwise, and if the mode shuts them out."""
    with tempfile.TemporaryDirectory(prefix="credfresh-test-") as directory:
        Path(directory).chmod(0o755)
        socket = Path(directory) / "control.sock"
        host.configure(extra=f'control:\n  socket: {socket}\n  mode: "0666"\n')
        daemon = running(host)
        said: list[str] = []

        def as_nobody(*arguments: str) -> int:
            done = subprocess.run(
                # It may read everything, as others may not enter the checkout, but write nothing.
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                 "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search", "--",
                 sys.executable, "-m", "credfresh", *arguments, "--socket", str(socket)],
                env={"PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=False,
            )  # fmt: skip
            assert "hint: " in done.stderr or done.returncode == 0
            said.append(done.stderr)
            return done.returncode

        assert 0 == as_nobody("status")
        assert 0 == as_nobody("ensure", "production", "--valid-for", "45m")
        assert [77] * 3 == [as_nobody(c) for c in ("renew", "reload", "withdraw")]
        assert [] == daemon.events("profiles_withdrawn")
        socket.chmod(0o600)
        assert 77 == as_nobody("status")
        assert 'control.mode "0660"' in said[-1]


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
    """Jobs wait for these commands, so they import neither the logging nor the daemon either."""
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
        assert "0 []" == done.stderr.splitlines()[-1]  # a second `renew` says more before it
