"""Profiles that move from one file to another.

At any moment a reader must find the profile in at least one of the two. So it is written to its new
file first, and its old section stays as it is until that has succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from credfresh.disk.paths import resolved, same_place
from credfresh.errors import PublishError
from credfresh.publication import Outcome, Outcomes, Publication, PublishReport, Wanted


def same_file(one: str, other: str) -> bool:
    """Say whether two paths lead to one place now, whether or not a file is there."""
    try:
        with resolved(one) as here, resolved(other) as there:
            return same_place(here, there)
    except PublishError:
        return False


def moving(stood: Wanted, share: Wanted, wanted: Wanted) -> dict[str, Publication]:
    """Return what to leave in a file: the profiles that stood there and are wanted in another one.

    `share` is what is wanted of this file. A section that another profile now has in this file is
    not left, nor is a profile that is withdrawn.
    """
    gone = [
        publication.profile
        for name, publication in stood.items()
        if name not in share and name in wanted
        if not (wanted[name].withdraw or publication.withdraw)
    ]
    taken = {publication.profile.section for publication in share.values()} if gone else set()
    return {profile.name: Publication(profile) for profile in gone if profile.section not in taken}


def arrived(publication: Publication, outcomes: Outcomes) -> bool:
    """Say whether a profile's credentials stand in its new file."""
    profile = publication.profile
    outcome = outcomes.get(profile.target.path)
    if publication.grant is None or not isinstance(outcome, PublishReport):
        return False
    return all(refusal.profile != profile.name for refusal in outcome.refused)


def remembered(stood: Wanted, share: Wanted, outcome: Outcome) -> Mapping[str, Publication]:
    """Return what may stand in a file after a publish; if it failed, also what stood before."""
    return share if isinstance(outcome, PublishReport) else {**stood, **share}


def together(first: PublishReport, second: Outcome) -> Outcome:
    """Return the report on two publishes of one file."""
    if isinstance(second, PublishError):
        return second
    return replace(
        second,
        written=first.written or second.written,
        removed=first.removed + second.removed,
        remarks=first.remarks + second.remarks,
    )
