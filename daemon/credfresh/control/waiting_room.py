"""Keeps the questions whose answer takes time, and asks the supervisor for what they need.

All of it is for the main thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from credfresh.config.echo import did_you_mean
from credfresh.control import protocol
from credfresh.control.wishes import (
    Denied,
    Ensure,
    Facts,
    Granted,
    Outcome,
    Renew,
    Trouble,
    Waiting,
    Wish,
    Wishes,
    Withdraw,
)
from credfresh.errors import ControlCode, ControlError, Mend, RenewalError
from credfresh.life.desk import Desk
from credfresh.life.entry import Entry
from credfresh.life.roster import status
from credfresh.model import Instant, rfc3339
from credfresh.publication import Refusal
from credfresh.publisher import Published
from credfresh.settings import Settings

LOOK = 0.1
"""Seconds between two looks while somebody waits, besides those after each publish."""

REST = 9.0
"""After a look the next one waits this many times as long as it took, and so does the next hint
for an unknown name after a hint: so each takes at most a tenth of the main thread's time."""

FEW = 20
"""Up to so many renewals are each published at once; those of a crowd are published together."""

Answer = Callable[[int, dict[str, Any]], None]
"""Answers the client of a ticket."""


@dataclass(slots=True)
class _Batch:
    """One client's wishes for several profiles, answered together."""

    verb: str
    profiles: Sequence[str]
    told: dict[str, dict[str, Any]] = field(default_factory=dict)


class WaitingRoom:
    """Keeps questions until they can be answered, and asks for the renewals that this takes."""

    def __init__(self, desk: Desk, answer: Answer) -> None:
        self._desk = desk
        self._answer = answer
        self._wishes = Wishes()
        self._batches: dict[int, _Batch] = {}
        self._next = 0.0
        self._rest_until = 0.0
        self._next_hint = 0.0
        self._writes: dict[str, int] = {}
        self._gone: set[str] = set()

    def ensure(self, ticket: int, asked: protocol.Ensure) -> None:
        """Answer when the wish has come true, or cannot come true."""
        self._add(ticket, asked.profile, Ensure(asked.valid_for), asked.timeout)

    def renew(self, ticket: int, names: Sequence[str]) -> None:
        """Renew these, or all that are not withdrawn; answer when each profile has an outcome."""
        roster = self._desk.supervisor.roster
        names = names or [e.profile.name for e in roster if not e.withdrawn]
        self._gather(ticket, "renewed", names, Renew())

    def withdraw(self, ticket: int, names: Sequence[str]) -> tuple[str, ...]:
        """Withdraw these, or all; answer when nothing of them is published. Return their names."""
        roster = self._desk.supervisor.roster
        names = names or [entry.profile.name for entry in roster]
        for name in names:
            self._entry(name)
        self._gone.difference_update(names)
        self._desk.supervisor.withdraw(names)
        self._gather(ticket, "withdrawn", names, Withdraw())
        return tuple(names)

    def forget(self, ticket: int) -> None:
        """Forget the wishes of a client that has gone away."""
        self._wishes.forget(ticket)
        self._batches.pop(ticket, None)

    def look(self, now: Instant) -> float | None:
        """Answer what can be answered; return the seconds to the next look, None if none waits."""
        if self._wishes and now.boot >= self._next:
            self._settle(now)
        return max(0.0, self._next - now.boot) if self._wishes else None

    def _settle(self, now: Instant) -> None:
        def facts_of(name: str) -> Facts | None:
            entry = self._desk.supervisor.roster.get(name)
            return None if entry is None else self._facts(entry, now)

        few = sum(len(batch.profiles) for batch in self._batches.values()) <= FEW

        def renew(name: str) -> None:
            self._desk.supervisor.renew(name, awaited=few)

        publish = self._desk.supervisor.publish_now
        for one, outcome in self._wishes.look(now.boot, facts_of, renew, publish):
            batch = self._batches.get(one.ticket)
            if batch is None:
                asked = one.wish.valid_for if isinstance(one.wish, Ensure) else 0.0
                self._answer(one.ticket, self._ensured(one.profile, asked, outcome, now))
                continue
            batch.told[one.profile] = self._told(batch.verb, one, outcome)
            if len(batch.told) == len(batch.profiles):
                self._finish(one.ticket)
        ended = self._desk.clock().boot
        self._rest_until = ended + REST * (ended - now.boot)
        self._next = max(ended + LOOK, self._rest_until)

    def _add(self, ticket: int, name: str, wish: Wish, timeout: float) -> None:
        now = self._desk.clock()
        facts = self._facts(self._entry(name), now)
        self._wishes.add(ticket, name, wish, facts, now=now.boot, deadline=now.boot + timeout)
        self._next = min(self._next, self._rest_until)

    def _gather(self, ticket: int, verb: str, names: Sequence[str], wish: Wish) -> None:
        for name in names:
            self._entry(name)
        self._batches[ticket] = _Batch(verb, names)
        for name in names:
            self._add(ticket, name, wish, protocol.MOST_TIMEOUT)
        if not names:
            self._finish(ticket)

    def _finish(self, ticket: int) -> None:
        batch = self._batches.pop(ticket)
        self._answer(ticket, {"profiles": [batch.told[name] for name in batch.profiles]})

    def _entry(self, name: str) -> Entry:
        entry = self._desk.supervisor.roster.get(name)
        if entry is None:
            raise ControlError(
                ControlCode.UNKNOWN_PROFILE,
                f"there is no profile {name!r}",
                hint=self._meant(name) or "`credfresh status` lists them",
            )
        return entry

    def _meant(self, name: str) -> str | None:
        """Return a hint which profile was meant; None if the last hint was too short a time ago."""
        began = self._desk.clock().boot
        if began < self._next_hint:
            return None
        hint = did_you_mean(name, [e.profile.name for e in self._desk.supervisor.roster])
        ended = self._desk.clock().boot
        self._next_hint = ended + REST * (ended - began)
        return hint

    def _facts(self, entry: Entry, now: Instant) -> Facts:
        grant, path = entry.grant, entry.profile.target.path
        unwritten = entry.unwritten or entry.twin_unwritten
        absent = entry.lost or entry.lacks_twin
        return Facts(
            life_left=entry.life_left(now) if entry.answers() and not absent else 0.0,
            in_hand=now.until(grant.expires_at) if grant and entry.fits() else 0.0,
            longest=grant.lifetime if grant and entry.fits() else float(entry.profile.duration),
            attempts=entry.attempts,
            started=entry.started.boot if entry.started is not None else 0.0,
            landed=entry.fits() and entry.published is grant and not absent,
            writes=self._writes.get(path, 0),
            withdrawn=entry.withdrawn,
            gone=entry.profile.name in self._gone,
            failure=None if entry.error is None else _failure(entry.error),
            refusal=None if entry.refusal is None else _refusal(path, entry.refusal),
            unwritten=None if unwritten is None else Trouble(unwritten.message, unwritten.hint),
        )

    def published(self, message: Published) -> None:
        """Take note of a publish."""
        for path in message.outcomes:
            self._writes[path] = self._writes.get(path, 0) + 1
        for name, publication in message.landed.items():
            (self._gone.add if publication.withdraw else self._gone.discard)(name)
        now = self._desk.clock()
        if self._wishes and now.boot >= self._rest_until:
            self._settle(now)

    def reloaded(self, settings: Settings) -> None:
        """Take note of another configuration."""
        # At once: a profile that a later reload brings back counts as another one.
        self._settle(self._desk.clock())
        self._wishes.keep(settings.profiles)
        self._gone.intersection_update(settings.profiles)
        kept = {target.path for target in settings.targets}
        self._writes = {path: n for path, n in self._writes.items() if path in kept}

    def _ensured(self, name: str, asked: float, outcome: Outcome, now: Instant) -> dict[str, Any]:
        """Return the answer to `ensure`."""
        entry = self._desk.supervisor.roster.get(name)
        known = None if entry is None else status(entry, now)
        answer: dict[str, Any] = {
            "profile": name,
            "reached": isinstance(outcome, Granted),
            "asked_s": int(asked),
            "seconds_left": int(known.seconds_left) if known else 0,
            "expiration": known.as_json()["expiration"] if known else None,
            "access_key_id": known.access_key_id if known else None,
        }
        if isinstance(outcome, Denied):
            answer |= {
                "code": outcome.code,
                "error": outcome.message,
                "hint": outcome.hint,
                "most_s": None if outcome.most is None else int(outcome.most),
                "last_error": known.last_error if known else None,
            }
        return answer

    def _told(self, verb: str, one: Waiting, outcome: Outcome) -> dict[str, Any]:
        """Return the part of an answer that is about one of several profiles."""
        entry = self._desk.supervisor.roster.get(one.profile)
        published = entry.published if entry is not None else None
        credentials = None if published is None else published.credentials
        denied = outcome if isinstance(outcome, Denied) else None
        return {
            "profile": one.profile,
            verb: denied is None,
            "earlier": one.earlier,
            "expiration": None if credentials is None else rfc3339(credentials.expiration),
            "access_key_id": None if credentials is None else credentials.access_key_id,
            "code": denied.code if denied else None,
            "error": denied.message if denied else None,
            "hint": denied.hint if denied else None,
        }


def _failure(error: RenewalError) -> Trouble:
    return Trouble(f"{error.code}: {error.message}", error.hint, for_human=error.mend is Mend.HUMAN)


def _refusal(path: str, refusal: Refusal) -> Trouble:
    return Trouble(f"{path}: {refusal.reason}", refusal.hint, for_human=True)
