"""`credfresh once`."""

from __future__ import annotations

import click

from credfresh.cli.beside import renew_due
from credfresh.cli.composition import (
    compose,
    format_option,
    mistakes_told,
    refusals_told,
    start,
    trust,
)
from credfresh.cli.exits import Exit
from credfresh.cli.options import config_option
from credfresh.config.file import load
from credfresh.errors import AlreadyRunningError, ConfigError
from credfresh.logs import Log
from credfresh.settings import Settings

PATIENCE = 10.0
"""Seconds that a hub waits to learn whether it leads: this run is its only one."""


@click.command("once")
@config_option
@format_option
def command(path: str, log_format: str | None) -> None:
    """Renew what is due, publish, leave: for cron, containers and images.

    Where a daemon of the same configuration keeps the file, it is asked to do that.

    Exit status: 0 all profiles are fresh; 3 some failed or were refused (the others are
    published); 75 another daemon keeps the file; 77 not allowed; 78 bad configuration.
    """
    settings, log = start(path, log_format, load)
    with refusals_told(log), mistakes_told(log):
        try:
            fresh = _alone(settings, log)
        except (AlreadyRunningError, ConfigError):
            # Root must not write where the daemon's user could redirect it: that daemon may.
            told = renew_due(settings, log)
            if told is None:
                raise
            fresh = told
    if not fresh:
        raise SystemExit(Exit.SOME_FAILED)


def _alone(settings: Settings, log: Log) -> bool:
    """Do the work in this process; say whether all are fresh then.

    Raises:
        AlreadyRunningError: another one keeps the file.
        ConfigError: this user may not write there.
    """
    from credfresh.hooks import Hooks  # noqa: PLC0415 - see `compose`

    trust(settings)
    hooks = (Hooks(log),)
    statuses = compose(settings, log, attendants=hooks, outlets=hooks, patience=PATIENCE).once()
    return all(status.state == "fresh" for status in statuses)
