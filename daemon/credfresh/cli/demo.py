"""`credfresh demo`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from credfresh.cli.clock import clock
from credfresh.cli.composition import compose
from credfresh.cli.options import Duration
from credfresh.config.file import load
from credfresh.control.attendant import ControlSocket
from credfresh.demo import LIFETIME, Screen, Stage, default_directory, invitation
from credfresh.settings import ControlSettings
from credfresh.simulator import Simulator
from credfresh.summary import ENTER_SCREEN, LEAVE_SCREEN, obeys_codes


@click.command("demo")
@click.option("--for", "limit", type=Duration(), metavar="DURATION", help="end after so long")
def command(limit: float | None) -> None:
    """See it work, with no AWS account.

    Starts a simulated STS on loopback and the real daemon against it: three environments,
    sessions of half a minute, renewed before they end. Prints what to try from another
    terminal. Ctrl-C ends it and leaves nothing behind.
    """
    for name in ("NO_PROXY", "no_proxy"):  # to the simulated STS leads no proxy
        os.environ[name] = f"{os.environ.get(name, '')},127.0.0.1".lstrip(",")
    # The daemon heeds two of them, and later.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # by nohup(1)
            signal.signal(number, _ended)
    stage = Stage(default_directory())
    live = sys.stdout.isatty() and obeys_codes(os.environ)
    with stage.enter(), Simulator(clock, grant_seconds=LIFETIME) as sts:
        try:
            stage.build(sts)
            screen = Screen(
                _write,
                clock=clock,
                heading=invitation(stage),
                size=shutil.get_terminal_size if live else None,
            )
            control = ControlSocket(ControlSettings(str(stage.control)), screen.emit)
            daemon = compose(load(str(stage.config)), screen.emit, attendants=[screen, control])
            alarm = threading.Timer(limit or 0, daemon.stop)
            alarm.daemon = True
            if limit is not None:
                alarm.start()
            with _full_screen(live=live):
                daemon.run()
            alarm.cancel()
        finally:
            stage.clear()
    click.echo("The demo has ended; nothing of it is left.")


def _ended(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def _full_screen(*, live: bool) -> Iterator[None]:
    """Borrow the terminal: another screen, no cursor; give both back."""
    if live:
        _write(ENTER_SCREEN)
    try:
        yield
    finally:
        if live:
            _write(LEAVE_SCREEN)


def _write(text: str) -> None:
    click.echo(text, nl=not text.startswith("\x1b"))
