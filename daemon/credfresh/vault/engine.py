"""One KV v2 engine: read, check-and-set, describe, delete."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import hvac
import hvac.exceptions
import requests

from credfresh.answers import Bounded, http_time
from credfresh.errors import RenewalError
from credfresh.model import Clock
from credfresh.principals import VaultEngine
from credfresh.vault import logins
from credfresh.vault.failures import FORBIDDEN, failure
from credfresh.vault.secret import Version
from credfresh.vault.token import Token

CONNECT = 3.0
READ = 10.0
"""Timeouts in seconds: an attempt can use up both, and log in again, within its deadline."""

KEPT_VERSIONS = 2
"""Versions of a secret that the engine keeps: more would be more secrets to guard."""

_NO_MATCH = "check-and-set parameter did not match"

T = TypeVar("T")


class ConflictError(Exception):
    """Somebody else has written the secret since we read it."""


class Engine:
    """The secrets under one mount and prefix. Safe from several threads.

    `salt` spreads the logins of many hosts.
    """

    def __init__(self, where: VaultEngine, *, clock: Clock, salt: str) -> None:
        self.where = where
        self._token = Token(where, clock=clock, salt=salt)
        self._local = threading.local()

    def read(self, name: str) -> Version:
        """Return the newest version of a secret.

        Raises:
            RenewalError: the engine cannot be reached, or refuses.
        """

        def ask(client: hvac.Client) -> Version:
            try:
                answer = client.secrets.kv.v2.read_secret_version(
                    self._path(name),
                    mount_point=self.where.mount,
                    raise_on_deleted_version=False,
                )
            except hvac.exceptions.InvalidPath:
                return Version(0, None)
            data = answer["data"]
            document = data["data"]
            return Version(
                int(data["metadata"]["version"]),
                None if document is None else dict(document),
                self._told_at(),
            )

        return self._do(ask, f"read {self.shown(name)}")

    def write(self, name: str, document: Mapping[str, object], cas: int) -> int:
        """Write a version if `cas` is the number of the newest; return the new number.

        Raises:
            ConflictError: another version is the newest.
            RenewalError: the engine cannot be reached, or refuses.
        """

        def ask(client: hvac.Client) -> int:
            try:
                answer = client.secrets.kv.v2.create_or_update_secret(
                    self._path(name), dict(document), cas=cas, mount_point=self.where.mount
                )
            except hvac.exceptions.InvalidRequest as error:
                if _NO_MATCH in str(error):
                    raise ConflictError from None
                raise
            return int(answer["data"]["version"])

        return self._do(ask, f"write {self.shown(name)}")

    def describe(
        self, name: str, *, lifetime: float | None = None, about: Mapping[str, str] | None = None
    ) -> None:
        """Set the `lifetime` (seconds) of versions written from now on, and the secret's metadata.

        Raises:
            RenewalError: the engine cannot be reached, or refuses.
        """
        after = "0s" if lifetime is None else f"{max(1, int(lifetime))}s"

        def ask(client: hvac.Client) -> None:
            client.secrets.kv.v2.update_metadata(
                self._path(name),
                max_versions=KEPT_VERSIONS,
                delete_version_after=after,
                custom_metadata=dict(about) if about is not None else None,
                mount_point=self.where.mount,
            )

        self._do(ask, f"describe {self.shown(name)}")

    def delete(self, name: str) -> None:
        """Delete a secret, with all its versions and metadata.

        Raises:
            RenewalError: the engine cannot be reached, or refuses.
        """

        def ask(client: hvac.Client) -> None:
            client.secrets.kv.v2.delete_metadata_and_all_versions(
                self._path(name), mount_point=self.where.mount
            )

        self._do(ask, f"delete {self.shown(name)}")

    def shown(self, name: str) -> str:
        """Return the whole path of a secret, mount included, for messages."""
        return f"{self.where.mount}/{self._path(name)}"

    def _path(self, name: str) -> str:
        return f"{self.where.prefix}/{name}" if self.where.prefix else name

    def _do(self, ask: Callable[[hvac.Client], T], what: str) -> T:
        client = self._client()
        asked_with = self._token.give(client)
        try:
            return self._answer(client, ask, what)
        except RenewalError as error:
            if error.code != FORBIDDEN:
                raise
        # The token may have been revoked, or its file replaced: one more try with another.
        if self._token.give(client, refused=asked_with) == asked_with:
            raise failure(hvac.exceptions.Forbidden(), self.where.address, what)
        return self._answer(client, ask, what)

    def _answer(self, client: hvac.Client, ask: Callable[[hvac.Client], T], what: str) -> T:
        try:
            return ask(client)
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever hvac raises, the attempt failed
            failed = failure(error, self.where.address, what)
        # Outside of the handler, so that hvac's error, which quotes the answer, is not chained.
        raise failed

    def _client(self) -> hvac.Client:
        """Return this thread's client: threads share no connection."""
        client: hvac.Client | None = getattr(self._local, "client", None)
        if client is None:
            if self.where.ca_file is not None:
                logins.must_be_usable(self.where.ca_file)
            client = hvac.Client(
                url=self.where.address,
                namespace=self.where.namespace,
                verify=self.where.ca_file or _trusted(),
                timeout=(CONNECT, READ),  # type: ignore[arg-type] # requests takes both
                token="",
            )
            client.session.hooks["response"].append(self._bound)
            self._local.client = client
        return client

    def _bound(self, answer: requests.Response, *_: object, **_more: object) -> None:
        """Limit how much is read of an answer that has just begun; a response hook for requests."""
        answer.raw = Bounded(answer.raw)
        self._local.date = answer.headers.get("Date")

    def _told_at(self) -> float | None:
        """Return when the last answer in this thread was given, by the engine's clock."""
        try:
            return http_time(self._local.date)
        except (TypeError, ValueError, OverflowError):
            return None


def _trusted() -> str | bool:
    """Return the certificates to trust if no `ca_file` is set: the system's.

    By default requests trusts only the public authorities that it brings along. If one of its own
    variables names a bundle, that one counts (True).
    """
    if os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"):
        return True
    system = ssl.get_default_verify_paths()
    return system.cafile or system.capath or True


class Engines:
    """The engines of a configuration, one for each place, so that sources can share a login."""

    def __init__(self, *, clock: Clock, salt: str) -> None:
        self._clock = clock
        self._salt = salt
        self._engines: dict[VaultEngine, Engine] = {}

    def at(self, where: VaultEngine) -> Engine:
        """Return the engine at `where`, made when first asked for."""
        if where not in self._engines:
            self._engines[where] = Engine(where, clock=self._clock, salt=self._salt)
        return self._engines[where]
