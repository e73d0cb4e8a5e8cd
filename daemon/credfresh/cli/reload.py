"""`credfresh reload`."""

from __future__ import annotations

import json

import click

from credfresh.cli.asking import Whereabouts
from credfresh.cli.exits import Exit
from credfresh.cli.options import client_options, json_option
from credfresh.control.protocol import Reload
from credfresh.control.shapes import Mistake, Reloaded
from credfresh.errors import Problem

PATIENCE = 120.0
"""Seconds for the largest configuration on a slow host."""


@click.command("reload")
@client_options
@json_option
def command(socket: str | None, config: str | None, *, as_json: bool) -> None:
    """Let the daemon read its configuration again, and say what came of it.

    A configuration with mistakes changes nothing: the daemon goes on with the old one, and every
    mistake is listed. For root and the daemon's own user.

    Exit status: 0 taken over; 78 refused; 69 no daemon; 77 not allowed.
    """
    where = Whereabouts(socket, config)
    done = where.ask(Reload(instances=where.instances), patience=PATIENCE)
    if as_json:
        click.echo(json.dumps({"version": 1, **done}))
    elif done["accepted"]:
        click.echo(_told(done))
    else:
        for problem in done["problems"]:
            click.echo(str(_problem(problem)), err=True)
    if not done["accepted"]:
        raise SystemExit(Exit.CONFIG)


def _problem(told: Mistake) -> Problem:
    where = told["source"], told["line"], told["column"], told["path"]
    return Problem(*where, told["reason"], told["hint"])


def _told(done: Reloaded) -> str:
    lines = [
        f"{what}: {', '.join(done[what])}" for what in ("added", "changed", "removed") if done[what]
    ]
    if done["needs_restart"]:
        lines.append(f"needs a restart: {', '.join(done['needs_restart'])}")
    return "\n".join(["reloaded" if lines else "reloaded; no profile has changed", *lines])
