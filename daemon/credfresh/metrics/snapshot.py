"""What the main thread hands out: the state of every profile at one moment. No secret is in it.

Taking one must be cheap, for renewals wait meanwhile: some 20 ms for 10,000 profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from credfresh.desk import Desk
from credfresh.entry import Entry, Phase, Result
from credfresh.errors import RenewalError
from credfresh.model import Instant
from credfresh.publication import Refusal
from credfresh.settings import Profile, Settings
from credfresh.statuses import State

RESULTS: tuple[Result, ...] = ("success", "transient", "throttled", "needs_human")
"""What may become of an attempt."""


class Trouble(NamedTuple):
    """Why a profile is not renewed or not published. For the eyes of operators only."""

    code: str
    message: str
    hint: str | None


class Figures(NamedTuple):
    """One profile as the daemon knows it. Times are wall-clock seconds."""

    profile: Profile
    state: State
    """Judged by what was published last; whether it still stands there is another question."""
    access_key_id: str | None
    issued: float | None
    expiration: float | None
    """What STS said of the published credentials; None while nothing is published."""
    seconds_left: float
    lifetime: float
    renew_at: float | None
    """When what is in hand is to be renewed; None with nothing in hand."""
    next_attempt: float
    last_success: float | None
    failures: int
    """Attempts that failed since the last one that did not."""
    failing_since: float | None
    results: tuple[int, ...]
    """Attempts since the start, by what became of them (in the order of `RESULTS`)."""
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
    """Server minus local clock in seconds, by the newest answer that told the time."""
    lag: float
    """Seconds by which the most belated alarm is late at this moment."""
    writes: Mapping[str, int]
    """Publishes of one place since the start, by `written`, `unchanged` and `failed`."""
    last_write: float | None


def take(desk: Desk, writes: Mapping[str, int], last_write: float | None) -> Snapshot:
    """Take a snapshot, in the main thread."""
    now = desk.clock()
    entries = [entry for entry in desk.supervisor.roster if not entry.withdrawn]
    newest = max((e for e in entries if _told(e)), key=_sent, default=None)
    overdue = (now.boot - entry.due.boot for entry in entries if entry.phase is Phase.ARMED)
    return Snapshot(
        taken=now,
        settings=desk.settings,
        profiles=tuple(_figures(entry, now) for entry in entries),
        ready=desk.ready,
        reloaded=desk.last_reload is None or not desk.last_reload.problems,
        skew=newest.grant.skew if newest is not None and newest.grant else None,
        lag=max(0.0, max(overdue, default=0.0)),
        writes=dict(writes),
        last_write=last_write,
    )


def _figures(entry: Entry, now: Instant) -> Figures:
    published, grant = entry.published, entry.grant
    since = entry.failing_since
    return Figures(
        profile=entry.profile,
        state=entry.state(now),
        access_key_id=published.credentials.access_key_id if published else None,
        issued=published.sent_at.wall if published else None,
        expiration=published.credentials.expiration if published else None,
        seconds_left=entry.life_left(now),
        lifetime=published.lifetime if published else 0.0,
        renew_at=entry.plan.renew_at.wall if entry.plan else None,
        next_attempt=now.wall + now.until(entry.due),
        last_success=grant.sent_at.wall if grant else None,
        failures=entry.failures,
        failing_since=since.wall if since and entry.failures else None,
        results=tuple(entry.results[result] for result in RESULTS),
        trouble=_trouble(entry.refusal or entry.error),
    )


def _trouble(trouble: Refusal | RenewalError | None) -> Trouble | None:
    match trouble:
        case None:
            return None
        case Refusal(code=code, reason=text, hint=hint):
            return Trouble(code, text, hint)
        case _:
            return Trouble(trouble.code, trouble.message, trouble.hint)


def _told(entry: Entry) -> bool:
    return entry.grant is not None and entry.grant.skew is not None


def _sent(entry: Entry) -> float:
    return entry.grant.sent_at.boot if entry.grant else 0.0
