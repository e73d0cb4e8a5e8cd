"""The state of one profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from credfresh import policy
from credfresh.errors import Mend, PublishError, RenewalError, Scope
from credfresh.life.admission import Lane
from credfresh.model import Grant, Instant
from credfresh.publication import Publication, Refusal
from credfresh.renewer import STARVED, withdrawn
from credfresh.settings import Profile
from credfresh.statuses import State

OVERDUE = 60.0
"""Seconds past its renewal time after which valid credentials count as late."""

NOTHING_STANDS = {
    "resolve": frozenset({"ENOENT", "ENOTDIR", "ELOOP", "not_a_file"}),
    "read": frozenset({"ENOENT", "not_a_file"}),
    "claim": frozenset({"claimed"}),
}
"""Codes, by the step that failed, after which no reader finds a file of ours in that place."""

Result = Literal["success", "transient", "throttled", "needs_human"]
"""What became of one attempt."""

_RESULTS: dict[Mend, Result] = {
    Mend.TIME: "transient",
    Mend.THROTTLE: "throttled",
    Mend.HUMAN: "needs_human",
}


class Phase(Enum):
    """Where a profile stands between two renewals: in one of the first three (I1).

    Only a profile that was withdrawn by hand is in the fourth.
    """

    ARMED = "armed"
    QUEUED = "queued"
    IN_FLIGHT = "in flight"
    WITHDRAWN = "withdrawn"


@dataclass(slots=True, eq=False)
class Entry:
    """One enabled profile: what is in hand, what is on disk, what comes next."""

    profile: Profile
    lane: Lane
    due: Instant
    phase: Phase = Phase.ARMED
    waits_for_parent: bool = False
    started: Instant | None = None
    """When the attempt in flight, or else the last one, began."""
    generation: int = 0
    """Counts the changes of what is asked for: answers to an earlier one are not published."""
    withdrawn: bool = False
    """Taken away by hand: `phase` is WITHDRAWN, or will be once the attempt in flight ends."""
    grant: Grant | None = None
    plan: policy.Plan | None = None
    published: Grant | None = None
    published_as: Profile | None = None
    """What the configuration said when it landed, or at the start; None: nothing has stood yet."""
    refusal: Refusal | None = None
    unwritten: PublishError | None = None
    """Why its file could not be written at the last try."""
    twin_unwritten: PublishError | None = None
    """The same for its twin."""
    flaw: str | None = None
    """Which line hides all of its file from botocore, and why."""
    error: RenewalError | None = None
    failures: int = 0
    """How many attempts in a row have failed."""
    failing_since: Instant | None = None
    """When the first of them ended."""
    results: dict[Result, int] = field(default_factory=dict)
    """What became of the attempts since the start: how many ended in each way."""
    not_before: float = 0.0
    """Boot-clock second before which no attempt may start (I6)."""
    told_expired: bool = False
    awaited: bool = False
    """Somebody asked for its renewal and waits: it is published at once."""

    def life_left(self, now: Instant) -> float:
        """Return the seconds that the credentials on disk still have."""
        if self.published is None or self.lost:
            return 0.0
        return now.until(self.published.expires_at)

    @property
    def trouble(self) -> Refusal | RenewalError | PublishError | None:
        """What keeps it from being published or renewed; of several, what to mend first."""
        return self.refusal or self.error or self.unwritten or self.twin_unwritten

    @property
    def lost(self) -> bool:
        """Whether readers of its file find nothing of ours: no file, or somebody else's section."""
        if self.refusal is not None:
            return True  # a section of somebody else's stands there
        was = self.published_as
        if was is not None and was is not self.profile and was.place != self.profile.place:
            return True  # a reload names another file or section, and nothing has reached it
        error = self.unwritten
        return error is not None and error.code in NOTHING_STANDS.get(error.step, ())

    @property
    def lacks_twin(self) -> bool:
        """Whether a reload names a place for its twin, and nothing has reached it."""
        twin, was = self.profile.twin, self.published_as
        if twin is None or was is None:
            return False
        return was.twin is None or was.twin.path != twin.path

    def answers(self) -> bool:
        """Say whether what is published is what the configuration asks for today."""
        return self.published is not None and self.published.request == self.profile.request

    def usable(self, now: Instant) -> bool:
        """Say whether the credentials in hand are still valid."""
        return self.grant is not None and not now.reached(self.grant.expires_at)

    def fits(self) -> bool:
        """Say whether the credentials in hand answer today's request."""
        return self.grant is not None and self.grant.request == self.profile.request

    def needs_visit(self, by: Instant) -> bool:
        """Say whether it is due by then, or what it holds or has published expires."""
        held = (self.published, self.grant)
        return by.reached(self.due) or any(g and by.reached(g.expires_at) for g in held)

    def take(self, grant: Grant) -> policy.Plan:
        """Hold `grant` from now on, and plan its renewal."""
        self.grant = grant
        self.plan = policy.plan(grant, self.profile.renew_before, self.profile.rhythm)
        return self.plan

    def change(self, profile: Profile, lane: Lane, now: Instant) -> None:
        """Go over to another configuration of this profile.

        It is due now if its request changed, or if somebody has asked for a renewal that waits for
        its turn. If request or lane changed, the answer of an attempt in flight does not count.
        """
        asked = self.plan is not None and self.due.boot < self.plan.renew_at.boot
        if (profile.request, lane) != (self.profile.request, self.lane):
            self.generation += 1
        if profile.place != self.profile.place:
            self.refusal = None  # it was about the old place
        self.profile, self.lane = profile, lane
        self.waits_for_parent = False
        plan = self.take(self.grant) if self.grant is not None else None
        self.due = plan.renew_at if plan and self.fits() and not asked else now

    def forget(self) -> None:
        """Forget the credentials; the answer of an attempt in flight does not count."""
        self.generation += 1
        self.grant = self.plan = self.published = self.refusal = self.error = None
        self.failures, self.failing_since, self.waits_for_parent = 0, None, False

    def come_back(self, profile: Profile, lane: Lane, now: Instant) -> None:
        """Come back after a removal: like a new one, but for its floor and attempt in flight."""
        self.forget()
        # Nobody has told it of its file meanwhile, which may have been mended.
        self.unwritten = self.twin_unwritten = self.flaw = None
        self.change(profile, lane, now)

    def lingers(self, now: Instant) -> bool:
        """Say whether an attempt is in flight, or the floor after the last one is not over."""
        return self.phase is Phase.IN_FLIGHT or now.boot < self.not_before

    def withdraw(self) -> None:
        """Forget the credentials, and rest until `bring_back`."""
        published = self.published
        self.forget()
        self.withdrawn, self.published = True, published  # until the publisher says otherwise
        self.error = withdrawn()
        if self.phase is not Phase.IN_FLIGHT:
            self.phase = Phase.WITHDRAWN

    def bring_back(self) -> None:
        """Undo `withdraw`."""
        if self.withdrawn:
            self.withdrawn, self.error = False, None

    def attempt_ended(self, now: Instant, result: Grant | RenewalError) -> None:
        """Count it, and keep the floor between this attempt and the next."""
        became = "success" if isinstance(result, Grant) else _RESULTS[result.mend]
        self.results[became] = self.results.get(became, 0) + 1
        self.failing_since = None if isinstance(result, Grant) else self.failing_since or now
        self.not_before = now.boot + policy.FLOOR

    @property
    def attempts(self) -> int:
        """How many attempts have ended since the start."""
        return sum(self.results.values())

    def failed_with(self) -> tuple[Scope, str] | None:
        """Return the endpoint or source that made the last attempt fail, if one did."""
        match self.error.scope if self.error is not None else None:
            case Scope.ENDPOINT:
                return Scope.ENDPOINT, self.lane.endpoint
            case Scope.SOURCE:
                return Scope.SOURCE, self.lane.source
            case _:
                return None

    def starved(self) -> bool:
        """Say whether the last attempt failed for want of the parent's credentials."""
        return self.error is not None and self.error.code == STARVED

    def for_human(self, now: Instant) -> bool:
        """Say whether a human must mend something before this profile can be fresh."""
        failed = self.error is not None and self.error.mend is Mend.HUMAN
        return self.refusal is not None or failed or self._kept_out(now)

    def _kept_out(self, now: Instant) -> bool:
        """Say whether what is in hand would be fresh, if file or twin were not closed to it.

        With nothing in hand it is not kept out yet: the other of the two may be open.
        """
        closed = any(e and e.mend is Mend.HUMAN for e in (self.unwritten, self.twin_unwritten))
        return (
            closed
            and self.fits()
            and judge(now, None, self.grant, self.grant, self.plan) == "fresh"
        )

    def publication(self, now: Instant) -> Publication:
        """Return what should stand published for this profile."""
        if self.withdrawn:
            return Publication(self.profile, withdraw=True)
        if self.profile.on_expired == "remove" and not self.usable(now):
            return Publication(self.profile, withdraw=self.grant is not None)
        return Publication(self.profile, self.grant)

    def state(self, now: Instant) -> State:
        """Judge the profile by what is on disk."""
        published = None if self.lost else self.published
        behind = not self.answers() or self.twin_unwritten is not None or self.lacks_twin
        return judge(now, self.refusal, published, self.grant, self.plan, behind=behind)


def judge(
    now: Instant,
    refusal: Refusal | None,
    published: Grant | None,
    grant: Grant | None,
    plan: policy.Plan | None,
    *,
    behind: bool = False,
) -> State:
    """Judge a profile by what is `published`; `grant` and `plan` are the newest in hand.

    `behind`: what is published was granted for another request, or is missing in the twin.
    """
    if refusal is not None:
        return "refused"
    if published is None:
        return "missing"
    if now.reached(published.expires_at):
        return "expired"
    overdue = plan is not None and now.reached(plan.renew_at, ago=OVERDUE)
    return "late" if overdue or behind or published is not grant else "fresh"
