"""Judges profiles by what the daemon knows and what stands on disk. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from credfresh.metrics.reader import PublishedKey, Sections
from credfresh.metrics.snapshot import Figures, Snapshot
from credfresh.statuses import State
from credfresh.values import dataclass

VALID: tuple[State, ...] = ("fresh", "late")
"""The states in which a reader gets credentials that work."""

STATES: tuple[State, ...] = ("fresh", "late", "expired", "missing", "refused")

SLACK = 1.0
"""Seconds by which a time in the file may be earlier than ours: the file rounds it down."""


@dataclass(frozen=True, slots=True)
class View:
    """The daemon at one moment, judged."""

    snapshot: Snapshot
    profiles: tuple[Figures, ...]
    """Each has the state that a reader of the file would find."""
    counts: Mapping[State, int]

    @property
    def healthy(self) -> bool:
        """Whether every profile has valid credentials on disk."""
        return sum(self.counts[state] for state in VALID) == len(self.profiles)

    def unhealthy(self) -> list[Figures]:
        """Return the profiles whose readers find no valid credentials."""
        return [one for one in self.profiles if one.state not in VALID]


def judge(
    snapshot: Snapshot,
    sections: Callable[[str], Sections | None],
    stands: Callable[[str], bool] = lambda _path: True,
) -> View:
    """Judge a snapshot; `sections` returns what stands in a file, `stands` whether a twin does."""
    paths = {one.profile.target.path for one in snapshot.profiles}
    standing = {path: sections(path) or {} for path in paths}
    profiles = tuple(
        _judged(one, standing[one.profile.target.path].get(one.profile.section), snapshot)
        if one.profile.twin is None or stands(one.profile.twin.path)
        else _judged(one, None, snapshot)
        for one in snapshot.profiles
    )
    counted = Counter(one.state for one in profiles)
    return View(snapshot, profiles, {state: counted[state] for state in STATES})


def _judged(one: Figures, held: PublishedKey | None, snapshot: Snapshot) -> Figures:
    if one.state not in VALID or one.expiration is None:
        return one
    if held is None:
        return one._replace(state="missing", seconds_left=0.0)
    # If the file is newer than the snapshot, its readers are served just as well.
    if held.access_key_id == one.access_key_id or held.expires >= one.expiration - SLACK:
        return one
    left = max(0.0, held.expires - snapshot.taken.wall)
    return one._replace(
        state="late" if left else "expired",
        access_key_id=held.access_key_id,
        expiration=held.expires,
        seconds_left=left,
    )
