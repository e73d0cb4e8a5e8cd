"""The token of one engine, for all threads: renewed, or had by another login, when it is needed.

When a call finds the token due by `policy.renewal`, the token is renewed, or the login done again.
Between calls nothing happens.
"""

from __future__ import annotations

import threading

import hvac

from credfresh import policy
from credfresh.errors import RenewalError
from credfresh.model import Clock, Instant
from credfresh.principals import TokenFileLogin, VaultEngine
from credfresh.vault import logins
from credfresh.vault.failures import login_failed


class Token:
    """Gives clients the token. Safe from several threads. `salt` spreads the logins of hosts."""

    def __init__(self, where: VaultEngine, *, clock: Clock, salt: str) -> None:
        self._where = where
        self._clock = clock
        self._salt = salt
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at: Instant | None = None
        self._renewable = False
        self._again = 0.0
        """Boot second before which a refusal leads to no other login: each login leaves a token in
        the engine until it expires, and the policy may be what refuses."""
        self._failed: RenewalError | None = None
        """The failure of the last login that failed."""

    def give(self, client: hvac.Client, *, refused: str | None = None) -> str:
        """Give `client` a token that is not due, and another than `refused` if there is one.

        Threads that wait for a login which fails share its failure: if each tried in turn, with
        timeouts of its own, they would miss their deadlines.

        Raises:
            RenewalError: the login failed.
        """
        before = self._failed
        with self._lock:
            if self._failed is not None and self._failed is not before:
                raise self._failed
            now = self._clock().boot
            again = refused == self._token and now >= self._again
            if again:
                self._again = now + policy.CAP
            if again or not self._token or self._due():
                try:
                    self._renew_or_log_in(client, renew=refused is None and self._renewable)
                except RenewalError as error:
                    self._failed = error.with_traceback(None)  # frames hold tokens
                    raise
            client.token = self._token
            return self._token

    def _due(self) -> bool:
        if isinstance(self._where.auth, TokenFileLogin):
            return True  # an agent renews the token in the file: read it each time
        return self._renew_at is not None and self._clock().reached(self._renew_at)

    def _renew_or_log_in(self, client: hvac.Client, *, renew: bool) -> None:
        sent = self._clock()
        said: logins.TokenTerms | None = None
        if renew:
            client.token = self._token
            try:
                said = logins.renew(client)
            except Exception:  # noqa: BLE001 - it may not be renewable any more: log in
                said = None
        if said is None:
            said = self._log_in(client)
        self._token = client.token
        lifetime = said.lifetime if said else 0.0
        self._renewable = bool(said and said.renewable)
        self._renew_at = policy.renewal(sent, lifetime, self._salt) if lifetime > 0 else None

    def _log_in(self, client: hvac.Client) -> logins.TokenTerms | None:
        client.token = ""
        auth = self._where.auth
        try:
            return logins.log_in(client, auth)
        except RenewalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever hvac raises, the login failed
            failed = login_failed(error, self._where.address, logins.name_of(auth))
        # Outside of the handler, so that hvac's error, which quotes the answer, is not chained.
        raise failed
