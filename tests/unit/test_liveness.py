"""Nothing can unschedule a profile: whatever happens in whatever order, it is fresh again soon."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from credfresh import policy
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.life.entry import Phase
from credfresh.life.schedule import ROUND
from credfresh.life.supervisor import BEAT
from credfresh.settings import StsLimits
from fakes import failure, profile, settings
from simulation import Simulation

PROFILES = (
    profile("a"),
    profile("b", duration=900),
    profile("c", endpoint_url="http://127.0.0.1:1"),
    profile("d", endpoint_url="http://127.0.0.1:1", on_expired="remove"),
    profile("chained", source_profile="a"),
    profile("last", source_profile="chained"),
)
NAMES = [each.name for each in PROFILES]
FAILURES = (
    failure("ExpiredToken", scope=Scope.SOURCE),
    failure("AccessDenied", mend=Mend.HUMAN),
    failure("Throttling", retry_after=4.0),
    failure("ConnectTimeout", scope=Scope.ENDPOINT),
    failure("InternalFailure"),
)
names = st.sampled_from(NAMES)


class Life(RuleBasedStateMachine):
    """A daemon, and all that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, RenewalError] = {}
        self.hanging: dict[str, Scope] = {}
        self.doomed: set[str] = set()
        self.withdrawn: dict[str, float] = {}
        self.sim = Simulation(settings(*PROFILES, sts=StsLimits(max_concurrency=2)))
        self.sim.provider.fault = self.faults.get
        self.sim.provider.hang = self._hangs
        self.sim.start()

    @rule(name=names, error=st.sampled_from(FAILURES))
    def fail(self, name: str, error: RenewalError) -> None:
        """Every attempt of a profile fails from now on."""
        self.faults[name] = error

    @rule(name=names, scope=st.sampled_from([Scope.SOURCE, Scope.ENDPOINT]))
    def hang(self, name: str, scope: Scope) -> None:
        """Every attempt of a profile hangs from now on, its worker with it."""
        self.hanging[name] = scope

    @rule(name=names)
    def doom(self, name: str) -> None:
        """The worker of a profile's next attempt dies, and reports nothing."""
        self.doomed.add(name)

    @rule(name=names)
    def mend(self, name: str) -> None:
        """A profile's attempts succeed again."""
        self.faults.pop(name, None)
        self.hanging.pop(name, None)

    @rule(
        seconds=st.sampled_from([1.0, 7.0, 61.0, 600.0, 4000.0]), step=st.sampled_from([1.0, 9.0])
    )
    def wait(self, seconds: float, step: float) -> None:
        """Time passes."""
        self.sim.run(seconds, step=max(step, seconds / 100))

    @rule(seconds=st.sampled_from([-86400.0, -3600.0, -5.0, 5.0, 3600.0, 86400.0]))
    def step_the_wall_clock(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self.sim.clock.step(seconds)

    @rule(seconds=st.sampled_from([30.0, 2000.0, 90000.0]))
    def suspend(self, seconds: float) -> None:
        """Time passes, and nothing runs meanwhile."""
        self.sim.clock.advance(seconds)

    @rule(name=names)
    def lose_an_alarm(self, name: str) -> None:
        """The scheduler forgets an alarm; a round later it is set again."""
        self.sim.timers.lose(name)
        self.sim.run(ROUND + BEAT, step=BEAT)

    @rule(name=names, duration=st.sampled_from([900, 1800, 3600]))
    def reload_with_another_request(self, name: str, duration: int) -> None:
        """A reload makes one profile ask for something else."""
        now = self.sim.settings
        changed = replace(now.profiles[name], duration=duration)
        self._reload(replace(now, profiles={**now.profiles, name: changed}))

    @rule(name=st.sampled_from(["b", "c", "d", "last"]))
    def reload_without_and_with_it(self, name: str) -> None:
        """A reload removes a profile, and another one brings it back."""
        now = self.sim.settings
        self._reload(replace(now, profiles={n: p for n, p in now.profiles.items() if n != name}))
        self._reload(now)

    @rule(name=names)
    def ask(self, name: str) -> None:
        """Somebody asks for a renewal now."""
        self._renew(name)

    @rule(name=names)
    def withdraw(self, name: str) -> None:
        """Somebody takes its credentials away by hand."""
        self.sim.supervisor.withdraw([name])
        self.withdrawn[name] = self.sim.clock().boot

    @rule(full=st.booleans())
    def fill_the_disk(self, full: bool) -> None:  # noqa: FBT001 - hypothesis gives it by name
        """Nothing can be published, or all can again."""
        self.sim.disk_full = full

    @invariant()
    def armed_queued_or_in_flight(self) -> None:
        """Each profile is one of these after each step and the beat that follows it in 10 s (I1).

        One that was withdrawn by hand is the exception: it rests, and nothing of it is published.
        """
        self.sim.settle()
        self.sim.beat()
        now = self.sim.clock()
        for entry in self.sim.supervisor.roster:
            name = entry.profile.name
            match entry.phase:
                case Phase.ARMED:
                    assert self.sim.timers.armed(name), name
                case Phase.IN_FLIGHT:
                    assert entry.started is not None
                    assert now.boot - entry.started.boot <= policy.ATTEMPT_LIMIT, name
                case Phase.QUEUED:
                    pass
                case Phase.WITHDRAWN:
                    assert name in self.withdrawn
            assert entry.withdrawn == (name in self.withdrawn), name
            if entry.withdrawn:
                assert entry.phase in (Phase.WITHDRAWN, Phase.IN_FLIGHT), name
                assert self.sim.disk_full or entry.state(now) == "missing", name
        for name, at in self.sim.provider.calls:
            assert at <= self.withdrawn.get(name, at), name

    @invariant()
    def no_hot_loop(self) -> None:
        """At least a second lies between two attempts of a profile (I6)."""
        last: dict[str, float] = {}
        for name, at in self.sim.provider.calls:
            assert at - last.get(name, -10.0) >= policy.FLOOR - 1e-6, name
            last[name] = at
        self.sim.provider.calls[:] = list(last.items())

    def teardown(self) -> None:
        """Once the faults stop, all are fresh within the cap, a chain of three included."""
        self.faults.clear()
        self.hanging.clear()
        self.doomed.clear()
        self.sim.disk_full = False
        for name in list(self.withdrawn):
            self._renew(name)
        self.sim.run(policy.HUMAN_CAP + policy.ATTEMPT_LIMIT + 3 * BEAT, step=2.0)
        now = self.sim.clock()
        assert dict.fromkeys(self.sim.settings.profiles, "fresh") == {
            entry.profile.name: entry.state(now) for entry in self.sim.supervisor.roster
        }

    def _hangs(self, name: str) -> Scope | None:
        if name in self.doomed:
            self.doomed.remove(name)
            return Scope.ENDPOINT
        return self.hanging.get(name)

    def _renew(self, name: str) -> None:
        self.sim.supervisor.renew(name)
        self.withdrawn.pop(name, None)

    def _reload(self, now: object) -> None:
        self.sim.settings = now  # type: ignore[assignment]
        self.withdrawn.clear()
        changes = self.sim.supervisor.reload(self.sim.settings)
        self.sim.outlet.update(dict.fromkeys(changes.removed))
        self.sim.settle()


TestLife = Life.TestCase
TestLife.settings = effort(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.long
@pytest.mark.timeout(3600)
class TestLifeForLonger(Life.TestCase):  # type: ignore[misc,valid-type]
    """The same state machine with two thousand examples."""

    settings = effort(
        max_examples=2000,
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


@effort(max_examples=40, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from([None, *FAILURES]), min_size=1, max_size=12),
    roll=st.floats(0.0, 1.0, exclude_max=True),
    duration=st.sampled_from([900, 3600, 43200]),
)
def test_the_next_attempt_is_eligible_after_the_floor_and_before_the_cap(
    outcomes: list[RenewalError | None], roll: float, duration: int
) -> None:
    """Over a day of any outcomes, counted from an attempt's end, whatever other profiles do."""
    sim = Simulation(settings(profile("a", duration=duration), profile("b")), roll=roll)
    ended: dict[str, tuple[float, RenewalError | None]] = {}
    attempts = 0

    def fault(name: str) -> RenewalError | None:
        nonlocal attempts
        error = outcomes[attempts % len(outcomes)] if name == "a" else None
        attempts += name == "a"
        ended[name] = (sim.clock().boot, error)
        return error

    sim.provider.fault = fault
    sim.start()
    end = sim.clock().boot + 86400
    while sim.clock().boot < end and attempts < 400:
        for name, (at, error) in ended.items():
            entry = sim.supervisor.roster[name]
            if error is None or entry.phase is not Phase.ARMED:
                continue
            delay = entry.due.boot - at
            longest = policy.retry_cap(error.mend, entry.life_left(sim.clock()))
            assert policy.FLOOR - 1e-6 <= delay
            assert delay <= max(longest, policy.FLOOR, error.retry_after or 0.0) + 1.0
        ended.clear()
        sim.run(
            max(1.0, min(60.0, sim.supervisor.roster["a"].due.boot - sim.clock().boot)), step=60
        )


@pytest.mark.parametrize(("count", "a_second"), [(1, 50.0), (200, 50.0), (300, 10.0)])
def test_all_profiles_recover_within_the_cap_and_the_rate(count: int, a_second: float) -> None:
    """An outage outlasts every expiration; then it takes cap + profiles / rate + one call."""
    profiles = [profile(f"p{n}", duration=900) for n in range(count)]
    sim = Simulation(settings(*profiles, sts=StsLimits(calls_per_second=a_second)))
    down = True
    sim.provider.fault = lambda _: failure("Down", scope=Scope.ENDPOINT) if down else None
    sim.start()
    sim.run(1800, step=5)
    down = False
    sim.run(policy.CAP + count / a_second + 1.0 + BEAT, step=1 / a_second)
    now = sim.clock()
    assert {"fresh"} == {entry.state(now) for entry in sim.supervisor.roster}


def test_a_black_hole_of_a_hundred_profiles_delays_no_other_endpoint() -> None:
    """Profiles of the other endpoint are renewed as if it were alone, throughout a day."""
    hole = [profile(f"hole{n}", endpoint_url="http://127.0.0.1:1") for n in range(100)]
    sim = Simulation(settings(*hole, profile("good", duration=900)))
    sim.provider.hang = lambda name: Scope.ENDPOINT if name.startswith("hole") else None
    sim.workers.keep_hung = True
    sim.start()
    least = 900.0
    for _ in range(1440):
        sim.run(60, step=5)
        least = min(least, sim.life_left("good"))
    assert least >= 450 - 60


@pytest.mark.parametrize(("count", "mend"), [(200, Mend.HUMAN), (60, Mend.TIME)])
def test_failing_profiles_never_use_up_the_rate(count: int, mend: Mend) -> None:
    """Profiles that fail could use more than the rate: one that is fresh still has its turn."""
    failing = [profile(f"failing{n}") for n in range(count)]
    limits = StsLimits(calls_per_second=1.0)
    sim = Simulation(settings(*failing, profile("good"), sts=limits), roll=0.3)
    denied = failure("AccessDenied", mend=mend, scope=Scope.PROFILE)
    sim.provider.fault = lambda name: denied if name.startswith("failing") else None
    sim.start()
    sim.run(count + 60)
    least = 3600.0
    for _ in range(120):
        sim.run(60)
        least = min(least, sim.life_left("good"))
    assert least > 0
