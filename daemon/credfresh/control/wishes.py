"""Decides the outcomes of clients' wishes, and which renewals they need. Pure.

There are three kinds of wish, each about one profile: that its published credentials last for a
while (`Ensure`), that it is renewed (`Renew`), that it is taken away (`Withdraw`). If many clients
wish the same, one renewal is asked for. On-demand renewals of one profile are kept apart: jobs that
start in a crowd, or again and again, cause next to no calls of STS.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import field
from typing import Literal

from credfresh.control.protocol import suffices
from credfresh.values import dataclass

MARGIN = 5.0
"""Seconds of a grant that cannot be promised, because asking and publishing take time."""

MOST_APART = 30.0
"""On-demand renewals of one profile are at least so many seconds apart; see also `SHARE_APART`."""

SHARE_APART = 1 / 20
"""The same as a share of the session's life, where that is less."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a profile is not as it should be. `for_human`: it does not pass by itself."""

    message: str
    hint: str | None = None
    for_human: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one profile at one moment. Durations are seconds."""

    life_left: float
    """The life left of the credentials that are published."""
    in_hand: float
    """The life left of the credentials in memory."""
    longest: float
    """The life that a renewal brings: the last grant's; before the first, what is asked for."""
    attempts: int
    """Attempts that have ended."""
    started: float
    """Boot-clock second at which the last attempt began; 0 before the first."""
    landed: bool
    """The credentials in memory answer the profile's present request, and are published."""
    writes: int = 0
    """How often its file was written, or failed to be."""
    withdrawn: bool = False
    """It was withdrawn by hand, and is not renewed."""
    gone: bool = False
    """The withdrawal has reached its file: its credentials are not there any more."""
    failure: Trouble | None = None
    """Why the last attempt failed."""
    refusal: Trouble | None = None
    """Why it cannot be published although others in its file can."""
    unwritten: Trouble | None = None
    """Why its file was not written the last time, if that failed."""

    @property
    def trouble(self) -> Trouble | None:
        """What to tell a client that has waited in vain."""
        return self.refusal or self.failure or self.unwritten


Code = Literal["impossible", "failed", "refused", "timeout", "withdrawn", "removed"]


@dataclass(frozen=True, slots=True)
class Granted:
    """The wish has come true."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The wish has not come true. `most`: the seconds that can be had, if it asked for more."""

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
    """Let the profile be renewed."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Let nothing be published for the profile."""


Wish = Ensure | Renew | Withdraw


@dataclass(slots=True, eq=False)
class Waiting:
    """A wish of the client with this `ticket` that has no outcome so far."""

    ticket: int
    profile: str
    wish: Wish
    deadline: float
    """Boot-clock second at which the client gets an answer in any case."""
    after: int
    """How many attempts had ended when it was made: only later ones count."""
    writes: int
    """The value of `Facts.writes` when it was made: only later writes count."""
    earlier: bool = False
    """Whether the outcome of the last attempt is the answer to it, too."""
    hurried: bool = False
    """Whether it has been asked already that the credentials in memory be published at once."""


@dataclass(slots=True)
class Wishes:
    """All wishes. Times are seconds of a clock that cannot be stepped."""

    _waiting: list[Waiting] = field(default_factory=list)
    _asked: dict[str, tuple[float, int]] = field(default_factory=dict)
    """When the last renewal was asked for each profile, and how many attempts had ended then."""

    def __bool__(self) -> bool:
        """Say whether any client waits."""
        return bool(self._waiting)

    def add(
        self, ticket: int, profile: str, wish: Wish, facts: Facts, *, now: float, deadline: float
    ) -> None:
        """Add a wish; its outcome comes from a later `look`."""
        rests = self._rests(profile, facts, now) and not self._pending(profile, facts)
        earlier = isinstance(wish, Renew) and rests
        after = facts.attempts - int(earlier)
        if isinstance(wish, Withdraw):
            self._asked.pop(profile, None)  # a `renew` that brings it back need not wait
        waiting = Waiting(ticket, profile, wish, deadline, after, facts.writes, earlier=earlier)
        self._waiting.append(waiting)

    def forget(self, ticket: int) -> None:
        """Forget the wishes of a client that has gone away."""
        self._waiting = [w for w in self._waiting if w.ticket != ticket]

    def keep(self, profiles: Container[str]) -> None:
        """Forget when renewals of all other profiles were asked for: they are gone."""
        self._asked = {name: asked for name, asked in self._asked.items() if name in profiles}

    def look(
        self,
        now: float,
        facts_of: Callable[[str], Facts | None],
        renew: Callable[[str], None],
        publish: Callable[[str], None],
    ) -> list[tuple[Waiting, Outcome]]:
        """Return the outcomes that are known now; `renew` and `publish` are called for the rest.

        `facts_of` returns None for a profile that has left the configuration.
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
        """Return the outcome of a wish; None while it may still come true."""
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
        if suffices(facts.life_left, valid_for):
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
        # The renewal may have waited for its turn: what counts is when its attempt began.
        since = max(at, facts.started) if facts.attempts <= attempts + 1 else at
        return now < since + floor(facts.longest)

    def _pending(self, profile: str, facts: Facts) -> bool:
        """Say whether a renewal was asked for and has not ended."""
        asked = self._asked.get(profile)
        return asked is not None and facts.attempts <= asked[1]


_REMOVED = Denied("removed", "the profile has left the configuration")
_WITHDRAWN = Denied(
    "withdrawn",
    "the profile was withdrawn by hand",
    "`credfresh renew` with its name brings it back",
)


def floor(longest: float) -> float:
    """Return how many seconds on-demand renewals of one profile are apart at least."""
    return min(MOST_APART, longest * SHARE_APART)


def _in_hand(one: Waiting, facts: Facts) -> bool:
    """Say whether a wish is an `Ensure` for which the credentials in memory would suffice."""
    return isinstance(one.wish, Ensure) and suffices(facts.in_hand, one.wish.valid_for)


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
