"""The values that the layers exchange: frozen, without behaviour that needs the world.

Times are seconds as floats: `wall` since the Unix epoch (CLOCK_REALTIME), `boot` since the
machine started, suspend included (CLOCK_BOOTTIME). Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from datetime import UTC, datetime
from functools import lru_cache

from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks.

    The wall clock is what STS and readers go by and may be stepped; the boot clock cannot be
    stepped. A deadline is a pair too, and is due when either clock has passed it.
    """

    wall: float
    boot: float

    def __add__(self, seconds: float) -> Instant:
        """Return the moment `seconds` later on both clocks."""
        return Instant(self.wall + seconds, self.boot + seconds)

    def reached(self, deadline: Instant, *, ago: float = 0.0) -> bool:
        """Say whether either clock has passed the deadline, by `ago` seconds at least."""
        return self.wall >= deadline.wall + ago or self.boot >= deadline.boot + ago

    def until(self, deadline: Instant) -> float:
        """Return the seconds until the deadline is reached; 0 if it has been."""
        return max(0.0, min(deadline.wall - self.wall, deadline.boot - self.boot))


Clock = Callable[[], Instant]
Roll = Callable[[], float]
"""A source of randomness: each call returns a new x with 0 <= x < 1."""


def rfc3339(wall: float) -> str:
    """Render a wall-clock time as `2026-11-24T12:00:00Z` (whole seconds, rounded down)."""
    return _rendered(int(wall))


@lru_cache(1024)  # the same few seconds are in marks, logs, twins and answers
def _rendered(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC).isoformat()[:19]}Z"


@dataclass(frozen=True, slots=True)
class SessionCredentials:
    """Credentials that STS issued. The secrets are kept out of `repr`; the key id is no secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: float
    """STS's own `Expiration`, in wall seconds of the server's clock."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The hub whose grant we follow renews it `renews_after` seconds after its issue.

    `salt` tells the followers of one grant apart.
    """

    renews_after: float
    salt: str


@dataclass(frozen=True, slots=True)
class Grant:
    """Session credentials with the times that the renewal policy needs.

    `sent_at` is the moment before the request left; `lifetime` (L) the seconds granted from
    then on, by the server's clock if it gave its time; `asked` the duration requested.
    `skew` is server minus local wall clock in seconds, if the server gave its time.
    """

    credentials: SessionCredentials
    sent_at: Instant
    lifetime: float
    asked: float
    request: str
    """Fingerprint of the request that obtained it (16 hex digits)."""
    skew: float | None = None
    upstream: Upstream | None = None
    """Set if a hub renews it and we follow."""
    from_another_hub: bool = False
    """Whether a hub that follows got it: it says nothing of STS, or of the profile's source."""

    expires_at: Instant = field(init=False, repr=False, compare=False)
    """The moment from which the credentials are worth nothing. Asked for at each look."""

    def __post_init__(self) -> None:
        """Work `expires_at` out once."""
        object.__setattr__(self, "expires_at", self.sent_at + self.lifetime)
