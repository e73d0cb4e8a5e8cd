"""The keys that sign a request, and what is known of where they came from."""

from __future__ import annotations

from dataclasses import field

from botocore.credentials import (
    ContainerProvider,
    Credentials,
    InstanceMetadataProvider,
    ProcessProvider,
    RefreshableCredentials,
)

from credfresh.model import SessionCredentials
from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """The keys of a principal; long-term keys have no session token."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, parent: SessionCredentials) -> SourceKeys:
        """Return the keys of a profile of ours, for the profiles that are chained to it."""
        return cls(parent.access_key_id, parent.secret_access_key, parent.session_token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts that must never stand in a message."""
        return tuple(s for s in (self.secret_access_key, self.session_token) if s)


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """The keys that were found, and the state of the files (`Lookup.seen`) just before."""

    seen: object
    credentials: Credentials = field(repr=False)
    keys: SourceKeys

    @property
    def replaceable(self) -> bool:
        """Say whether other keys may have taken their place without any sign of it.

        A process that says when its keys expire is asked again then: it may make new keys each time
        it runs.
        """
        if self.credentials.method == ProcessProvider.METHOD:
            return not isinstance(self.credentials, RefreshableCredentials)
        return self.credentials.method in {
            ContainerProvider.METHOD,
            InstanceMetadataProvider.METHOD,
        }

    def good(self, seen: object) -> bool:
        """Say whether the keys may be used without another lookup."""
        if isinstance(self.credentials, RefreshableCredentials) and (
            self.credentials.refresh_needed()
        ):
            return False
        return self.seen == seen
