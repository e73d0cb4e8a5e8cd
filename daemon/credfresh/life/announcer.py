"""Turns what happens to profiles into events: changes of state, never single attempts.

Profiles of one broken endpoint or source fail as one: their failure is told once, under the
endpoint's or the source's name, and so is their recovery.
"""

from __future__ import annotations

from collections.abc import Iterable

from credfresh import policy
from credfresh.errors import PublishError, RenewalError, Scope
from credfresh.events import Emit
from credfresh.life.admission import Lane
from credfresh.life.entry import Entry
from credfresh.model import Grant, Instant, rfc3339
from credfresh.publication import PublishReport, Refusal
from credfresh.settings import Profile, Settings

SKEW_LIMIT = 300.0
"""Seconds between our clock and STS's from which it is told; SigV4 fails at 900."""

JUMP = 5.0
"""A difference between the clocks' advances, in seconds, from which it is told as a jump."""

_FAILED = {Scope.ENDPOINT: "endpoint_failed", Scope.SOURCE: "source_failed"}
_RECOVERED = {Scope.ENDPOINT: "endpoint_recovered", Scope.SOURCE: "source_recovered"}
_REFUSED = {
    "foreign": "section_foreign",
    "taken": "section_taken",
    "unwritable": "section_unwritable",
}


class Announcer:
    """Remembers what has been told, so that nothing is told twice."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._down: dict[tuple[Scope, str], bool] = {}
        """Endpoints and sources that are failing; False where their next failure is told again."""
        self._recovered: set[tuple[Scope, str]] = set()
        self._failing: dict[str, str] = {}
        self._shortened: set[str] = set()
        self._clamped: set[str] = set()
        self._refused: dict[str, str] = {}
        self._unwritable: dict[str, str] = {}
        self._skewed = False
        self._last: Instant | None = None

    def clock_jumped(self, now: Instant) -> bool:
        """Tell a jump of the wall clock since the last call; say whether there was one."""
        last, self._last = self._last or now, now
        jump = (now.wall - last.wall) - (now.boot - last.boot)
        jumped = abs(jump) > JUMP
        if jumped:
            self._emit("clock_jumped", seconds=round(jump, 3))
        return jumped

    def expired(self, entry: Entry, grant: Grant) -> None:
        """What is published for a profile has expired."""
        self._emit(
            "profile_expired",
            profile=entry.profile.name,
            expiration=rfc3339(grant.credentials.expiration),
            on_expired=entry.profile.on_expired,
        )

    def renewed(self, entry: Entry, grant: Grant, plan: policy.Plan) -> None:
        """An attempt has succeeded; `entry.failures` still counts those before it."""
        profile = entry.profile
        if not grant.from_another_hub:
            self._up(Scope.ENDPOINT, entry.lane.endpoint)
            self._up(Scope.SOURCE, entry.lane.source)
        if self._failing.pop(profile.name, None) is not None:
            self._emit("renewal_recovered", profile=profile.name, failures=entry.failures)
        self._emit(
            "credentials_renewed",
            profile=profile.name,
            role_arn=profile.role_arn,
            access_key_id=grant.credentials.access_key_id,
            expiration=rfc3339(grant.credentials.expiration),
            renew_at=rfc3339(plan.renew_at.wall),
            lifetime_s=round(grant.lifetime),
            guarantee_s=round(plan.renew_before),
        )
        self._odd_grant(profile, grant, plan)

    def failed(self, entry: Entry, error: RenewalError, retry_in: float) -> None:
        """An attempt has failed for the `entry.failures`th time."""
        name = entry.profile.name
        match error.scope:
            case Scope.ENDPOINT:
                self._went_down(error, entry.lane.endpoint, name)
            case Scope.SOURCE:
                self._went_down(error, entry.lane.source, name)
            case Scope.PROFILE | Scope.NONE:
                if error.scope is Scope.PROFILE:  # STS has answered, and knew who asked
                    self._up(Scope.ENDPOINT, entry.lane.endpoint)
                    self._up(Scope.SOURCE, entry.lane.source)
                if self._failing.get(name) != error.code:
                    self._failing[name] = error.code
                    stands = entry.published
                    self._emit(
                        "renewal_failed",
                        profile=name,
                        role_arn=entry.profile.role_arn,
                        code=error.code,
                        mend=error.mend.value,
                        error=error.message,
                        hint=error.hint,
                        retry_in_s=round(retry_in, 1),
                        expiration=rfc3339(stands.credentials.expiration) if stands else None,
                    )

    def recovered(self) -> set[tuple[Scope, str]]:
        """Return the endpoints and sources that have recovered since this was last asked."""
        recovered, self._recovered = self._recovered, set()
        return recovered

    def refused(self, name: str, path: str, refusal: Refusal | None) -> None:
        """The file at `path` refuses this profile, or does no longer (None)."""
        code = refusal.code if refusal else None
        if self._refused.get(name) == code:
            return
        if refusal is None:
            del self._refused[name]
            return
        self._refused[name] = refusal.code
        event = _REFUSED[refusal.code]
        self._emit(event, profile=name, path=path, reason=refusal.reason, hint=refusal.hint)

    def published(self, path: str, report: PublishReport, took: float) -> None:
        """A publish to `path` has gone well."""
        if self._unwritable.pop(path, None) is not None:
            self._emit("publish_recovered", path=path)
        for remark in report.remarks:
            self._emit(remark.event, **dict(remark.fields))
        for section in report.removed:
            self._emit("section_removed", path=path, section=section)
        if report.written:
            self._emit(
                "file_published", path=path, bytes=report.size, took_ms=round(took * 1000, 1)
            )

    def publish_failed(self, path: str, error: PublishError) -> None:
        """A publish to `path` has failed; the old file stands."""
        if self._unwritable.get(path) == error.code:
            return
        self._unwritable[path] = error.code
        self._emit(
            "publish_failed",
            path=path,
            step=error.step,
            code=error.code,
            error=error.message,
            hint=error.hint,
        )

    def reloaded(self, before: Settings, now: Settings, lanes: Iterable[Lane]) -> None:
        """Other settings hold; `lanes` has one for each profile.

        Lanes that nobody takes any more are forgotten: no success would end their failure, and that
        would hide the next one. A source or a file whose description changed is told again if it
        still fails.
        """
        taken = {
            key
            for lane in set(lanes)
            for key in ((Scope.ENDPOINT, lane.endpoint), (Scope.SOURCE, lane.source))
        }
        other = {n for n, source in now.sources.items() if source != before.sources.get(n)}
        self._down = {
            (scope, what): told and not (scope is Scope.SOURCE and what in other)
            for (scope, what), told in self._down.items()
            if (scope, what) in taken
        }
        for name in before.profiles.keys() - now.profiles.keys():
            self._failing.pop(name, None)
        for target in set(now.targets) - set(before.targets):
            if target.path in self._unwritable:
                self._unwritable[target.path] = ""

    def changed(self, name: str) -> None:
        """A profile has another configuration: if it still fails, that is told again."""
        for told in (self._failing, self._refused):
            if name in told:
                told[name] = ""
        self._shortened.discard(name)
        self._clamped.discard(name)

    def _odd_grant(self, profile: Profile, grant: Grant, plan: policy.Plan) -> None:
        name, granted, asked = profile.name, round(grant.lifetime), round(grant.asked)
        if _newly(self._shortened, name, truth=policy.much_shorter(grant)):
            self._emit("grant_shortened", profile=name, granted_s=granted, asked_s=asked)
        if _newly(self._clamped, name, truth=plan.clamped):
            self._emit(
                "renew_before_clamped",
                profile=name,
                granted_s=granted,
                renew_before_s=round(profile.renew_before.of(grant.lifetime)),
                clamped_s=round(plan.renew_before),
            )
        skewed = grant.skew is not None and abs(grant.skew) > SKEW_LIMIT
        if skewed and not self._skewed:
            self._emit("clock_skewed", skew_s=round(grant.skew or 0.0, 1))
        self._skewed = skewed

    def _went_down(self, error: RenewalError, what: str, profile: str) -> None:
        if self._down.get((error.scope, what)):
            return
        self._down[error.scope, what] = True
        self._emit(
            _FAILED[error.scope],
            **{error.scope.value: what},
            profile=profile,
            code=error.code,
            mend=error.mend.value,
            error=error.message,
            hint=error.hint,
        )

    def _up(self, scope: Scope, what: str) -> None:
        if self._down.pop((scope, what), None) is not None:
            self._emit(_RECOVERED[scope], **{scope.value: what})
            self._recovered.add((scope, what))


def _newly(told: set[str], name: str, *, truth: bool) -> bool:
    """Say whether `name` has just become true; keep `told` in step."""
    new = truth and name not in told
    (told.add if truth else told.discard)(name)
    return new
