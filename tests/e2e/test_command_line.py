"""The command line as a whole: help, versions, wrong usage, and the form of errors."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import credfresh
from asking import served
from credfresh.cli import COMMANDS
from disk import needs_root
from host import COMMAND, ENVIRONMENTS, Host, wait_until


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in an empty environment."""
    return subprocess.run(
        [COMMAND, *arguments],
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_and_the_module_are_the_same() -> None:
    """`credfresh --version` and `python -m credfresh --version` print the package's version."""
    module = subprocess.run(
        [sys.executable, "-m", "credfresh", "--version"], capture_output=True, text=True, check=True
    )
    assert f"credfresh {credfresh.__version__}\n" == run("--version").stdout == module.stdout
    assert Path(COMMAND).exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    """Help starts with the usage, and names the exit statuses of commands that have several."""
    result = run(name, "--help")

    assert 0 == result.returncode
    assert "" == result.stderr
    assert result.stdout.startswith(f"Usage: credfresh {name}")
    if name not in {"schema", "demo", "init"}:
        assert re.search(r"Exit\s+status", result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["renewww"],
        ["run", "--nonsense"],
        ["check", "surplus"],
        ["run", "--log-format", "xml"],
        ["demo", "--for", "1:30"],
        ["ensure", "", "--valid-for", "45m"],
        ["ensure", "x" * 129, "--valid-for", "45m", "--json"],
        ["ensure", "\udcff", "--valid-for", "45m", "--json"],
        ["renew", ""],
        ["withdraw", "production", ""],
        ["withdraw", "\udcff"],
    ],
    ids=ascii,
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    """The error is one line, without a traceback."""
    result = run(*arguments)

    assert 2 == result.returncode
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["run", "once", "check"])
def test_a_directory_in_the_place_of_the_configuration_exits_with_78(name: str) -> None:
    """A directory is a bad configuration (78), not wrong usage."""
    result = run(name, "--config", "/tmp")

    assert 78 == result.returncode
    assert "is a directory" in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["run", "once", "check"])
def test_a_missing_configuration_exits_with_78(name: str) -> None:
    """The missing file is named, without a traceback."""
    result = run(name, "--config", "/nowhere/credfresh.yaml")

    assert 78 == result.returncode
    assert "/nowhere/credfresh.yaml" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_the_configuration_may_be_named_by_the_environment(host: Host) -> None:
    """$CREDFRESH_CONFIG is used if there is no --config."""
    named = run("check", CREDFRESH_CONFIG=str(host.config))
    unnamed = run("check", "--config", str(host.config), CREDFRESH_CONFIG="/nowhere")

    assert [0, 0] == [named.returncode, unnamed.returncode]
    assert str(host.config) in named.stdout


def on_terminal(host: Host, *arguments: str) -> tuple[int, str]:
    """Run the command on a terminal; return exit status and output."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [COMMAND, *arguments, "--config", str(host.config)],
        env=host.environment | {"TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # the process has closed its side
                break
            shown += chunk
    os.close(master)
    return process.returncode, shown.decode()


def test_on_a_terminal_once_prints_text(host: Host) -> None:
    """Events are coloured lines of text."""
    status, shown = on_terminal(host, "once")

    assert 0 == status
    assert "\x1b[" in shown
    assert 3 == shown.count("credentials_renewed")


def test_on_a_terminal_mistakes_are_text(host: Host) -> None:
    """Problems are printed as `check` prints them."""
    host.configure("  production:\n    role_arn: nonsense\n")
    status, shown = on_terminal(host, "run")

    assert 78 == status
    assert f"{host.config}:12:15: profiles.production.role_arn: " in shown


def test_on_a_terminal_another_daemon_is_told_as_text(host: Host) -> None:
    """The error and its hint are text."""
    host.start("run").wait_for("daemon_ready")
    status, shown = on_terminal(host, "run")

    assert 75 == status
    assert "credfresh: " in shown
    assert "hint: " in shown


def test_off_a_terminal_a_refused_start_is_an_event(host: Host) -> None:
    """The refusal is a line of JSON with error and hint."""
    host.start("run").wait_for("daemon_ready")
    second = host.start("run")

    assert 75 == second.wait()
    [refused] = second.events()
    assert "start_refused" == refused["event"]
    assert {"error", "hint"} <= refused.keys()


IMPORTED = """
import sys
from credfresh.cli import cli
try:
    cli(sys.argv[1:], standalone_mode=False)
except SystemExit:
    pass
heavy = {"boto3", "botocore", "apscheduler", "pydantic", "prometheus_client"}
print("imported:", *sorted(heavy & sys.modules.keys()))
"""


def printed(host: Host, program: str, *arguments: str) -> list[str]:
    """Return the lines that a Python program prints, which must end well."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=host.environment | {"CREDFRESH_CONFIG": str(host.config)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--version"], []),
        (["--help"], []),
        (["schema"], ["pydantic"]),
        (["check"], ["pydantic"]),
        (["check", "--online"], ["boto3", "botocore", "pydantic"]),
    ],
    ids=" ".join,
)
def test_commands_that_look_at_a_file_do_not_import_the_sdk(
    host: Host, arguments: list[str], heavy: list[str]
) -> None:
    """Commands that only look at a file do not import the SDK."""
    assert ["imported:", *heavy] == printed(host, IMPORTED, *arguments)[-1].split()


COMPOSED = """
import sys
from credfresh.cli import composition
settings, log = composition.start(sys.argv[1], "json")
parts = composition.serving(settings, log)
composition.compose(settings, log, log=log, attendants=parts.attendants, outlets=parts.outlets)
print("imported:", *sorted({"boto3", "botocore", "apscheduler"} & sys.modules.keys()))
"""


def test_the_daemon_starts_without_importing_the_sdk(host: Host) -> None:
    """The SDK is not imported at the start: it is not needed while everything is fresh."""
    assert "imported: apscheduler" == printed(host, COMPOSED, str(host.config))[-1]


WATCHED = """
import gc, math, os, signal, sys
from credfresh.cli import composition

class Watcher:
    def open(self, desk):
        print("opened:", gc.isenabled())
        desk.agenda.add(self.look)

    def look(self, now):
        if not gc.isenabled():
            return 0.1
        print("later:", True)
        os.kill(os.getpid(), signal.SIGTERM)
        return math.inf

    def close(self):
        pass

settings, log = composition.start(sys.argv[1], "json")
composition.compose(settings, log, attendants=[Watcher()]).run()
"""


def test_the_collector_of_cycles_rests_while_the_daemon_starts_and_no_longer(host: Host) -> None:
    """What is made then stays, and to look at it would take time; later there are real cycles."""
    said = printed(host, WATCHED, str(host.config))
    assert ["opened: False", "later: True"] == [line for line in said if line[:1] != "{"]


SLOW = """
import sys, threading
print("importing", file=sys.stderr, flush=True)
threading.Event().wait()
"""


def test_ctrl_c_during_the_imports_ends_a_command_without_a_word(tmp_path: Path) -> None:
    """Who types it at once sees no traceback of Python, and a shell sees SIGINT."""
    (tmp_path / "click.py").write_text(SLOW)
    with subprocess.Popen(
        [sys.executable, "-m", "credfresh", "status"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stderr is not None
        assert "importing\n" == command.stderr.readline()
        command.send_signal(signal.SIGINT)
        assert (-signal.SIGINT, "") == (command.wait(20), command.stderr.read())


def test_ctrl_c_ends_a_waiting_job_without_a_word(tmp_path: Path) -> None:
    """So it does while `ensure` waits for an answer."""
    path = tmp_path / "control.sock"
    tmp_path.chmod(0o700)
    with served(path) as daemon:
        daemon.keeps = lambda _: True
        words = [COMMAND, "ensure", "production", "--valid-for", "45m", "--socket", str(path)]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as job:
            wait_until(lambda: bool(daemon.questions), "the question")
            job.send_signal(signal.SIGINT)
            _, said = job.communicate(timeout=20)

    assert (-signal.SIGINT, "") == (job.returncode, said)


def test_output_that_cannot_be_written_is_told() -> None:
    """On a full disk one line says so, and the exit status is 1."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert 1 == done.returncode
    assert "credfresh: cannot write what was found: no space left on device\n" == done.stderr


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&1 | exit"])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["ensure", "production", "--valid-for", "1m", "--socket", "/nonexistent"], 69),
        (["check", "--config", "/nonexistent"], 78),
        (["check", "surplus"], 2),
    ],
)
def test_an_error_of_which_nobody_hears_keeps_its_exit_status(
    arguments: list[str], status: int, stderr: str, tmp_path: Path
) -> None:
    """A job goes by the status, also where stderr is on a full disk or its reader has gone."""
    told = tmp_path / "status"
    words = ["sh", "-c", f'("$@"; echo $? > {told}) {stderr}', "sh", COMMAND, *arguments]
    subprocess.run(words, timeout=60, check=False)

    assert f"{status}\n" == told.read_text()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_beyond_a_limit_of_file_size_is_told(tmp_path: Path, unbuffered: str) -> None:
    """A quota, or `ulimit -f`: some of it has been written."""
    limited = f'ulimit -f 1; exec "$@" > {tmp_path}/schema'
    done = subprocess.run(
        ["sh", "-c", limited, "sh", COMMAND, "schema"],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == done.returncode
    assert "credfresh: cannot write what was found: file too large\n" == done.stderr


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_a_log_that_goes_nowhere_costs_neither_the_work_nor_its_status(
    host: Host, streams: str
) -> None:
    """With streams closed, or a log on a full disk, all is renewed and the exit status is 0."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {streams}', "sh", COMMAND, "once", "--config", str(host.config)],
        env=host.environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert set(ENVIRONMENTS) == set(host.sections())


@needs_root  # to read /proc of a process that cannot dump core
def test_no_file_of_ours_takes_the_place_of_a_closed_stream(host: Host) -> None:
    """Closed standard streams are /dev/null: output of a library must not get into our files."""
    words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", COMMAND, "run", "--config"]
    daemon = subprocess.Popen([*words, str(host.config)], env=host.environment)
    try:
        wait_until(lambda: host.credentials.exists() or daemon.poll() is not None, "published")
        standard = [Path(f"/proc/{daemon.pid}/fd/{number}").readlink() for number in range(3)]
    finally:
        daemon.terminate()
        status = daemon.wait(20)

    assert [Path(os.devnull)] * 3 == standard
    assert 0 == status
