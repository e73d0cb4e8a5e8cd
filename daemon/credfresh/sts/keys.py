"""The keys that sign a request."""

from __future__ import annotations

from dataclasses import dataclass, field

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
