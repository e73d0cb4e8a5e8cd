"""Reads the status of profiles from the marks in a credentials file, without a daemon."""

from __future__ import annotations

from credfresh.regular import only_regular
from credfresh.splice import ownership
from credfresh.statuses import ProfileStatus

MOST_BYTES = 256 * 1024 * 1024
"""Bytes of the file that are read at most: twenty times the size with 10,000 profiles."""


def statuses(path: str, now: float) -> list[ProfileStatus]:
    """Return the status of each section that a credfresh provably wrote, as of wall second `now`.

    `profile` is the section's name; when a daemon would renew it is not known.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb", opener=only_regular) as file:
        document = ownership.read(file.read(MOST_BYTES))
    return [_status(owned, now) for owned in ownership.owned(document, None)]


def _status(owned: ownership.Owned, now: float) -> ProfileStatus:
    said = owned.mark
    left = max(0.0, said.expires - now)
    return ProfileStatus(
        profile=owned.section,
        state="fresh" if left else "expired",
        role_arn=said.role,
        expiration=float(said.expires),
        seconds_left=left,
        lifetime=float(said.expires - said.issued),
        renew_in=None,
        consecutive_failures=0,
        access_key_id=said.key,
        last_error=None,
        hint=None,
    )
