"""What the log makes of an outage of many profiles, simulated over some 20 minutes."""

from __future__ import annotations

from collections import Counter

import pytest

from credfresh.errors import Mend, Scope
from credfresh.life.rate_limited import MOST
from credfresh.settings import StsLimits
from fakes import EventLog, FakeClock, failure, grant, profile, settings
from simulation import Simulation

MANY = 20 * MOST
"""Profiles: far more than lines of one kind that are told in a minute."""


class Minutes(EventLog):
    """Counts lines by the minute in which they were logged."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.lines: Counter[int] = Counter()
        self.renewed: Counter[int] = Counter()

    def __call__(self, event: str, /, **fields: object) -> None:
        super().__call__(event, **fields)
        minute = int(self.clock().boot // 60)
        (self.renewed if event == "credentials_renewed" else self.lines)[minute] += 1


@pytest.mark.parametrize(
    ("scope", "mend"),
    [(Scope.ENDPOINT, Mend.TIME), (Scope.SOURCE, Mend.HUMAN), (Scope.PROFILE, Mend.HUMAN)],
    ids=["STS is gone", "the source is refused", "every role is refused"],
)
def test_an_outage_of_many_profiles_is_a_bounded_number_of_lines(scope: Scope, mend: Mend) -> None:
    """Through outage, expiry and recovery, lines per minute are bounded.

    Renewals are each logged, as fast as the rate allows them.
    """
    profiles = [profile(f"team-{n:05d}", duration=900) for n in range(MANY)]
    # In steps of a second half of them start: some 50 calls a second, as by default.
    limits = StsLimits(calls_per_second=100, max_concurrency=64)
    sim = Simulation(settings(*profiles, sts=limits))
    log = Minutes(sim.clock)
    sim.limit_log(log)
    sim.start(
        {
            p.name: grant(p, sim.clock(), lifetime=900, key=f"ASIA{n:016d}")
            for n, p in enumerate(profiles)
        }
    )
    sim.provider.fault = lambda _: failure("AccessDenied", mend=mend, scope=scope)

    sim.run(950)
    assert {"expired"} == {e.state(sim.clock()) for e in sim.supervisor.roster}
    sim.provider.fault = lambda _: None
    sim.run(200)

    assert max(log.lines.values()) <= 3 * MOST + 10, log.lines
    assert max(log.renewed.values()) <= 61 * 50
    told = Counter(log.names()) + Counter(
        {str(f["name"]): int(str(f["lines"])) for f in log.of("lines_withheld")}
    )
    assert MANY == told["profile_expired"]
    assert told["credentials_renewed"] > MANY / 2
