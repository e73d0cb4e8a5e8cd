"""Profiles that move from one file to another.

At any moment a reader must find the profile in at least one of the two. So it is written to its new
file first, and its old section stays as it is until that has succeeded.
"""

from __future__ import annotations

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


def leaving(stood: Wanted, share: Wanted, wanted: Wanted) -> dict[str, Publication]:
    """Return what to do about the profiles that stood in a file and are not wanted in it any more.

    `share` is what is wanted of this file. One that is wanted in another file is left as it stands;
    all others are withdrawn, so that a section of ours that somebody has altered goes as well. A
    section that another profile now has in this file is not touched.
    """
    gone = {name: each for name, each in stood.items() if name not in share}
    taken = {publication.profile.section for publication in share.values()} if gone else set()
    return {
        name: Publication(
            each.profile,
            withdraw=each.withdraw or name not in wanted or wanted[name].withdraw,
        )
        for name, each in gone.items()
        if each.profile.section not in taken
    }


def arrived(publication: Publication, outcomes: Outcomes) -> bool:
    """Say whether a profile's credentials stand in its new file."""
    profile = publication.profile
    outcome = outcomes.get(profile.target.path)
    if publication.grant is None or not isinstance(outcome, PublishReport):
        return False
    return all(refusal.profile != profile.name for refusal in outcome.refused)


def remembered(stood: Wanted, share: Wanted, left: Wanted, outcome: Outcome) -> Wanted:
    """Return what may stand in a file after a publish of its share and of what has `left` it.

    If it failed, that is also what stood before.
    """
    still = {name: each for name, each in left.items() if not each.withdraw}
    before = {} if isinstance(outcome, PublishReport) else stood
    return {**before, **share, **still}


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
