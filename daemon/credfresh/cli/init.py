"""`credfresh init`."""

from __future__ import annotations

import os

import click

from credfresh.config.parse import parse
from credfresh.errors import CredfreshError
from credfresh.regular import only_regular
from credfresh.starter.aws_files import AwsFile, read
from credfresh.starter.writing import starter
from credfresh.summary import plain

MOST_BYTES = 16 * 1024 * 1024
"""The largest AWS file that is read."""


@click.command("init")
@click.option("--output", type=click.Path(dir_okay=False), metavar="FILE", help="a new file")
def command(output: str | None) -> None:
    """Write a starter configuration from the roles in your own AWS files.

    Reads $AWS_CONFIG_FILE (else ~/.aws/config) and $AWS_SHARED_CREDENTIALS_FILE (else
    ~/.aws/credentials). Every role that can be assumed unattended becomes a profile; the others
    are named with the reason. No key and no token of those files is copied, but the arguments of
    a credential_process are. The configuration goes to stdout, or to a new file.

    Exit status: 0 written; 1 a file cannot be read, or is there already.
    """
    try:
        os.getcwd()  # noqa: PTH109 - no Path is made of it
    except OSError:
        hint = "change to a directory that is there"
        raise CredfreshError("the working directory is gone", hint=hint) from None
    files = [
        _file("AWS_CONFIG_FILE", "~/.aws/config"),
        _file("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ]
    found = read(*files)
    made = starter(
        found,
        [file.path for file in files if file is not None],
        lambda text: parse(text.encode(), output or "starter.yaml", environment={}),
    )
    if output is None:
        click.echo(made.text, nl=False)
    else:
        _write(output, made.text)
    for oddity in found.oddities:
        click.echo(f"note: {plain(oddity)}", err=True)
    for name, why in made.left_out:
        click.echo(plain(f"left out: {name}: {why}"), err=True)
    count = len(made.profiles)
    what = f"{count} profile{'' if count == 1 else 's'}" if count else "no role found: an example"
    click.echo(f"{output or 'stdout'}: {what}", err=True)


def _file(variable: str, usual: str) -> AwsFile | None:
    """Read one of the two files; None where there is none.

    Raises:
        CredfreshError: it cannot be read.
    """
    path = os.path.abspath(os.path.expanduser(os.environ.get(variable) or usual))  # noqa: PTH100, PTH111 - as an SDK does
    if path == os.devnull:  # people name it to have none
        return None
    try:
        with open(path, "rb", opener=only_regular) as file:
            data = file.read(MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        hint = f"name another file in {variable}"
        raise CredfreshError(f"{path}: cannot be read: {reason}", hint=hint) from None
    return AwsFile(path, data.decode("utf-8", "replace"))


def _write(path: str, text: str) -> None:
    """Write a new file.

    Raises:
        CredfreshError: it is there already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - an open descriptor
                file.write(text)
        except OSError:
            os.unlink(path)  # noqa: PTH108 - half of it would be in the way of the next try
            raise
    except FileExistsError:
        hint = "nothing is overwritten: name another file, or take that one away"
        raise CredfreshError(f"{path}: is there already", hint=hint) from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise CredfreshError(f"{path}: cannot be written: {reason}") from None
