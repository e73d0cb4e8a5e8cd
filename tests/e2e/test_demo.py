"""`credfresh demo`, the first thing that a newcomer sees."""

from __future__ import annotations

import fcntl
import math
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from pathlib import Path

import pytest

from host import COMMAND, wait_until


@pytest.fixture(name="environment")
def _environment(tmp_path: Path) -> dict[str, str]:
    tmp_path.chmod(0o700)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "TERM": "xterm",
        "HTTP_PROXY": "http://127.0.0.1:9",  # nothing listens: a host's proxy must not be used
        "http_proxy": "http://127.0.0.1:9",
    }


def stage_of(environment: dict[str, str]) -> Path:
    """Return the directory of the demo."""
    return Path(environment["XDG_RUNTIME_DIR"], f"credfresh-demo-{os.getuid()}")


def test_off_a_terminal_the_demo_prints_lines_and_ends_by_itself(
    environment: dict[str, str],
) -> None:
    """The demo prints tables, events and commands to try as plain text, and leaves nothing."""
    result = subprocess.run(
        [COMMAND, "demo", "--for", "7s"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 == result.returncode, result.stderr
    assert "\x1b" not in result.stdout
    assert "aws sts get-caller-identity --profile production" in result.stdout
    assert re.search(r"production +fresh +2\ds +█", result.stdout)
    assert 3 == result.stdout.count("credentials_renewed")
    assert not stage_of(environment).exists()


def test_the_demo_works_with_any_umask(environment: dict[str, str]) -> None:
    """The demo's files are safe even with a umask that lets others write (Ubuntu's: the group)."""
    result = subprocess.run(
        [COMMAND, "demo", "--for", "3s"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        umask=0,
    )
    assert 0 == result.returncode, result.stderr
    assert "daemon_ready" in result.stdout


def test_the_demo_works_without_a_usable_runtime_directory(environment: dict[str, str]) -> None:
    """XDG_RUNTIME_DIR may name an unusable directory, as in a container or after `su`."""
    for directory in ("/nonexistent", "relative"):
        result = subprocess.run(
            [COMMAND, "demo", "--for", "2s"],
            env=environment | {"XDG_RUNTIME_DIR": directory},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (0, "") == (result.returncode, result.stderr)
        assert 3 == result.stdout.count("credentials_renewed")


def test_the_commands_that_the_demo_prints_work(environment: dict[str, str]) -> None:
    """The commands that the demo prints for another terminal work there."""
    with subprocess.Popen(
        [COMMAND, "demo"], env=environment, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        text = ""
        while re.search(r"production +fresh", text) is None:
            text += demo.stdout.readline()
        commands = re.findall(r"(?m)^  (\..+|aws .+|\S*python\S* -[cm] .+)$", text)
        answer = subprocess.run(
            ["sh", "-eu", "-c", "\n".join(commands)],
            env=environment | {"PATH": f"{Path(COMMAND).parent}:{environment['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=30)

    assert 4 == len(commands), text
    assert "[production]" in answer.stdout
    arn = "arn:aws:sts::333333333333:assumed-role/deploy/"
    assert 2 == answer.stdout.count(arn), answer.stdout + answer.stderr
    assert "production: valid for 2" in answer.stdout
    assert 0 == demo.returncode
    assert not stage_of(environment).exists()


def on_terminal(environment: dict[str, str], columns: int, lines: int) -> str:
    """Return what the demo writes in four seconds to a terminal of this size."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    with subprocess.Popen(
        [COMMAND, "demo", "--for", "4s"], env=environment, stdout=slave, stderr=slave
    ) as demo:
        os.close(slave)
        shown: list[bytes] = []

        def read() -> None:
            while True:
                try:
                    chunk = os.read(master, 65536)
                except OSError:  # the process has closed its side
                    return
                shown.append(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        assert 0 == demo.wait(30)
        reader.join(30)
    os.close(master)
    return b"".join(shown).decode()


def test_on_a_terminal_the_demo_draws_a_table_with_bars(environment: dict[str, str]) -> None:
    """The demo uses the alternate screen, and restores screen, cursor and line wrap."""
    text = on_terminal(environment, 100, 40)

    assert text.index("\x1b[?1049h") < text.index("█") < text.index("\x1b[?1049l")
    assert "\x1b[?25h" in text
    assert text.rindex("\x1b[?7h") > text.rindex("\x1b[?7l")
    assert "credentials_renewed" in text


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (132, 43), (100, 18)])
def test_the_demo_fits_the_terminal(environment: dict[str, str], columns: int, lines: int) -> None:
    """No screen is longer than the terminal, so the commands and the table stay visible."""
    screens = on_terminal(environment, columns, lines).split("\x1b[H")[1:]

    assert len(screens) > 2
    for screen in screens:
        above, _, below = screen.partition("\x1b[?7l")
        plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", above).splitlines()
        rows = sum(max(1, math.ceil(len(line) / columns)) for line in plain)
        assert rows + below.partition("\x1b[J")[0].count("\n") + 1 <= lines
        assert "Ctrl-C" in below


def test_the_demo_ends_when_nobody_reads_its_output(environment: dict[str, str]) -> None:
    """A closed pipe ends it without a traceback, and its directory is removed."""
    with subprocess.Popen(
        [COMMAND, "demo"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.readline()
        demo.stdout.close()
        demo.wait(30)
        said = demo.stderr.read()

    assert b"" == said
    assert not stage_of(environment).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a directory of another user's")
def test_the_demo_leaves_the_directory_of_another_user(environment: dict[str, str]) -> None:
    """If a directory of its name is another user's, it says so and leaves it."""
    stage = stage_of(environment)
    stage.mkdir()
    (stage / "precious").touch()
    os.chown(stage, 65534, 65534)

    result = subprocess.run(
        [COMMAND, "demo", "--for", "1s"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 1 == result.returncode
    assert "belongs to another user" in result.stderr
    assert "Traceback" not in result.stderr
    assert (stage / "precious").exists()


def test_the_directory_of_a_killed_demo_is_removed_by_the_next(environment: dict[str, str]) -> None:
    """After SIGKILL the next demo works, and removes the directory."""
    stage = stage_of(environment)
    with subprocess.Popen([COMMAND, "demo"], env=environment, stdout=subprocess.DEVNULL) as demo:
        wait_until((stage / "credentials").exists, "the first demo's file")
        demo.kill()
    assert stage.exists()

    again = subprocess.run(
        [COMMAND, "demo", "--for", "2s"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 == again.returncode, again.stderr
    assert not stage.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
@pytest.mark.parametrize("file", ["env", "credentials"], ids=["at_once", "while_it_runs"])
def test_a_demo_that_is_ended_by_a_signal_leaves_nothing(
    environment: dict[str, str], file: str, number: signal.Signals
) -> None:
    """Closing the terminal removes the directory, also before the daemon heeds signals."""
    stage = stage_of(environment)
    command = ["env", "--default-signal=HUP", COMMAND, "demo"]  # the tests may run under nohup(1)
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as demo:
        wait_until((stage / file).exists, "its file")
        demo.send_signal(number)
        status = demo.wait(30)

    assert status in {0, 128 + number}
    assert not stage.exists()


def test_two_demos_do_not_disturb_each_other(environment: dict[str, str]) -> None:
    """The second one is refused with 75, and the first one's directory stays."""
    stage = stage_of(environment)
    with subprocess.Popen([COMMAND, "demo"], env=environment, stdout=subprocess.DEVNULL) as demo:
        wait_until((stage / "credentials").exists, "the first demo's file")
        second = subprocess.run(
            [COMMAND, "demo", "--for", "2s"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert stage.exists()
        demo.send_signal(signal.SIGINT)
        demo.wait(30)

    assert 75 == second.returncode
    assert "another demo" in second.stderr
    assert "hint: end that one, or point XDG_RUNTIME_DIR to another directory" in second.stderr
