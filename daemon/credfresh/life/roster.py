"""All enabled profiles, which chains from which, and the status of each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from credfresh.errors import PublishError, RenewalError
from credfresh.life.admission import Lane
from credfresh.life.entry import Entry, Phase
from credfresh.model import Instant
from credfresh.publication import Refusal
from credfresh.settings import Profile, Settings
from credfresh.statuses import ProfileStatus
from credfresh.values import dataclass


def status(entry: Entry, now: Instant) -> ProfileStatus:
    """Describe `entry` as of `now`."""
    published = None if entry.lost else entry.published
    last_error, hint = _error_and_hint(entry)
    return ProfileStatus(
        profile=entry.profile.name,
        state=entry.state(now),
        role_arn=entry.profile.role_arn,
        expiration=published.credentials.expiration if published else None,
        seconds_left=entry.life_left(now),
        lifetime=published.lifetime if published else None,
        renew_in=None if entry.withdrawn else now.until(entry.due),
        consecutive_failures=entry.failures,
        access_key_id=published.credentials.access_key_id if published else None,
        last_error=last_error,
        hint=hint,
        renew_at=None if entry.withdrawn else entry.due.wall,
        guarantee=entry.plan.renew_before if entry.plan else None,
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload changed, by profile."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()


class Roster:
    """All enabled profiles, in the order of the configuration, and which chains from which."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._children: dict[str, list[str]] = {}
        self._gone: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def get(self, name: str) -> Entry | None:
        """Return the entry of `name`, None when there is none (any more)."""
        return self._entries.get(name)

    def add(self, profile: Profile, now: Instant) -> Entry:
        """Take in a profile, due now."""
        entry = self._entries[profile.name] = Entry(profile, _lane(profile), due=now)
        if profile.source_profile is not None:
            self._children.setdefault(profile.source_profile, []).append(profile.name)
        return entry

    def reload(self, settings: Settings, now: Instant, *, anew: bool = False) -> Changes:
        """Take over the profiles of other settings, with what is known of those that stay.

        With `anew` no attempt in flight counts: it used the old sources or limits.

        A profile that comes back soon after its removal has its old entry again, emptied: so the
        floor between two attempts holds (I6), and its attempt in flight is not doubled.
        """
        before, self._entries, self._children = self._entries, {}, {}
        lingering = {name: entry for name, entry in self._gone.items() if entry.lingers(now)}
        changed = set()
        for profile in settings.profiles.values():
            entry = self.add(profile, now)
            known = before.get(profile.name)
            if known is None:
                known = lingering.pop(profile.name, None)
                if known is None:
                    continue
                known.come_back(profile, entry.lane, now)
            elif known.profile != profile:
                changed.add(profile.name)
                known.change(profile, entry.lane, now)
            known.profile = profile  # if equal, then but for the rhythm of all profiles
            self._entries[profile.name] = known
            known.generation += anew
        removed = before.keys() - self._entries.keys()
        self._gone = lingering | {name: before[name] for name in removed}
        return Changes(
            added=frozenset(self._entries.keys() - before.keys()),
            removed=frozenset(removed),
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
        return all(entry.attempts > 0 or not now.reached(entry.due) for entry in self)

    def settled(self, now: Instant, *, fresh: bool = False) -> bool:
        """Say whether every profile is fresh, or (unless `fresh`) waits for a human."""
        return all(
            entry.state(now) == "fresh" or (not fresh and entry.for_human(now)) for entry in self
        )

    def statuses(self, now: Instant) -> list[ProfileStatus]:
        """Describe every profile."""
        return [status(entry, now) for entry in self]


def _lane(profile: Profile) -> Lane:
    """Return what an attempt for `profile` depends on beside its own request."""
    fips = "-fips" if profile.fips else ""
    return _shared(
        profile.endpoint_url or f"sts{fips}.{profile.region}",
        f"profile {profile.source_profile}" if profile.source_profile else profile.source,
    )


_shared = lru_cache(1024)(Lane)  # thousands of profiles are in a few lanes


def _error_and_hint(entry: Entry) -> tuple[str | None, str | None]:
    """Return what is wrong with a profile, and what to do about it."""
    match entry.trouble:
        case Refusal() as refusal:
            return refusal.reason, refusal.hint
        case PublishError() as error:
            return error.message, error.hint
        case RenewalError() as error:
            return f"{error.code}: {error.message}", error.hint
    if entry.flaw is None:
        return None, None
    where = f"{entry.profile.target.path}: {entry.flaw}"
    unread = "botocore and the AWS CLI read none of the file"
    return f"{where}: {unread}", "mend that line, which is not ours"
