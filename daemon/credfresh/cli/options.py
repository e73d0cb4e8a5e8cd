"""Options that several commands share. Imports nothing that only some of them need."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import click

from credfresh.control.protocol import MOST_NAME, is_name

DEFAULT_CONFIG = "/etc/credfresh/credfresh.yaml"

_UNITS = {"s": 1, "m": 60, "h": 3600}

config_option = click.option(
    "--config",
    "path",
    type=click.Path(readable=False),
    # An empty variable counts as unset, as it does for click below, and for `${NAME:-...}`.
    default=lambda: os.environ.get("CREDFRESH_CONFIG") or DEFAULT_CONFIG,
    show_default=f"$CREDFRESH_CONFIG, else {DEFAULT_CONFIG}",
    metavar="FILE",
    help="the configuration",
)

json_option = click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")


class Duration(click.ParamType[float]):
    """A number with s, m or h; the command gets seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds, or fail as click does."""
        match = re.fullmatch(r"([0-9]{1,6})(s|m|h)", str(value))
        if match is None:
            self.fail(f"{value}: a duration is a number with s, m or h, such as 45m", param, ctx)
        return float(int(match[1]) * _UNITS[match[2]])


class ProfileName(click.ParamType[str]):
    """A text that can be the name of a profile, whether or not there is one."""

    name = "profile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail as click does."""
        name = str(value)
        if not is_name(name):
            self.fail(f"a profile is a text of 1 to {MOST_NAME} characters", param, ctx)
        return name


Command = Callable[..., None]


def client_options(command: Command) -> Command:
    """Add the options by which a command finds the running daemon."""
    found = click.option(
        "--config",
        "config",
        type=click.Path(readable=False),
        envvar="CREDFRESH_CONFIG",
        metavar="FILE",
        help="read where the socket is from this configuration; $CREDFRESH_CONFIG, else"
        f" {DEFAULT_CONFIG} if it can be read",
    )(command)
    return click.option(
        "--socket",
        "socket",
        type=click.Path(readable=False),
        envvar="CREDFRESH_SOCKET",
        metavar="PATH",
        help="where the daemon listens; $CREDFRESH_SOCKET, else where the configuration says",
    )(found)
