"""`credfresh demo`: what a newcomer sees first."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
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
    }


def stage_of(environment: dict[str, str]) -> Path:
    """Return the demo's directory."""
    return Path(environment["XDG_RUNTIME_DIR"], f"credfresh-demo-{os.getuid()}")


def test_off_a_terminal_it_prints_lines_and_ends_by_itself(environment: dict[str, str]) -> None:
    """Tables and events as plain text, what to try, and nothing left at the end."""
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


def test_its_own_invitation_works(environment: dict[str, str]) -> None:
    """The boto3 one-liner that it prints answers who production is, from another process."""
    with subprocess.Popen(
        [COMMAND, "demo"], env=environment, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        text = ""
        while re.search(r"production +fresh", text) is None:
            text += demo.stdout.readline()
        one_liner = re.search(r"  (AWS_SHARED.+ \\\n    \S*python\S* -c .+)\n", text)
        assert one_liner is not None, text
        answer = subprocess.run(
            ["sh", "-c", one_liner[1]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=30)

    assert "arn:aws:sts::333333333333:assumed-role/deploy/" in answer.stdout, answer.stderr
    assert 0 == demo.returncode
    assert not stage_of(environment).exists()


def test_on_a_terminal_it_draws_a_table_with_bars(environment: dict[str, str]) -> None:
    """The screen is borrowed, redrawn, and given back."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "demo", "--for", "4s"], env=environment, stdout=slave, stderr=slave
    ) as demo:
        os.close(slave)
        shown: list[bytes] = []

        def read() -> None:
            while True:
                try:
                    chunk = os.read(master, 65536)
                except OSError:  # the other side is closed
                    return
                shown.append(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        demo.wait(30)
        reader.join(30)
    os.close(master)
    text = b"".join(shown).decode()

    assert 0 == demo.returncode
    assert text.index("\x1b[?1049h") < text.index("█") < text.index("\x1b[?1049l")
    assert "\x1b[?25h" in text


def test_what_a_killed_demo_leaves_is_swept_by_the_next(environment: dict[str, str]) -> None:
    """After SIGKILL the next start works, and leaves nothing."""
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


def test_two_demos_do_not_disturb_each_other(environment: dict[str, str]) -> None:
    """The second one is refused, and the first one's directory stays."""
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
