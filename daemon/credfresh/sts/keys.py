"""The keys that sign a request, and how a shared client is lent them for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from botocore.credentials import ReadOnlyCredentials

from credfresh.model import SessionCredentials


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """What a principal signs with: long-term keys have no session token."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, parent: SessionCredentials) -> SourceKeys:
        """Return the keys of a managed profile, for those that are chained to it."""
        return cls(parent.access_key_id, parent.secret_access_key, parent.session_token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen in a message."""
        return tuple(s for s in (self.secret_access_key, self.session_token) if s)


class LentKeys:
    """The credentials object of every client: it signs with what the running call was lent.

    A client costs a millisecond and 0.2 MB, and chained parents have new keys at every renewal,
    so clients are not made per key. botocore asks `get_frozen_credentials` once for each request,
    in the thread that makes the call.
    """

    method = "credfresh"

    def __init__(self) -> None:
        self._lent: ContextVar[ReadOnlyCredentials] = ContextVar("lent_keys")

    @contextmanager
    def lend(self, keys: SourceKeys) -> Iterator[None]:
        """Sign with `keys` what this thread asks for within the block."""
        token = self._lent.set(
            ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
        )
        try:
            yield
        finally:
            self._lent.reset(token)

    def load_credentials(self) -> LentKeys:
        """Be the whole of a session's credential chain."""
        return self

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the keys of the running call; a LookupError is a call outside of `lend`."""
        return self._lent.get()

    def get_deferred_property(self, _name: str) -> Callable[[], str | None]:
        """Know no account: STS has no endpoints by account."""
        return lambda: None
