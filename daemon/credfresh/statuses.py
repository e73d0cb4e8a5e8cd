"""The status of a profile, as plain values and as JSON."""

from __future__ import annotations

from typing import Any, Literal

from credfresh.model import rfc3339
from credfresh.values import dataclass

State = Literal["fresh", "late", "expired", "missing", "refused"]
"""Judged by what is on disk. `fresh`: valid, not overdue. `late`: valid, and overdue by more than
a minute, or older than the credentials in memory or the profile's present request. `missing`:
readers find nothing. `refused`: the file holds somebody else's section."""


@dataclass(frozen=True, slots=True)
class ProfileStatus:
    """The status of one profile; all of it may be shown to an operator.

    Times are wall seconds, durations seconds; None means not known.
    """

    profile: str
    state: State
    role_arn: str
    expiration: float | None
    seconds_left: float
    lifetime: float | None
    renew_in: float | None
    consecutive_failures: int
    access_key_id: str | None
    last_error: str | None
    hint: str | None
    renew_at: float | None = None
    """When the next attempt is due."""
    guarantee: float | None = None
    """The life that a reader is sure to find while STS is healthy."""

    def as_json(self) -> dict[str, Any]:
        """Return the keys of `status --json`, and three more for tables."""
        return {
            "profile": self.profile,
            "state": self.state,
            "expiration": _time(self.expiration),
            "seconds_left": int(self.seconds_left),
            "renew_at": _time(self.renew_at),
            "guarantee_s": _whole(self.guarantee),
            "consecutive_failures": self.consecutive_failures,
            "access_key_id": self.access_key_id,
            "role_arn": self.role_arn,
            "last_error": self.last_error,
            "hint": self.hint,
            "lifetime_s": _whole(self.lifetime),
            "renew_in_s": _whole(self.renew_in),
        }


def _time(wall: float | None) -> str | None:
    return None if wall is None else rfc3339(wall)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
