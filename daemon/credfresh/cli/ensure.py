"""`credfresh ensure`."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import click

from credfresh.cli import say
from credfresh.cli.asking import Whereabouts
from credfresh.cli.exits import OF_CONTROL, Exit
from credfresh.cli.options import Duration, ProfileName, client_options, json_option
from credfresh.control import protocol
from credfresh.control.shapes import NotReached, Reached
from credfresh.errors import ControlCode, ControlError
from credfresh.summary import duration

GRACE = 10.0
"""Seconds beyond the timeout that a busy daemon is given to say so."""

RETRY = 0.25
"""Seconds between two tries while all places at the socket are taken."""


@click.command("ensure")
@click.argument("profile", type=ProfileName())
@click.option(
    "--valid-for",
    type=Duration(),
    required=True,
    help="the life that the published credentials must have left, such as 45m",
)
@click.option(
    "--timeout",
    type=Duration(),
    default="60s",
    show_default=True,
    help="how long to wait for it",
)
@client_options
@json_option
def command(
    profile: str,
    valid_for: float,
    timeout: float,
    socket: str | None,
    config: str | None,
    *,
    as_json: bool,
) -> None:
    """Return once the published credentials of PROFILE last as long as asked.

    A job runs this first. If they do not last long enough they are renewed, with one call however
    many jobs ask. If no renewal can bring that much life, this fails at once and names the most
    that can be had. If no daemon answers, the credentials file decides.

    Exit status: 0 they do; 5 they do not; 2 no such profile; 69 no daemon, and the file does not
    suffice; 77 not allowed.
    """
    if valid_for > protocol.MOST_VALID_FOR:
        raise click.BadParameter("no session lasts longer than 12h", param_hint="'--valid-for'")
    if timeout > protocol.MOST_TIMEOUT:
        raise click.BadParameter("1h at most", param_hint="'--timeout'")
    where = Whereabouts(socket, config)
    request = protocol.Ensure(profile, valid_for, timeout, instances=where.instances)
    try:
        answer = _patiently(where, request)
    except ControlError as error:
        if OF_CONTROL.get(error.code) != Exit.UNAVAILABLE:
            raise
        _judge_file(where, request, error, as_json=as_json)
        return
    if as_json:
        click.echo(json.dumps({"version": 1, "from": "daemon", **answer}))
    elif answer["reached"]:
        click.echo(f"{profile}: valid for {duration(answer['seconds_left'])}")
    else:
        say(f"{profile}: {_shortfall(answer)}", answer["hint"])
    if not answer["reached"]:
        raise SystemExit(Exit.NOT_REACHED)


def _patiently(where: Whereabouts, request: protocol.Ensure) -> Reached | NotReached:
    """Ask; while all places are taken, ask again until the timeout is over."""
    pause = threading.Event()
    end = time.monotonic() + request.timeout
    while True:
        left = max(0.0, end - time.monotonic())
        asked = replace(request, timeout=left)
        try:
            return where.ask(asked, patience=left + GRACE)
        except ControlError as error:
            if error.code is not ControlCode.BUSY or left <= 0:
                raise
        pause.wait(RETRY)


def _shortfall(answer: NotReached) -> str:
    """Say how much life there is, and why it is not more."""
    has = f"has {duration(answer['seconds_left'])} left, not {duration(answer['asked_s'])}"
    if answer["most_s"] is not None:
        return f"{has}; at most {duration(answer['most_s'])} can be had: {answer['error']}"
    return f"{has}: {answer['error']}"


def _judge_file(
    where: Whereabouts, request: protocol.Ensure, unreached: ControlError, *, as_json: bool
) -> None:
    """Judge by the file; exit with 69 unless the credentials in it last long enough."""
    found = {status.profile: status for status in where.statuses_in_file(unreached)}
    status = found.get(request.profile)
    left = status.seconds_left if status is not None else 0.0
    reached = protocol.suffices(left, request.valid_for)
    if as_json:
        shape = {
            "version": 1,
            "from": "file",
            "profile": request.profile,
            "reached": reached,
            "asked_s": int(request.valid_for),
            "seconds_left": int(left),
        }
        click.echo(json.dumps(shape))
    if not reached:
        has = f"{request.profile} has {duration(left)} left, not {duration(request.valid_for)}"
        if status is None:
            has = f"credfresh has written no section [{request.profile}] there"
        message = f"{unreached.message}; {where.credentials_file}: {has}"
        raise ControlError(unreached.code, message, hint=unreached.hint)
    if not as_json:
        click.echo(
            f"{request.profile}: valid for {duration(left)}, says the file; no daemon answers"
        )
