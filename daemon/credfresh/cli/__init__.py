"""The command line. Clock, randomness and clients are made only here (`clock`, `composition`).

What is printed for people follows these rules: results go to stdout; errors go to stderr as
`credfresh: what was wrong` and `hint: what to do`, in lower case, without a final full stop. Each
command's module is imported when the command runs, so that it imports no more than it needs.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import sys
from typing import TYPE_CHECKING, cast

import click

from credfresh import __version__, collector
from credfresh.cli.exits import Exit, status_of
from credfresh.errors import ConfigError, CredfreshError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

COMMANDS = {
    "run": "keep all profiles fresh until told to stop",
    "once": "renew what is due, publish, leave",
    "check": "validate the configuration; with --online try each role",
    "status": "show how every profile is",
    "ensure": "wait until published credentials last long enough",
    "renew": "renew profiles now, and say what came of it",
    "withdraw": "take away what is published",
    "reload": "let the daemon read its configuration again",
    "init": "write a starter configuration from your own AWS files",
    "schema": "print the JSON Schema of the configuration",
    "demo": "see it work: simulated STS, real daemon, no AWS account",
}


_OTHER_WORDS = {
    "daemon": "run",
    "help": "--help",
    "list": "status",
    "refresh": "renew",
    "rotate": "renew",
    "serve": "run",
    "start": "run",
    "validate": "check",
    "version": "--version",
}
"""What people may type instead of a command that is spelt quite otherwise."""

_STRAY_CONFIGURATION = re.compile(r"extra argument.*\.ya?ml")

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class _Commands(click.Group):
    """Imports a command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        with collector.paused():
            module = importlib.import_module(f"credfresh.cli.{name}")
            collector.keep()
        return cast("click.Command", module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the command that was meant, if one has a similar name."""
        if args[0] not in COMMANDS:
            from difflib import get_close_matches  # noqa: PLC0415 - for who has mistyped

            word = args[0]
            near = get_close_matches(word, COMMANDS, n=1, cutoff=0.7)
            for meant in [_OTHER_WORDS[word]] if word in _OTHER_WORDS else near:
                ctx.fail(f"No such command '{args[0]}': did you mean '{meant}'?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; mention --config to whoever names a configuration without it."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if not _STRAY_CONFIGURATION.search(error.message):
                raise
            told = f"{error.message}; a configuration is named by --config FILE"
            raise click.UsageError(told, error.ctx) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="credfresh", message="%(prog)s %(version)s")
def cli() -> None:
    """Keep AWS session credentials fresh in the shared credentials file.

    Exit status: 0 done; 1 something else failed; 2 usage; 3 some profiles failed; 4 not all are
    fresh; 5 not reached; 69 no daemon; 75 another daemon keeps the file; 77 not allowed; 78 bad
    configuration.
    """


def say(message: str, hint: str | None = None) -> None:
    """Tell people what went wrong, and what to do."""
    click.echo(f"credfresh: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def main() -> None:
    """Run the command line; every error of ours becomes a message and an exit status."""
    _open_closed_streams()
    # An old locale may not have the characters of bars and names. With a buffer, whatever
    # $PYTHONUNBUFFERED says: without one, the rest of a partial write would be lost unnoticed.
    sys.stdout = open(  # noqa: SIM115 - no Path
        1, "w", encoding=sys.stdout.encoding, errors="replace", closefd=False
    )
    errors = io.BufferedWriter(_Heedless(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(
        errors, encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
    )
    try:
        cli(standalone_mode=True)
    except CredfreshError as error:
        if isinstance(error, ConfigError):
            click.echo(error.message, err=True)
        else:
            say(error.message, error.hint)
        raise SystemExit(status_of(error)) from None
    except OSError as error:
        if error.errno not in _NO_ROOM or not _output_is_full():
            raise
        # What is still buffered is discarded, or the interpreter would fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        say(f"cannot write what was found: {os.strerror(error.errno).lower()}")
        raise SystemExit(Exit.FAILED) from None
    finally:
        _discard_unwritten()


class _Heedless(io.FileIO):
    """Standard error, where nobody may listen: that must not change the exit status."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:  # its disk is full, or its reader has gone
            return memoryview(data).nbytes


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that was closed before we began.

    Otherwise the next file or socket would get its number, and a library or a hook write into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
            os.set_inheritable(number, True)  # noqa: FBT003 - takes no name
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - no Path
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - no Path


def _discard_unwritten() -> None:
    """Discard what the log could not write: failing on it at the exit would change the status.

    The result of a command was written before, or the command has failed.
    """
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _output_is_full() -> bool:
    """Say whether it is standard output that has no room."""
    try:
        os.write(1, b"\n")
    except OSError:
        return True
    return False
