"""The state of every profile at one moment, taken in the main thread and worked out in another.

Taking it must be cheap, since renewals wait meanwhile: of each profile only references are taken
(5 ms for 10,000). The objects do not change later, except the counts of attempts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple

from credfresh import policy
from credfresh.errors import PublishError, RenewalError
from credfresh.life.desk import Desk
from credfresh.life.entry import Phase, Result, judge
from credfresh.model import Grant, Instant
from credfresh.publication import Refusal
from credfresh.settings import Profile, Settings
from credfresh.statuses import State
from credfresh.values import dataclass

RESULTS: tuple[Result, ...] = ("success", "transient", "throttled", "needs_human")
"""The possible results of an attempt."""


class Trouble(NamedTuple):
    """Why a profile is not renewed or not published. For operators only."""

    code: str
    message: str
    hint: str | None


class Figures(NamedTuple):
    """One profile as the daemon knows it, without secrets. Times are wall-clock seconds."""

    profile: Profile
    state: State
    """Judged by what was published last, without a look at whether it still stands."""
    access_key_id: str | None
    issued: float | None
    expiration: float | None
    """The expiration of the published credentials, by STS; None while nothing is published."""
    seconds_left: float
    lifetime: float
    renew_at: float | None
    """When the credentials in hand are to be renewed; None if there are none."""
    next_attempt: float
    last_success: float | None
    failures: int
    """Attempts that failed since the last one that did not."""
    failing_since: float | None
    results: tuple[int, ...]
    """Attempts since the start, by result (in the order of `RESULTS`)."""
    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The daemon at one moment."""

    taken: Instant
    settings: Settings
    profiles: tuple[Figures, ...]
    ready: bool
    """Whether the service manager has been told that the service is up."""
    reloaded: bool
    """Whether the last reload was accepted; true before the first."""
    skew: float | None
    """Server's clock minus the local one in seconds, by the newest answer that has the time."""
    lag: float
    """Seconds by which the most belated alarm is late at this moment."""
    writes: Mapping[str, int]
    """Publishes since the start, each place counted by itself: `written`, `unchanged`, `failed`."""
    last_write: float | None


class _Row(NamedTuple):
    """The attributes that are taken of one entry, by their names there."""

    profile: Profile
    withdrawn: bool
    phase: Phase
    due: Instant
    published: Grant | None
    grant: Grant | None
    plan: policy.Plan | None
    refusal: Refusal | None
    twin_unwritten: PublishError | None
    trouble: Refusal | RenewalError | PublishError | None
    failures: int
    failing_since: Instant | None
    results: Counter[Result]


_row = attrgetter(*_Row._fields)


@dataclass(frozen=True, slots=True)
class RawSnapshot:
    """A snapshot that is not worked out yet. It may hold secrets, so it is not kept."""

    now: Instant
    settings: Settings
    rows: list[tuple[object, ...]]
    ready: bool
    reloaded: bool
    writes: Mapping[str, int]
    last_write: float | None


def take(desk: Desk, writes: Mapping[str, int], last_write: float | None) -> RawSnapshot:
    """Take a snapshot, in the main thread."""
    return RawSnapshot(
        now=desk.clock(),
        settings=desk.settings,
        rows=[_row(entry) for entry in desk.supervisor.roster],
        ready=desk.ready,
        reloaded=desk.last_reload is None or not desk.last_reload.problems,
        writes=dict(writes),
        last_write=last_write,
    )


def unfold(taken: RawSnapshot) -> Snapshot:
    """Work out a snapshot, in any thread."""
    now = taken.now
    rows = [row for row in map(_Row._make, taken.rows) if not row.withdrawn]
    overdue = (now.boot - row.due.boot for row in rows if row.phase is Phase.ARMED)
    return Snapshot(
        taken=now,
        settings=taken.settings,
        profiles=tuple(_figures(row, now) for row in rows),
        ready=taken.ready,
        reloaded=taken.reloaded,
        skew=_skew(rows),
        lag=max(0.0, max(overdue, default=0.0)),
        writes=taken.writes,
        last_write=taken.last_write,
    )


def _figures(row: _Row, now: Instant) -> Figures:
    published = None if row.refusal else row.published  # if refused, others' keys stand there
    grant, since = row.grant, row.failing_since
    count = row.results.get
    other = published is not None and published.request != row.profile.request
    behind = other or row.twin_unwritten is not None
    return Figures(
        profile=row.profile,
        state=judge(now, row.refusal, published, grant, row.plan, behind=behind),
        access_key_id=published.credentials.access_key_id if published else None,
        issued=published.sent_at.wall if published else None,
        expiration=published.credentials.expiration if published else None,
        seconds_left=now.until(published.expires_at) if published else 0.0,
        lifetime=published.lifetime if published else 0.0,
        renew_at=row.plan.renew_at.wall if row.plan else None,
        next_attempt=now.wall + now.until(row.due),
        last_success=grant.sent_at.wall if grant else None,
        failures=row.failures,
        failing_since=since.wall if since and row.failures else None,
        results=tuple([count(result, 0) for result in RESULTS]),
        trouble=_trouble(row.trouble),
    )


def _skew(rows: list[_Row]) -> float | None:
    grants = [row.grant for row in rows if row.grant is not None and row.grant.skew is not None]
    newest = max(grants, key=lambda grant: grant.sent_at.boot, default=None)
    return newest.skew if newest is not None else None


def _trouble(trouble: Refusal | RenewalError | PublishError | None) -> Trouble | None:
    match trouble:
        case None:
            return None
        case Refusal(code=code, reason=text, hint=hint):
            return Trouble(code, text, hint)
        case _:
            return Trouble(trouble.code, trouble.message, trouble.hint)
