"""The composition root: makes the source of randomness, and puts the parts together.

The clock is in `cli.clock`, for client commands that need nothing else of this.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - the composition root makes the one source of randomness
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, get_args

import click

from credfresh import collector
from credfresh.cli.clock import clock
from credfresh.cli.exits import Exit, status_of
from credfresh.config.file import load
from credfresh.errors import ConfigError, CredfreshError, Problem
from credfresh.events import Emit
from credfresh.logs import Log, configure, follow
from credfresh.model import Roll
from credfresh.notify import Notifier, watchdog_limit
from credfresh.renewer import Provider
from credfresh.settings import LogFormat, LogSettings, Settings
from credfresh.values import dataclass

if TYPE_CHECKING:
    from credfresh.life.daemon import Daemon
    from credfresh.life.desk import Attendant
    from credfresh.life.ports import Outlet

format_option = click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    help="instead of the configuration's log.format",
)


roll: Roll = random.SystemRandom().random


def load_to_run(path: str) -> Settings:
    """Read and validate the configuration at `path`, and check the paths that it names.

    Raises:
        ConfigError: it is not valid, or somebody else could redirect what we write. `load` does
            not check that: which paths are safe depends on the user who writes.
    """
    settings = load(path)
    trust(settings)
    return settings


def trust(settings: Settings) -> None:
    """Check that nobody else can redirect what this process writes.

    Raises:
        ConfigError: somebody can.
    """
    from credfresh.credentials_file import distrusted  # noqa: PLC0415 - see `compose`

    named = {
        "credentials_file.path": settings.targets,
        "process_dir": settings.twin_directories,
    }
    problems = tuple(
        Problem(settings.path, 0, 0, key, error.message, error.hint)
        for key, targets in named.items()
        for error in distrusted(targets)
    )
    if problems:
        raise ConfigError(problems)


def start(
    path: str, log_format: LogFormat | None, load: Callable[[str], Settings] = load_to_run
) -> tuple[Settings, Log]:
    """Load the configuration and open the log, for `run` and `once`.

    The collector of cycles is paused then, until soon after the daemon has started (`compose`).

    Raises:
        ConfigError: it is not valid, and people are watching.
        SystemExit: it is not valid; each problem has been logged.
    """
    collector.settle()
    collector.pause()
    at_first = LogSettings(format=log_format or "auto")
    log = configure(at_first, stream=sys.stdout, clock=clock)
    with problems_logged(log):
        settings = load(path)
    collector.keep()
    wished = replace(settings.log, format=log_format) if log_format else settings.log
    log = configure(wished, stream=sys.stdout, clock=clock)
    for notice in settings.notices:
        log(notice.event, **dict(notice.fields))
    return settings, log


@contextmanager
def problems_logged(log: Log) -> Iterator[None]:
    """Log each problem of a configuration as an event.

    Raises:
        ConfigError: it is not valid, and people are watching.
        SystemExit: it is not valid; each problem has been logged.
    """
    try:
        yield
    except ConfigError as error:
        if log.console:
            raise
        for problem in error.problems:
            fields = asdict(problem)
            log("config_refused", file=fields.pop("source"), **fields)
        raise SystemExit(Exit.CONFIG) from None


@contextmanager
def refusal_logged(log: Log) -> Iterator[None]:
    """Log as an event why `run` or `once` cannot start.

    Raises:
        CredfreshError: it cannot, and people are watching.
        SystemExit: it cannot, and that has been logged.
    """
    try:
        yield
    except CredfreshError as error:
        if log.console:
            raise
        log("start_refused", error=error.message, hint=error.hint)
        raise SystemExit(status_of(error)) from None


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """Where the running daemon reads its configuration again: a `SettingsSource`."""

    path: str
    log: Log
    make_provider: Callable[[Settings], Provider]

    def load(self) -> Settings:
        """Read and validate the file; see `load_to_run`."""
        return load_to_run(self.path)

    def provider(self, settings: Settings) -> Provider:
        """Make a provider for other sources or limits; see `SettingsSource`."""
        return self.make_provider(settings)

    def apply(self, settings: Settings) -> None:
        """Let the log's level follow."""
        follow(self.log, settings.log.level)


@dataclass(frozen=True, slots=True)
class Serving:
    """The attendants of the daemon, and those of them that are told of renewals."""

    attendants: Sequence[Attendant]
    outlets: Sequence[Outlet]


def serving(settings: Settings, emit: Emit) -> Serving:
    """Make the attendants of `credfresh run`."""
    from credfresh.control.attendant import ControlSocket  # noqa: PLC0415
    from credfresh.endpoint import Endpoint  # noqa: PLC0415
    from credfresh.hooks import Hooks  # noqa: PLC0415
    from credfresh.metrics import Metrics  # noqa: PLC0415

    endpoint = Endpoint(settings.instance, emit, os.urandom)
    hooks = Hooks(emit)
    attendants: list[Attendant] = [endpoint, Metrics(emit, hostname=socket.gethostname()), hooks]
    if settings.control is not None:
        attendants.append(ControlSocket(settings.control, emit))
    return Serving(attendants, [endpoint, hooks])


def compose(
    settings: Settings,
    emit: Emit,
    *,
    log: Log | None = None,
    attendants: Sequence[Attendant] = (),
    outlets: Sequence[Outlet] = (),
    patience: float = 0.0,
) -> Daemon:
    """Put the daemon together; with its `log` it can reload what the command line named.

    `patience` is how many seconds a hub's start waits to learn whether it leads.
    """
    # Imported here: the commands that need no SDK and no scheduler do not pay for them.
    from credfresh import coredump  # noqa: PLC0415
    from credfresh.credentials_file import CredentialsFiles  # noqa: PLC0415
    from credfresh.deferred import Deferred, Soon  # noqa: PLC0415
    from credfresh.fleet import Fleet  # noqa: PLC0415
    from credfresh.in_order import InOrder  # noqa: PLC0415
    from credfresh.life.daemon import Daemon  # noqa: PLC0415
    from credfresh.process_twin import ProcessTwins  # noqa: PLC0415

    coredump.forbid()
    files = CredentialsFiles(settings.targets, instance=settings.instance, clock=clock)
    twins = ProcessTwins(settings.twin_directories, instance=settings.instance, clock=clock)
    fleet = Fleet(
        settings,
        name=f"{socket.gethostname()}/{settings.instance}",
        clock=clock,
        roll=roll,
        emit=emit,
        patience=patience,
    )

    def sts(now: Settings) -> Provider:
        from credfresh.sts import StsProvider  # noqa: PLC0415 - the SDK: see `Deferred`

        return StsProvider(
            now.principals, now.sts, clock=clock, issued=files.issued, environ=os.environ
        )

    first = Deferred(lambda: sts(settings), emit)
    return Daemon(
        settings,
        files=InOrder(files, twins),
        provider=fleet.provider(settings, first),
        clock=clock,
        roll=roll,
        emit=emit,
        notifier=Notifier(os.environ.get("NOTIFY_SOCKET")),
        watchdog=watchdog_limit(os.environ, os.getpid()),
        source=SettingsFile(settings.path, log, lambda now: fleet.provider(now, sts(now)))
        if log
        else None,
        attendants=(Soon(collector.resume), Soon(first.prepare), *fleet.attendants, *attendants),
        outlets=(*fleet.outlets, *outlets),
    )
