"""What clients wait for, and which renewals are asked for it. Pure: time and facts are passed in.

Three kinds of wish, each about one profile: that its published credentials last for a while
(`Ensure`), that it is renewed (`Renew`), that it is taken away (`Withdraw`). However many wish the
same, one renewal is asked for; and on-demand renewals of one profile are kept apart, so that jobs
which start in a crowd, or again and again, cost STS next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Literal

MARGIN = 5.0
"""Seconds of a grant that nobody can be promised: asking and publishing take their time."""

MOST_APART = 30.0
"""On-demand renewals of one profile are so many seconds apart, at least ..."""

SHARE_APART = 1 / 20
"""... or this share of the session's life, where that is less."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a profile is not as it should be. `for_human`: time alone does not mend it."""

    message: str
    hint: str | None = None
    for_human: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one profile at one moment. Durations are seconds."""

    life_left: float
    """Of the credentials that are published."""
    in_hand: float
    """The life left of those in memory."""
    longest: float
    """The life that a renewal brings: that of the last grant, before the first what is asked."""
    attempts: int
    """Attempts that have ended."""
    started: float
    """Boot-clock second at which the last attempt began; 0 before the first."""
    landed: bool
    """What is in memory answers today's request, and is what is published."""
    writes: int = 0
    """How often its file was to be written."""
    withdrawn: bool = False
    """It was taken away by hand, and rests."""
    gone: bool = False
    """That has reached its file: nothing of it stands there."""
    failure: Trouble | None = None
    """Why the last attempt failed."""
    refusal: Trouble | None = None
    """Why it cannot be published though others can."""
    unwritten: Trouble | None = None
    """Why its file could not be written, the last of these times."""

    @property
    def trouble(self) -> Trouble | None:
        """What to tell whoever waited in vain."""
        return self.refusal or self.failure or self.unwritten


Code = Literal["impossible", "failed", "refused", "timeout", "withdrawn", "removed"]


@dataclass(frozen=True, slots=True)
class Granted:
    """The wish has come true."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The wish has not come true. `most`: the seconds that can be had, where it was for more."""

    code: Code
    message: str
    hint: str | None = None
    most: float | None = None


Outcome = Granted | Denied


@dataclass(frozen=True, slots=True)
class Ensure:
    """Let the published credentials have `valid_for` seconds of life left."""

    valid_for: float


@dataclass(frozen=True, slots=True)
class Renew:
    """Let it be renewed."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Let it be gone."""


Wish = Ensure | Renew | Withdraw


@dataclass(slots=True, eq=False)
class Waiting:
    """A wish of the client `ticket` that has not come true so far."""

    ticket: int
    profile: str
    wish: Wish
    deadline: float
    """Boot-clock second."""
    after: int
    """How many attempts had ended when it was made: the outcome of a later one counts."""
    writes: int
    """How often its file had been written then: so does that of a later write."""
    hurried: bool = False
    """Whether what is in memory, and is enough, was to be published at once."""


@dataclass(slots=True)
class Wishes:
    """All wishes. Times are seconds of a clock that cannot be stepped."""

    _waiting: list[Waiting] = field(default_factory=list)
    _asked: dict[str, tuple[float, int]] = field(default_factory=dict)
    """When the last renewal was asked for each profile, and how many attempts had ended then."""

    def __bool__(self) -> bool:
        """Say whether anybody waits."""
        return bool(self._waiting)

    def add(
        self, ticket: int, profile: str, wish: Wish, facts: Facts, *, now: float, deadline: float
    ) -> None:
        """Take a wish in; what comes of it says the next `look`."""
        after = facts.attempts
        rests = self._rests(profile, facts, now) and not self._pending(profile, facts)
        if isinstance(wish, Renew) and rests:
            after -= 1  # the last outcome is this one's too
        if isinstance(wish, Withdraw):
            self._asked.pop(profile, None)  # who brings it back does not have to wait
        self._waiting.append(Waiting(ticket, profile, wish, deadline, after, facts.writes))

    def forget(self, ticket: int) -> None:
        """A client has gone away."""
        self._waiting = [w for w in self._waiting if w.ticket != ticket]

    def keep(self, profiles: Container[str]) -> None:
        """Forget what was asked for any other profile: it has left the configuration."""
        self._asked = {name: asked for name, asked in self._asked.items() if name in profiles}

    def look(
        self,
        now: float,
        facts_of: Callable[[str], Facts | None],
        renew: Callable[[str], None],
        publish: Callable[[str], None],
    ) -> list[tuple[Waiting, Outcome]]:
        """Return what has been decided; `renew` what has to be, `publish` what is only in memory.

        `facts_of` returns None for a profile that is gone from the configuration.
        """
        known: dict[str, Facts | None] = {}
        decided: list[tuple[Waiting, Outcome]] = []
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if one.profile not in known:
                known[one.profile] = facts_of(one.profile)
            facts = known[one.profile]
            outcome = _REMOVED if facts is None else self._judge(one, facts, now)
            if outcome is not None:
                decided.append((one, outcome))
                continue
            self._waiting.append(one)
            if facts is None:
                continue
            if self._wants(one, facts, now):
                self._asked[one.profile] = now, facts.attempts
                renew(one.profile)
            elif _in_hand(one, facts) and not one.hurried:
                one.hurried = True
                publish(one.profile)
        return decided

    def _judge(self, one: Waiting, facts: Facts, now: float) -> Outcome | None:
        """Decide, or return None: it may still come true."""
        match one.wish:
            case Ensure(valid_for):
                outcome = self._judge_life(one, valid_for, facts, now)
            case Renew():
                outcome = self._judge_renewal(one, facts)
            case Withdraw():
                outcome = _judge_end(one, facts)
        if outcome is None and now >= one.deadline:
            trouble = facts.trouble
            message = "not in time" if trouble is None else f"not in time; {trouble.message}"
            return Denied("timeout", message, trouble.hint if trouble else None)
        return outcome

    def _judge_life(
        self, one: Waiting, valid_for: float, facts: Facts, now: float
    ) -> Outcome | None:
        if facts.refusal is not None:
            return _denied("refused", facts.refusal)
        if _enough(facts.life_left, valid_for):
            return Granted()
        if facts.withdrawn:
            return _WITHDRAWN
        most = facts.longest - MARGIN
        if valid_for > most:
            hint = f"ask for {int(most)}s at most, or let the role and `duration` allow more"
            return Denied("impossible", "no renewal brings that much life", hint, most)
        failure = facts.failure
        if failure is not None and failure.for_human and not self._pending(one.profile, facts):
            tried = facts.attempts > one.after or self._rests(one.profile, facts, now)
            return _denied("failed", failure) if tried else None
        return None

    def _judge_renewal(self, one: Waiting, facts: Facts) -> Outcome | None:
        if facts.attempts <= one.after:
            return _denied("refused", facts.refusal) if facts.refusal is not None else None
        if facts.withdrawn:
            return _WITHDRAWN
        if facts.failure is not None:
            return _denied("failed", facts.failure)
        if facts.refusal is not None:
            return _denied("refused", facts.refusal)
        return Granted() if facts.landed else _unwritten(one, facts)

    def _wants(self, one: Waiting, facts: Facts, now: float) -> bool:
        """Say whether a renewal has to be asked for."""
        match one.wish:
            case Ensure():
                wanted = not _in_hand(one, facts)
            case Renew():
                wanted = facts.attempts <= one.after
            case Withdraw():
                wanted = False
        return wanted and not self._rests(one.profile, facts, now)

    def _rests(self, profile: str, facts: Facts, now: float) -> bool:
        """Say whether it is too early for another on-demand renewal."""
        asked = self._asked.get(profile)
        if asked is None:
            return False
        at, attempts = asked
        # It may have waited for its turn: what counts is when the attempt asked for began.
        since = max(at, facts.started) if facts.attempts <= attempts + 1 else at
        return now < since + floor(facts.longest)

    def _pending(self, profile: str, facts: Facts) -> bool:
        """Say whether a renewal was asked for that has not ended."""
        asked = self._asked.get(profile)
        return asked is not None and facts.attempts <= asked[1]


_REMOVED = Denied("removed", "the profile has left the configuration")
_WITHDRAWN = Denied(
    "withdrawn",
    "the profile was withdrawn by hand",
    "`credfresh renew` with its name brings it back",
)


def floor(longest: float) -> float:
    """Return the seconds that on-demand renewals of one profile are apart, at least."""
    return min(MOST_APART, longest * SHARE_APART)


def _enough(life: float, valid_for: float) -> bool:
    """Say whether that is what was asked for. What has no life at all is never enough."""
    return life > 0 and life >= valid_for


def _in_hand(one: Waiting, facts: Facts) -> bool:
    """Say whether an `ensure` would have come true if what is in memory were published."""
    return isinstance(one.wish, Ensure) and _enough(facts.in_hand, one.wish.valid_for)


def _judge_end(one: Waiting, facts: Facts) -> Outcome | None:
    if not facts.withdrawn:
        return Denied("failed", "the profile was brought back meanwhile")
    return Granted() if facts.gone else _unwritten(one, facts)


def _unwritten(one: Waiting, facts: Facts) -> Outcome | None:
    if facts.unwritten is None or facts.writes <= one.writes:
        return None
    return _denied("failed", facts.unwritten)


def _denied(code: Code, trouble: Trouble) -> Denied:
    return Denied(code, trouble.message, trouble.hint)
