"""`credfresh status`."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn

import click

from credfresh.cli import say
from credfresh.cli.asking import Whereabouts
from credfresh.cli.exits import OF_CONTROL, Exit
from credfresh.cli.options import client_options, json_option
from credfresh.control.protocol import Status
from credfresh.errors import ControlCode, ControlError
from credfresh.summary import (
    ENTER_SCREEN,
    LEAVE_SCREEN,
    advice,
    coloured,
    cut,
    obeys_codes,
    redrawn,
    table,
)
from credfresh.values import dataclass

PUBLIC = (
    "profile",
    "state",
    "expiration",
    "seconds_left",
    "renew_at",
    "guarantee_s",
    "consecutive_failures",
    "access_key_id",
    "role_arn",
    "last_error",
)
"""The keys of a profile with --json, in this order: an interface (docs/status.schema.json)."""

EVERY = 1.0
"""Seconds between two looks with --watch."""

_STDOUT = 1  # sys.stdout is None where somebody has closed it


@click.command("status")
@client_options
@json_option
@click.option("--watch", is_flag=True, help="look again every second, until Ctrl-C")
def command(socket: str | None, config: str | None, *, as_json: bool, watch: bool) -> None:
    """Show how every profile is: state, life left, next renewal, last error.

    Says below the table what to do. Asks the running daemon; if none answers, shows what the marks
    in the credentials file say.

    Exit status: 0 all are fresh; 4 some are not; 69 no daemon, and no file to look at; 77 not
    allowed.
    """
    where = Whereabouts(socket, config)
    report = _report(where)
    if watch:
        report = _watch(where, report, as_json=as_json)
    else:
        _show(report, as_json=as_json)
    if not report.profiles or any(p["state"] != "fresh" for p in report.profiles):
        raise SystemExit(Exit.NOT_FRESH)


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to show; `remark` and `hint` are for people."""

    whence: Literal["daemon", "file"]
    profiles: Sequence[Mapping[str, Any]]
    remark: str | None = None
    hint: str | None = None


def _report(where: Whereabouts) -> Report:
    """Return the profiles as the daemon describes them, or else the marks in the file."""
    try:
        told = where.ask(Status(instances=where.instances))
    except ControlError as error:
        if OF_CONTROL.get(error.code) != Exit.UNAVAILABLE or error.code is ControlCode.BUSY:
            raise
        profiles = [status.as_json() for status in where.statuses_in_file(error)]
        path = where.credentials_file
        found = f"this is what the marks in {path} say" if profiles else f"{path} has no marks"
        return Report("file", profiles, f"{error.message}; {found}", error.hint)
    if told["reload_refused"] is None:
        return Report("daemon", told["profiles"])
    remark = f"the last reload was refused: {told['reload_refused']}"
    hint = "mend it and run `credfresh reload`; until then the configuration before it counts"
    return Report("daemon", told["profiles"], remark, hint)


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        shown = [{key: profile[key] for key in PUBLIC} for profile in report.profiles]
        click.echo(json.dumps({"version": 1, "from": report.whence, "profiles": shown}))
        return
    live = os.isatty(_STDOUT)
    colour = live and coloured(os.environ)
    width = _size()[0] if live else None
    click.echo(table(report.profiles, colour=colour, width=width))
    for line in advice(report.profiles):
        click.echo(f"hint: {line}", err=True)
    if report.remark is not None:
        say(report.remark, report.hint)
    if "AWS_CONFIG_FILE" in os.environ:
        from credfresh.cli.shadow import shadow  # noqa: PLC0415 - only where a twin may be meant

        hidden = shadow(os.environ)
        if hidden is not None:
            say(hidden)


def _size() -> tuple[int, int]:
    """Return the columns and lines of the terminal; 80 by 24 if it does not know them.

    A serial console, and the terminals of `docker exec` and `expect`, say that they have none.
    """
    size = os.get_terminal_size(_STDOUT)
    return size.columns or 80, size.lines or 24


def _watch(where: Whereabouts, report: Report, *, as_json: bool) -> Report:
    """Show it again and again; return what was shown last."""
    live = os.isatty(_STDOUT) and obeys_codes(os.environ) and not as_json
    pause = threading.Event()
    signal.signal(signal.SIGTERM, _ended)  # `timeout` sends it: the screen is given back
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if live:
            click.echo(ENTER_SCREEN, nl=False)
        while True:
            _show_screen(report) if live else _show(report, as_json=as_json)
            pause.wait(EVERY)
            report = _again(where, report)
    except KeyboardInterrupt:
        return report
    finally:
        if live:
            click.echo(LEAVE_SCREEN, nl=False)


def _again(where: Whereabouts, shown: Report) -> Report:
    """Ask anew; return what was shown before if the daemon is busy with others."""
    try:
        return _report(where)
    except ControlError as error:
        if error.code is not ControlCode.BUSY:
            raise
        return shown


def _ended(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _show_screen(report: Report) -> None:
    columns, lines = _size()
    below = ["", "Ctrl-C ends it."]
    if report.remark is not None:
        below.insert(1, cut(report.remark, columns))
    height = max(3, lines - len(below))
    shown = table(report.profiles, colour=coloured(os.environ), width=columns, height=height)
    click.echo(redrawn("\n".join([shown, *below])), nl=False)
