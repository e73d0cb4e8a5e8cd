"""A whole daemon without threads: the real supervisor on fake clock, timers, workers and outlet."""

from __future__ import annotations

from collections import deque

from credfresh.life.ports import Due, Message
from credfresh.life.rate_limited import RateLimited
from credfresh.life.supervisor import Supervisor
from credfresh.publication import Publication, PublishReport
from credfresh.publisher import Published
from credfresh.settings import Profile, Settings, StsLimits
from fakes import (
    EventLog,
    FakeClock,
    FakeProvider,
    FakeTimers,
    FakeWorkers,
    InstantOutlet,
    profile,
    settings,
)


class Simulation:
    """A daemon whose time is stepped; after each step every message has been handled."""

    def __init__(self, settings: Settings, *, roll: float = 0.5, hold: bool = False) -> None:
        self.settings = settings
        self.clock = FakeClock()
        self.timers = FakeTimers()
        self.workers = FakeWorkers(settings.sts.max_concurrency, hold=hold)
        self.provider = FakeProvider(self.clock)
        self.outlet = InstantOutlet()
        self.log = EventLog()
        self.inbox: deque[Message] = deque()
        self.roll = roll
        self.disk_full = False
        self.supervisor = Supervisor(
            settings,
            clock=self.clock,
            roll=lambda: self.roll,
            timers=self.timers,
            workers=self.workers,
            provider=self.provider,
            outlet=self.outlet,
            post=self.inbox.append,
            emit=self._tell,
        )
        self._limited: RateLimited | None = None
        self._next_beat = self.clock().boot

    def limit_log(self, log: EventLog) -> None:
        """Log to `log` from now on with a limit per kind and minute, as the daemon does."""
        self.log = log
        self._limited = RateLimited(log, self.clock)

    def _tell(self, event: str, /, **fields: object) -> None:
        (self._limited or self.log)(event, **fields)

    def start(self, standing: dict[str, object] | None = None) -> None:
        """Start the supervisor; nothing stands on disk unless given."""
        self.outlet.update(self.supervisor.start(standing or {}))  # type: ignore[arg-type] # tests pass grants
        self.settle()

    def run(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass in steps."""
        end = self.clock().boot + seconds
        while self.clock().boot < end:
            self.clock.advance(min(step, end - self.clock().boot))
            self.settle()

    def settle(self) -> None:
        """Ring the alarms that are due, handle every message, and beat when it is time."""
        self.inbox.extend(Due(key) for key in self.timers.ringing(self.clock().wall))
        self._drain()
        self.supervisor.pump()
        self._drain()
        if self.clock().boot >= self._next_beat:
            self.beat()

    def beat(self) -> None:
        """Beat now."""
        if self._limited is not None:
            self._limited.look(self.clock())
        self._next_beat = self.clock().boot + self.supervisor.beat()
        self.supervisor.pump()
        self._drain()

    def _drain(self) -> None:
        while self.inbox or (self.outlet.unreported and not self.disk_full):
            if self.inbox:
                self.supervisor.handle(self.inbox.popleft())
            else:
                self._publish()
            self.supervisor.pump()

    def _publish(self) -> None:
        landed: dict[str, Publication] = dict(self.outlet.unreported)
        self.outlet.unreported.clear()
        paths = {p.profile.target.path for p in landed.values()}
        outcomes = {path: PublishReport(written=True) for path in paths}
        self.supervisor.handle(Published(outcomes, landed, 0.001))

    def life_left(self, name: str) -> float:
        """Return the seconds of life that a reader of the published credentials still finds."""
        entry = self.supervisor.roster[name]
        return entry.life_left(self.clock())


def simulate(*profiles: Profile, hold: bool = False, sts: StsLimits | None = None) -> Simulation:
    """Return a simulation of these profiles, or of one profile without any."""
    return Simulation(settings(*(profiles or (profile(),)), sts=sts), hold=hold)
