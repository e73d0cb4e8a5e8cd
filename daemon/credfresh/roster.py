"""The state of each profile in the daemon's hands, and what it amounts to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from credfresh import policy
from credfresh.admission import Lane
from credfresh.errors import Mend, RenewalError
from credfresh.model import Grant, Instant
from credfresh.publication import Publication, Refusal
from credfresh.renewer import STARVED
from credfresh.settings import Profile, Settings, StsLimits

OVERDUE = 60.0
"""Seconds past its renewal time after which valid credentials count as late."""

State = Literal["fresh", "late", "expired", "missing", "refused"]


class Phase(Enum):
    """Where a profile stands between two renewals. There is no fourth place (I1)."""

    ARMED = "armed"
    QUEUED = "queued"
    IN_FLIGHT = "in flight"


@dataclass(slots=True, eq=False)
class Entry:
    """One enabled profile: what is in hand, what is on disk, what comes next."""

    profile: Profile
    lane: Lane
    due: Instant
    phase: Phase = Phase.ARMED
    waits_for_parent: bool = False
    ticket: int = 0
    started: Instant | None = None
    grant: Grant | None = None
    plan: policy.Plan | None = None
    published: Grant | None = None
    refusal: Refusal | None = None
    error: RenewalError | None = None
    failures: int = 0
    attempts: int = 0
    not_before: float = 0.0
    """Boot-clock second before which no attempt may start (I6)."""
    told_expired: bool = False

    def life_left(self, now: Instant) -> float:
        """Return the seconds that the credentials on disk still have."""
        return now.until(self.published.expires_at) if self.published else 0.0

    def usable(self, now: Instant) -> bool:
        """Say whether the credentials in hand are still worth something."""
        return self.grant is not None and not now.reached(self.grant.expires_at)

    def fits(self) -> bool:
        """Say whether the credentials in hand answer today's request."""
        return self.grant is not None and self.grant.request == self.profile.request

    def renewal(self) -> Instant | None:
        """Return when the credentials in hand are to be renewed."""
        return self.plan.renew_at if self.plan else None

    def take(self, grant: Grant) -> policy.Plan:
        """Hold `grant` from now on, and plan its renewal."""
        self.grant = grant
        self.plan = policy.plan(grant, self.profile.renew_before)
        return self.plan

    def change(self, profile: Profile, lane: Lane, now: Instant) -> None:
        """Go over to another configuration of this profile; another request is due now."""
        same_request = profile.request == self.profile.request
        self.profile, self.lane = profile, lane
        self.waits_for_parent = False
        if not same_request:
            self.due = now
        elif self.grant is not None and self.failures == 0:
            self.due = self.take(self.grant).renew_at

    def attempt_ended(self, now: Instant) -> None:
        """Keep the floor between this attempt and the next."""
        self.attempts += 1
        self.not_before = now.boot + policy.FLOOR

    def starved(self) -> bool:
        """Say whether the last attempt failed for want of the parent's credentials."""
        return self.error is not None and self.error.code == STARVED

    def for_human(self) -> bool:
        """Say whether a human must mend something before this profile can be fresh."""
        return self.refusal is not None or (
            self.error is not None and self.error.mend is Mend.HUMAN
        )

    def publication(self, now: Instant) -> Publication:
        """Return what should stand published for this profile."""
        if self.profile.on_expired == "remove" and not self.usable(now):
            return Publication(self.profile, withdraw=self.grant is not None)
        return Publication(self.profile, self.grant)

    def state(self, now: Instant) -> State:
        """Judge the profile by what is on disk."""
        if self.refusal is not None:
            return "refused"
        if self.published is None:
            return "missing"
        if now.reached(self.published.expires_at):
            return "expired"
        overdue = self.plan is not None and now.reached(self.plan.renew_at + OVERDUE)
        return "late" if overdue or self.published is not self.grant else "fresh"


@dataclass(frozen=True, slots=True)
class ProfileStatus:
    """What can be said of one profile; everything in it may be shown to an operator."""

    profile: str
    state: State
    role_arn: str
    expiration: float | None
    seconds_left: float
    lifetime: float | None
    renew_in: float
    consecutive_failures: int
    access_key_id: str | None
    last_error: str | None
    hint: str | None


def status(entry: Entry, now: Instant) -> ProfileStatus:
    """Describe `entry` as of `now`."""
    published = entry.published
    trouble = entry.refusal or entry.error
    return ProfileStatus(
        profile=entry.profile.name,
        state=entry.state(now),
        role_arn=entry.profile.role_arn,
        expiration=published.credentials.expiration if published else None,
        seconds_left=entry.life_left(now),
        lifetime=published.lifetime if published else None,
        renew_in=now.until(entry.due),
        consecutive_failures=entry.failures,
        access_key_id=published.credentials.access_key_id if published else None,
        last_error=_describe(trouble) if trouble else None,
        hint=trouble.hint if trouble else None,
    )


@dataclass(frozen=True, slots=True)
class Flight:
    """An attempt in flight: for whom, through what, and which request it makes."""

    entry: Entry
    lane: Lane
    request: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload changed, by profile."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()


class Roster:
    """All enabled profiles, in the order of the configuration, and who chains from whom."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._children: dict[str, list[str]] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def get(self, name: str) -> Entry | None:
        """Return the entry of `name`, None when there is none (any more)."""
        return self._entries.get(name)

    def add(self, profile: Profile, limits: StsLimits, now: Instant) -> Entry:
        """Take in a profile, due now."""
        entry = self._entries[profile.name] = Entry(profile, _lane(profile, limits), due=now)
        if profile.source_profile is not None:
            self._children.setdefault(profile.source_profile, []).append(profile.name)
        return entry

    def reload(self, settings: Settings, now: Instant) -> Changes:
        """Take over the profiles of other settings, with what is known of those that stay."""
        before, self._entries, self._children = self._entries, {}, {}
        changed = set()
        for profile in settings.profiles.values():
            entry = self.add(profile, settings.sts, now)
            known = before.get(profile.name)
            if known is None:
                continue
            if (known.profile, known.lane) != (profile, entry.lane):
                changed.add(profile.name)
                known.change(profile, entry.lane, now)
            self._entries[profile.name] = known
        return Changes(
            added=frozenset(self._entries.keys() - before.keys()),
            removed=frozenset(before.keys() - self._entries.keys()),
            changed=frozenset(changed),
        )

    def parent(self, entry: Entry) -> Entry | None:
        """Return the entry whose credentials this one is assumed with."""
        name = entry.profile.source_profile
        return self._entries[name] if name is not None else None

    def children(self, entry: Entry) -> list[Entry]:
        """Return the armed entries that are assumed with this one's credentials."""
        names = self._children.get(entry.profile.name, ())
        return [e for name in names if (e := self._entries[name]).phase is Phase.ARMED]

    def tried(self, now: Instant) -> bool:
        """Say whether every profile that was due has had an attempt end."""
        return all(
            entry.attempts > 0 or (not entry.waits_for_parent and not now.reached(entry.due))
            for entry in self
        )

    def settled(self, now: Instant, *, fresh: bool = False) -> bool:
        """Say whether every profile is fresh, or (unless `fresh`) waits for a human."""
        return all(
            entry.state(now) == "fresh" or (not fresh and entry.for_human()) for entry in self
        )

    def statuses(self, now: Instant) -> list[ProfileStatus]:
        """Describe every profile."""
        return [status(entry, now) for entry in self]


def _lane(profile: Profile, limits: StsLimits) -> Lane:
    """Return what an attempt for `profile` depends on beside its own request."""
    endpoint = profile.endpoint_url or limits.endpoint_url
    fips = "-fips" if profile.fips else ""
    return Lane(
        endpoint=endpoint or f"sts{fips}.{profile.region}",
        source=f"profile {profile.source_profile}" if profile.source_profile else profile.source,
    )


def _describe(trouble: Refusal | RenewalError) -> str:
    if isinstance(trouble, Refusal):
        return trouble.reason
    return f"{trouble.code}: {trouble.message}"
