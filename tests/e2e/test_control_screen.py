"""`credfresh status` on a terminal, and repeated by `--watch`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from host import COMMAND, Host, running


class Terminal:
    """A terminal, of 60 columns and 8 lines by default, in which a command runs."""

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
        """Read until `text` is shown.

        Raises:
            TimeoutError: it is not shown.
        """
        while text not in self.shown:
            ready, _, _ = select.select([self._ours], [], [], 20)
            if not ready:
                raise TimeoutError(self.shown)
            self.shown += os.read(self._ours, 65536).decode()

    def end(self) -> int:
        """Read to the end; return the exit status."""
        with contextlib.suppress(OSError):  # EIO: the process has closed its side
            while data := os.read(self._ours, 65536):
                self.shown += data.decode()
        os.close(self._ours)
        return self.process.wait(20)


@pytest.mark.usefixtures("socket")
def test_on_a_terminal_the_table_has_colours_and_fits(host: Host) -> None:
    """Fresh profiles are green, no line exceeds the terminal; NO_COLOR counts if not empty."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    running(host)
    colourful = Terminal(host, "status", "--config", str(host.config), NO_COLOR="")
    assert 4 == colourful.end()
    plain = Terminal(host, "status", "--config", str(host.config), NO_COLOR="1")
    assert 4 == plain.end()

    assert "\x1b[32mdevelopment" in colourful.shown
    assert "\x1b[31mpreproduction" in colourful.shown
    assert "\x1b" not in plain.shown
    table = plain.shown.partition("hint: ")[0]
    assert all(len(line) <= 60 for line in table.split("\r\n"))
    assert "…" in plain.shown


@pytest.mark.usefixtures("socket")
def test_a_terminal_that_obeys_no_codes_gets_none(host: Host) -> None:
    """In an editor's shell (TERM=dumb) a watch prints one table after the other."""
    running(host)
    once = Terminal(host, "status", "--config", str(host.config), TERM="dumb")
    assert 0 == once.end()
    watch = Terminal(host, "status", "--watch", "--config", str(host.config), TERM="dumb")
    watch.wait_for("PROFILE")
    watch.shown = ""
    watch.wait_for("PROFILE")
    watch.process.send_signal(signal.SIGINT)
    assert 0 == watch.end()
    assert "\x1b" not in once.shown + watch.shown


class Console(Terminal):
    """A terminal that does not know its size, like a serial console."""

    size = (0, 0)


@pytest.mark.usefixtures("socket")
def test_a_terminal_without_a_size_is_written_to_as_one_of_80_columns(host: Host) -> None:
    """Without a size the table is written for 80 columns."""
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
def test_watch_gives_the_screen_back_at_sigterm(host: Host) -> None:
    """SIGTERM, which `timeout` sends, restores the screen and the cursor."""
    running(host)
    screen = Terminal(host, "status", "--watch", "--config", str(host.config))
    screen.wait_for("production")
    screen.process.send_signal(signal.SIGTERM)

    assert 128 + signal.SIGTERM == screen.end()
    assert screen.shown.endswith("\x1b[?25h\x1b[?1049l")


@pytest.mark.usefixtures("socket")
def test_watch_fits_the_screen_and_gives_it_back_at_ctrl_c(host: Host) -> None:
    """The most urgent profiles are shown if not all fit; Ctrl-C restores the screen."""
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


def test_watch_repeats_the_status_until_ctrl_c(host: Host, socket: Path) -> None:
    """`--watch` repeats the status until Ctrl-C; the exit status is that of the last one."""
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
