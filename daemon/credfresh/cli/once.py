"""`credfresh once`."""

from __future__ import annotations

import os

import click

from credfresh.cli.composition import (
    compose,
    format_option,
    problems_logged,
    refusal_logged,
    start,
    trust,
)
from credfresh.cli.exits import Exit
from credfresh.cli.options import config_option
from credfresh.config.file import load
from credfresh.control.client import ask
from credfresh.control.protocol import MOST_TIMEOUT, Renew, Status
from credfresh.control.shapes import ProfileState, Report
from credfresh.errors import AlreadyRunningError, ConfigError, ControlError, NotAllowedError
from credfresh.logs import Log
from credfresh.settings import LogFormat, Settings

PATIENCE = 10.0
"""Seconds that a hub waits to learn whether it leads: this run is its only one."""


@click.command("once")
@config_option
@format_option
def command(path: str, log_format: LogFormat | None) -> None:
    """Renew what is due, publish, leave: for cron, containers and images.

    If a daemon with the same configuration runs, it is asked on its control socket to do this.

    Exit status: 0 all profiles are fresh; 3 some failed or were refused (the others are
    published); 75 another daemon keeps the file; 77 not allowed; 78 bad configuration.
    """
    settings, log = start(path, log_format, load)
    with refusal_logged(log), problems_logged(log):
        try:
            fresh = _alone(settings, log)
        except (AlreadyRunningError, ConfigError, NotAllowedError) as error:
            # Root must not write where the daemon's user could redirect it: that daemon may.
            done = _by_the_daemon(settings, log)
            if done is None:
                if isinstance(error, AlreadyRunningError) and settings.control is None:
                    error.hint = f"{error.hint}; once asks its own daemon if control.socket is set"
                raise
            fresh = done
    if not fresh:
        raise SystemExit(Exit.SOME_FAILED)


def _alone(settings: Settings, log: Log) -> bool:
    """Do the work in this process; say whether all profiles are fresh then.

    Raises:
        AlreadyRunningError: another one keeps the file.
        ConfigError: somebody else could redirect what this user writes.
        NotAllowedError: this user can write none of the files.
    """
    from credfresh.hooks import Hooks  # noqa: PLC0415 - see `compose`

    _may_write(settings)
    trust(settings)
    hooks = (Hooks(log),)
    statuses = compose(settings, log, attendants=hooks, outlets=hooks, patience=PATIENCE).once()
    return all(status.state == "fresh" for status in statuses)


def _may_write(settings: Settings) -> None:
    """Check that this user can write at least one of the files: else all calls of STS are in vain.

    Raises:
        NotAllowedError: all are where only others may write.
    """
    folders = {os.path.dirname(os.path.realpath(target.path)) for target in settings.targets}  # noqa: PTH120
    for folder in folders:
        try:
            os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
        except PermissionError:
            continue
        except OSError:  # whatever else is wrong is told when it is written
            pass
        return
    raise NotAllowedError(
        f"{' and '.join(sorted(folders))}: uid {os.geteuid()} may not write there",
        hint="run it as the daemon's user, or as root",
    )


def _by_the_daemon(settings: Settings, log: Log) -> bool | None:
    """Ask the daemon that keeps the file to renew what is not fresh; say whether all are then.

    None: that daemon is of another instance, or cannot be asked.

    Raises:
        ControlError: it is of this instance, and refuses.
    """
    if settings.control is None:
        return None
    path, ours = settings.control.socket, (settings.instance,)
    try:
        before = ask(path, Status(instances=ours))
    except ControlError:
        return None
    # A profile that was withdrawn by hand has no next renewal: it stays so.
    due = [p["profile"] for p in _not_fresh(before) if p["renew_at"] is not None]
    if due:
        ask(path, Renew(tuple(due), instances=ours), patience=MOST_TIMEOUT)
    after = ask(path, Status(instances=ours)) if due else before
    failed = [p["profile"] for p in _not_fresh(after)]
    # The daemon does not know profiles that were added since it read the configuration.
    known = {profile["profile"] for profile in after["profiles"]}
    failed += [name for name in settings.profiles if name not in known]
    log("daemon_asked", path=path, profiles=len(due), failed=" ".join(failed) or None)
    return not failed


def _not_fresh(report: Report) -> list[ProfileState]:
    return [profile for profile in report["profiles"] if profile["state"] != "fresh"]
