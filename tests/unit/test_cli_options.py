"""What options that several commands share take from the environment."""

from __future__ import annotations

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from credfresh.cli import cli
from credfresh.cli.options import DEFAULT_CONFIG, client_options, config_option


@click.command
@config_option
def works(path: str) -> None:
    """Show which configuration is read."""
    click.echo(path)


@click.command
@client_options
def asks(socket: str | None, config: str | None) -> None:
    """Show where the daemon is looked for."""
    click.echo(f"{socket} {config}")


@pytest.mark.parametrize(
    ("value", "worker", "client"),
    [("/x", "/x", "/x /x"), ("", DEFAULT_CONFIG, "None None"), (None, DEFAULT_CONFIG, "None None")],
)
def test_an_empty_variable_counts_as_unset(value: str | None, worker: str, client: str) -> None:
    """An empty path names no file, and could only lead to the message that it does not exist."""
    names = ("CREDFRESH_CONFIG", "CREDFRESH_SOCKET")
    runner = CliRunner(env=dict.fromkeys(names, value))
    assert worker == runner.invoke(works).stdout.strip()
    assert client == runner.invoke(asks).stdout.strip()


@pytest.mark.parametrize("command", ["run", "check", "once", "status", "ensure", "reload"])
def test_a_shell_completes_files_where_a_file_is_named(command: str) -> None:
    """`--config` means the same in all commands, and `--socket` is a path, too."""
    shell = ShellComplete(cli, {}, "credfresh", "_CREDFRESH_COMPLETE")
    options = ["--config"] if command in {"run", "check", "once"} else ["--config", "--socket"]
    for option in options:
        assert ["file"] == [found.type for found in shell.get_completions([command, option], "")]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["chek"], "did you mean 'check'?"),
        (["check", "credfresh.yml"], "a configuration is named by --config FILE"),
        (["status", "production"], "unexpected extra argument (production)\n"),
        (["frobnicate"], "No such command 'frobnicate'.\n"),
        (["restart"], "No such command 'restart'.\n"),
        (["start"], "did you mean 'run'?"),
        (["help"], "did you mean '--help'?"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(given: list[str], told: str) -> None:
    """The message suggests it where it can be known."""
    result = CliRunner().invoke(cli, given)
    assert 2 == result.exit_code
    assert told in result.stderr
