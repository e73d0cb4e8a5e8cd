"""The ownership mark: the comment under the header of each section that credfresh writes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """Who wrote a section, for which role and request, and for how long it is good.

    `issued` and `expires` are whole wall seconds; `request` is 16 hex digits.
    """

    instance: str
    role: str
    request: str
    issued: int
    expires: int
    key: str
    """The access key id (no secret: the CloudTrail join key)."""


def sane(mark: Mark, *, now: float, asked: float, any_key: bool = False) -> bool:
    """Say whether a mark can be believed at start: sane times and a session key id.

    Issued at most 5 minutes after `now`, granted at most 5 minutes longer than `asked`, after
    being issued, and an id that starts with ASIA (unless `any_key`: an `endpoint_url` is set).
    """
    raise NotImplementedError
