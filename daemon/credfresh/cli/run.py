"""`credfresh run`."""

from __future__ import annotations

import signal

import click

from credfresh import signals
from credfresh.cli.composition import compose, format_option, refusal_logged, serving, start
from credfresh.cli.exits import Exit
from credfresh.cli.options import config_option
from credfresh.settings import LogFormat


@click.command("run")
@config_option
@format_option
def command(path: str, log_format: LogFormat | None) -> None:
    """Keep all profiles fresh until SIGTERM or SIGINT.

    Stays in the foreground and logs to stdout. The first signal waits for answers on their way
    (15 seconds at most) and leaves the credentials on disk; a second one ends it at once.
    SIGHUP reads the configuration again: a bad one changes nothing. SIGUSR1 renews all profiles.

    Exit status: 0 a clean stop; 1 forced, or not all was written, or it could not begin; 75 another
    daemon keeps the file; 78 bad configuration.
    """
    with signals.held((signal.SIGHUP, signal.SIGUSR1)):
        settings, log = start(path, log_format)
        parts = serving(settings, log)
        with refusal_logged(log):
            clean = compose(
                settings, log, log=log, attendants=parts.attendants, outlets=parts.outlets
            ).run()
    if not clean:
        raise SystemExit(Exit.FAILED)
