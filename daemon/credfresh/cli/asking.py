"""How a client command finds the daemon. Jobs wait for these: no more is imported than needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from credfresh.cli.options import DEFAULT_CONFIG
from credfresh.control.client import DEFAULT_SOCKET, PATIENCE, ask
from credfresh.control.protocol import Request, Status
from credfresh.errors import ConfigError, ControlError

if TYPE_CHECKING:
    from credfresh.config.glance import Glance

DEFAULT_FILE = "/run/credfresh/credentials"
"""The credentials file where nothing says another one."""


class Whereabouts:
    """Where the daemon listens, and which file it keeps: looked up only when asked."""

    def __init__(self, socket: str | None, config: str | None) -> None:
        self._socket = socket
        self._config = config

    @property
    def socket(self) -> str:
        """The path of the control socket.

        Raises:
            ConfigError: the configuration that was named cannot be read.
        """
        return self._socket or self._glance.socket or DEFAULT_SOCKET

    @property
    def guessed(self) -> bool:
        """Whether a configuration was named that does not say where its daemon listens.

        Raises:
            ConfigError: it cannot be read.
        """
        return self._config is not None and not (self._socket or self._glance.socket)

    def recognise(self, told: Mapping[str, Any]) -> None:
        """Look whether what answered `status` is the daemon of the configuration that was named.

        Several daemons may run on a host; the usual place is that of one of them.

        Raises:
            ControlError: it is another one.
        """
        if self._config is None or not self.guessed:
            return
        from credfresh.config.identity import default_instance  # noqa: PLC0415 - rarely needed

        if told["instance"] in (self._glance.instance, default_instance(self._config)):
            return
        raise ControlError(
            "no_daemon",
            f"{self.socket}: the daemon there is not that of {self._config}"
            f" (instance {told['instance']})",
            hint="that configuration names no socket: set control.socket, or use --socket",
        )

    @property
    def credentials_file(self) -> str:
        """The path of the credentials file: the configuration's, else the one that SDKs read.

        Raises:
            ConfigError: the configuration that was named cannot be read.
        """
        said = self._glance.credentials_file
        return said or os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or DEFAULT_FILE

    @cached_property
    def _glance(self) -> Glance:
        from credfresh.config.glance import Glance, glance  # noqa: PLC0415 - only without --socket

        if self._config is not None:
            return glance(self._config, os.environ)
        # The usual place is a guess: a job may not read it, and need not.
        with contextlib.suppress(ConfigError):
            return glance(DEFAULT_CONFIG, os.environ)
        return Glance()


def ask_ours(where: Whereabouts, request: Request, *, patience: float = PATIENCE) -> dict[str, Any]:
    """Ask the daemon; where its place is a guess, only after it was recognised.

    Raises:
        ControlError: there is no answer, or it is a refusal, or the daemon is another one.
    """
    if where.guessed:
        where.recognise(ask(where.socket, Status()))
    return ask(where.socket, request, patience=patience)


def say(message: str, hint: str | None = None) -> None:
    """Tell people what went wrong."""
    click.echo(f"credfresh: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
