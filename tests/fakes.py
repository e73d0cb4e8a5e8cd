"""Hand-written doubles that several tests share."""

from __future__ import annotations

import contextlib
import itertools
import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from credfresh.cli.clock import clock
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.events import undeclared
from credfresh.life.guard import Guard
from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.principals import DefaultChain
from credfresh.publication import Outcomes, Publication, PublishReport, Wanted
from credfresh.settings import FileTarget, Profile, RenewBefore, Settings, StsLimits

EPOCH = 1_800_000_000.0
"""Where a fake wall clock starts."""


class FakeClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = Instant(EPOCH, 1000.0)

    def __call__(self) -> Instant:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.now += seconds

    def step(self, seconds: float) -> None:
        """Step the wall clock alone."""
        self.now = Instant(self.now.wall + seconds, self.now.boot)


class AheadClock:
    """The real clocks, put forward together by as many seconds as a test says."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead

    def __call__(self) -> Instant:
        return clock() + self.ahead


@dataclass(slots=True)
class EventLog:
    """Collects the events that are told; an undeclared event or field fails the test."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def __call__(self, event: str, /, **fields: object) -> None:
        assert not undeclared(event, frozenset(fields)), f"not in events.py: {event} {fields}"
        self.events.append((event, fields))

    def names(self) -> list[str]:
        """Return the names, in order."""
        return [name for name, _ in self.events]

    def of(self, name: str) -> list[dict[str, object]]:
        """Return the fields of every event of that name."""
        return [fields for event, fields in self.events if event == name]


class FakeTimers:
    """Alarms that ring when they are told the time; any of them can be lost."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.wakeups = 0

    def arm(self, key: str, at: float) -> None:
        self.at[key] = at

    def armed(self, key: str) -> bool:
        return key in self.at

    def lose(self, *keys: str) -> None:
        """Forget these keys, if they are armed."""
        for key in keys:
            self.at.pop(key, None)

    def wakeup(self, wall: float) -> None:
        self.wakeups += 1

    def ringing(self, wall: float) -> list[str]:
        """Take the keys whose time has come."""
        due = [key for key, at in self.at.items() if at <= wall]
        for key in due:
            del self.at[key]
        return due


class Unguarded(Guard):
    """A guard that lets an error through, which then fails the test."""

    def __init__(self) -> None:
        super().__init__(EventLog())

    def __call__(self, act: Callable[[], object]) -> bool:
        act()
        return True


class Hangs(BaseException):
    """Raised by a job in place of hanging for ever."""


class FakeWorkers:
    """Workers that run a job at once, or keep it back to be finished or to hang.

    The threads of jobs that were given up end at once, unless `keep_hung`.
    """

    def __init__(self, count: int = 16, *, hold: bool = False) -> None:
        self.count = count
        self.hold = hold
        self.held: dict[int, Callable[[], None]] = {}
        self.hung: list[int] = []
        self.keep_hung = False
        self.started = 0
        self._ended: list[int] = []

    @property
    def free(self) -> int:
        return max(0, min(self.count, 2 * self.count - len(self.hung)) - len(self.held))

    @property
    def exhausted(self) -> bool:
        return not self.held and self.free == 0

    def start(self, ticket: int, job: Callable[[], None]) -> None:
        self.started += 1
        self.held[ticket] = job
        if not self.hold:
            with contextlib.suppress(Hangs):
                job()

    def release(self) -> None:
        """Let every held job run now."""
        for job in list(self.held.values()):
            job()

    def finish(self, ticket: int) -> None:
        self.held.pop(ticket, None)

    def write_off(self, ticket: int) -> bool:
        if self.held.pop(ticket, None) is None:
            return False
        self.hung.append(ticket)
        if not self.keep_hung:
            self.end_hung()
        return True

    def recovered(self) -> list[int]:
        ended, self._ended = self._ended, []
        return ended

    def end_hung(self) -> None:
        """Let all threads that hang end."""
        self._ended += self.hung
        self.hung.clear()


class FakeProvider:
    """An STS that grants what is asked, unless `fault` says otherwise for a profile."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.lifetime: float | None = None
        self.skew: float | None = None
        self.from_another_hub = False
        self.fault: Callable[[str], RenewalError | None] = lambda _: None
        self.hang: Callable[[str], Scope | None] = lambda _: None
        self.calls: list[tuple[str, float]] = []
        self.parents: list[str | None] = []
        self._serial = itertools.count()

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        now = self.clock()
        hang = self.hang(profile.name)
        if hang is Scope.SOURCE:
            raise Hangs
        waits(Scope.ENDPOINT)
        self.calls.append((profile.name, now.boot))
        self.parents.append(parent.access_key_id if parent else None)
        if hang is not None:
            raise Hangs
        error = self.fault(profile.name)
        if error is not None:
            raise error
        lifetime = float(profile.duration if self.lifetime is None else self.lifetime)
        key = f"ASIAFAKE{next(self._serial):012d}"
        made = grant(profile, now, lifetime=lifetime, key=key)
        return replace(made, skew=self.skew, from_another_hub=self.from_another_hub)


class InstantOutlet:
    """An outlet that publishes at once, and keeps what is still to be reported."""

    def __init__(self) -> None:
        self.published: dict[str, Publication | None] = {}
        self.unreported: dict[str, Publication] = {}
        self.urgent: list[bool] = []

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        self.published.update(changes)
        self.unreported.update({n: p for n, p in changes.items() if p is not None})
        self.urgent.append(urgent)


class MemoryDestination:
    """A destination that keeps what it is given, and fails when told to."""

    def __init__(self) -> None:
        self.writes: list[dict[str, Publication]] = []
        self.failing: Exception | Outcomes | None = None
        self.drifted = False
        self.looks: queue.SimpleQueue[None] = queue.SimpleQueue()

    def publish(self, wanted: Wanted) -> Outcomes:
        if isinstance(self.failing, Exception):
            raise self.failing
        if self.failing is not None:
            return self.failing
        self.writes.append(dict(wanted))
        return {p.profile.target.path: PublishReport(written=True) for p in wanted.values()}

    def tick(self) -> bool:
        self.looks.put(None)
        drifted, self.drifted = self.drifted, False
        return drifted


def profile(
    name: str = "production",
    *,
    duration: int = 3600,
    source: str = "default",
    source_profile: str | None = None,
    renew_before: RenewBefore | None = None,
    path: str = "/run/credfresh/credentials",
    endpoint_url: str | None = None,
    on_expired: str = "keep",
) -> Profile:
    """Return a profile with plausible values for all that a test does not care about."""
    return Profile(
        name=name,
        section=name,
        role_arn=f"arn:aws:iam::111111111111:role/{name}",
        role_session_name=f"credfresh-host-{name}",
        duration=duration,
        renew_before=renew_before or RenewBefore(),
        region="eu-west-1",
        target=FileTarget(path),
        source=source,
        source_profile=source_profile,
        endpoint_url=endpoint_url,
        on_expired="remove" if on_expired == "remove" else "keep",
    )


def settings(*profiles: Profile, sts: StsLimits | None = None) -> Settings:
    """Return settings with these profiles."""
    return Settings(
        path="/etc/credfresh/credfresh.yaml",
        instance="test",
        target=FileTarget("/run/credfresh/credentials"),
        profiles={p.name: p for p in profiles},
        sources={"default": DefaultChain()},
        sts=sts or StsLimits(),
    )


def grant(
    profile: Profile, at: Instant, *, lifetime: float = 3600.0, key: str = "ASIAFAKE000000000000"
) -> Grant:
    """Return a grant for `profile`, asked for at `at`."""
    return Grant(
        credentials=SessionCredentials(key, "fake-secret", "fake-token", at.wall + lifetime),
        sent_at=at,
        lifetime=lifetime,
        asked=float(profile.duration),
        request=profile.request,
    )


def failure(
    code: str = "InternalFailure",
    *,
    mend: Mend = Mend.TIME,
    scope: Scope = Scope.PROFILE,
    retry_after: float | None = None,
) -> RenewalError:
    """Return the error of a failed attempt."""
    return RenewalError(
        f"{code} was answered", code=code, mend=mend, scope=scope, retry_after=retry_after
    )
