"""How a client command finds the daemon. Jobs wait for it, so it imports little."""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from typing import TYPE_CHECKING

from credfresh.cli.options import DEFAULT_CONFIG
from credfresh.control import client
from credfresh.errors import ConfigError, ControlCode, ControlError

if TYPE_CHECKING:
    from credfresh.config.excerpt import Excerpt
    from credfresh.control.protocol import Answer, Asked
    from credfresh.statuses import ProfileStatus

DEFAULT_FILE = "/run/credfresh/credentials"
"""The credentials file unless something names another."""


class Whereabouts:
    """Where the daemon listens, and which file it keeps; looked up only when asked for."""

    def __init__(self, socket: str | None, config: str | None) -> None:
        self._socket = socket
        self._config = config

    @property
    def socket(self) -> str:
        """The path of the control socket.

        Raises:
            ConfigError: the configuration that was named cannot be read.
        """
        return self._socket or self._excerpt.socket or client.DEFAULT_SOCKET

    def ask(self, request: Asked[Answer], *, patience: float = client.PATIENCE) -> Answer:
        """Ask the daemon; see `client.ask`.

        Raises:
            ConfigError: the configuration that was named cannot be read.
            ControlError: there is no answer, or it is a refusal.
        """
        try:
            return client.ask(self.socket, request, patience=patience)
        except ControlError as error:
            if error.code is ControlCode.NO_DAEMON and self._unsaid:
                error.hint = (
                    f"is it running? {self._config} names no control.socket:"
                    " without systemd its daemon has no socket"
                )
            raise

    @property
    def instances(self) -> tuple[str, ...]:
        """The instances of which the daemon must be one; empty where any daemon will do.

        Several daemons may run on a host, and one of them has the default socket. Where no other
        socket is known, only the daemon of the configuration that was named may answer.

        Raises:
            ConfigError: the configuration cannot be read.
        """
        if self._config is None or not self._unsaid:
            return ()
        from credfresh.config.identity import default_instance  # noqa: PLC0415 - rarely needed

        # The daemon may have been started before the file gave it a name.
        default = default_instance(self._config)
        return (self._excerpt.instance, default) if self._excerpt.instance else (default,)

    @property
    def credentials_file(self) -> str:
        """The path of the credentials file: the configuration's, else the one that SDKs read.

        Raises:
            ConfigError: the configuration that was named cannot be read.
        """
        said = self._excerpt.credentials_file
        return said or os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or DEFAULT_FILE

    def statuses_in_file(self, unreached: ControlError) -> list[ProfileStatus]:
        """Return what the marks in the credentials file say, where no daemon answers.

        Raises:
            ConfigError: the configuration that was named cannot be read.
            ControlError: the file cannot be read either; otherwise as `unreached`.
        """
        from credfresh.cli.clock import clock  # noqa: PLC0415 - as the next
        from credfresh.splice import marked  # noqa: PLC0415 - only where no daemon answers

        path = self.credentials_file
        try:
            return marked.statuses(path, clock().wall)
        except OSError as error:
            reason = str(error.strerror).lower()
            message = f"{unreached.message}; {path}: cannot be read: {reason}"
            raise ControlError(unreached.code, message, hint=unreached.hint) from None

    @property
    def _unsaid(self) -> bool:
        """Whether a configuration was named that does not say where the socket is."""
        return self._config is not None and not self._socket and not self._excerpt.socket

    @cached_property
    def _excerpt(self) -> Excerpt:
        from credfresh.config.excerpt import Excerpt, excerpt  # noqa: PLC0415 - only without --socket

        if self._config is not None:
            return excerpt(self._config, os.environ)
        # The default is a guess: a job may not be allowed to read it, and need not be.
        with contextlib.suppress(ConfigError):
            return excerpt(DEFAULT_CONFIG, os.environ)
        return Excerpt()
