"""The vocabulary of publishing: what a destination is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from credfresh.errors import PublishError
from credfresh.model import Grant
from credfresh.settings import Profile
from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class Publication:
    """What should stand published for one profile.

    With a `grant`: these credentials. Without one (nothing is in hand yet): what stands is left
    alone, unless `withdraw` says that it should go.
    """

    profile: Profile
    grant: Grant | None = None
    withdraw: bool = False


Wanted = Mapping[str, Publication]
"""Every enabled profile by name. What a destination holds of ours beyond it is an orphan."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One profile that could not be published while the others were.

    `code`: `foreign` (a section that we did not write stands there), `taken` (ours was
    replaced by somebody's keys), `unwritable` (the credentials do not fit into the file).
    """

    profile: str
    code: Literal["foreign", "taken", "unwritable"]
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a destination saw and operators should know: `event`, with its `fields`."""

    event: str
    fields: tuple[tuple[str, str | int | float], ...] = ()


@dataclass(frozen=True, slots=True)
class PublishReport:
    """The outcome of one publish: what is on disk now, profile by profile."""

    written: bool
    """False if the bytes were equal and nothing was written."""
    size: int = 0
    removed: tuple[str, ...] = ()
    """Sections taken away (orphans and withdrawals)."""
    refused: tuple[Refusal, ...] = ()
    remarks: tuple[Remark, ...] = ()
    flaw: str | None = None
    """Which line hides the whole file from botocore, and why; None if none does."""


Outcome = PublishReport | PublishError
"""The outcome of one publish of one target: what is on disk now, or why it could not be written."""

Outcomes = Mapping[str, Outcome]
"""The outcome of one publish, by the `path` of each target: one failing file stops no other.

Twins are in it by their directory, and by their own path only if they fail, or no longer do.
"""


def has_landed(publication: Publication, outcomes: Outcomes) -> bool:
    """Say whether a publication stands in every place where its profile is published.

    If it failed in one place it has not landed: the status is judged by the worst place. The
    publisher tries again, which writes only where something is missing.
    """
    profile = publication.profile
    if not isinstance(outcomes.get(profile.target.path), PublishReport):
        return False
    twin = profile.twin
    places = () if twin is None else (twin.directory, twin.path)
    return not any(isinstance(outcomes.get(place), PublishError) for place in places)
