"""`credfresh once`."""

from __future__ import annotations

import click

from credfresh.cli.exits import Exit
from credfresh.cli.options import config_option
from credfresh.cli.world import compose, format_option, refusals_told, start

PATIENCE = 10.0
"""Seconds that a hub waits to learn whether it leads: this run is its only one."""


@click.command("once")
@config_option
@format_option
def command(path: str, log_format: str | None) -> None:
    """Renew what is due, publish, leave: for cron, containers and images.

    Exit status: 0 all profiles are fresh; 3 some failed or were refused (the others are
    published); 75 a daemon keeps the file; 78 bad configuration.
    """
    settings, log = start(path, log_format)
    with refusals_told(log):
        statuses = compose(settings, log, patience=PATIENCE).once()
    if any(status.state != "fresh" for status in statuses):
        raise SystemExit(Exit.SOME_FAILED)
