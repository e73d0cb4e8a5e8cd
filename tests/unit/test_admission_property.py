"""Admission lets the same attempts start as a list that is scanned anew each time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from credfresh.errors import Scope
from credfresh.life.admission import Admission, Lane

WORKERS = 4
LANES = [Lane(endpoint, source) for endpoint in "ABC" for source in "xyz"]
SCOPES = st.sampled_from([None, *Scope])


@dataclass(slots=True)
class Naive:
    """The rules of admission, written to be clear and not to be fast."""

    waiting: list[tuple[float, int, str, Lane]] = field(default_factory=list)
    flying: list[Lane] = field(default_factory=list)
    hung: list[Lane] = field(default_factory=list)
    suspects: set[tuple[str, str]] = field(default_factory=set)
    lanes: list[Lane] = field(default_factory=list)
    used: set[Lane] = field(default_factory=set)

    def limit(self, lanes: list[Lane]) -> None:
        """Change to other lanes, and forget the faults of lanes that nobody uses."""
        self.lanes = lanes
        self.used = {*lanes, *self.flying, *self.hung, *(w[3] for w in self.waiting)}
        self.suspects &= {("endpoint", lane.endpoint) for lane in self.used} | {
            ("source", lane.source) for lane in self.used
        }

    def may_start(self, lane: Lane) -> bool:
        """Say whether an attempt may start on this lane."""
        if ("endpoint", lane.endpoint) in self.suspects and any(
            other.endpoint == lane.endpoint for other in self.flying
        ):
            return False
        if ("source", lane.source) in self.suspects and lane in self.flying:
            return False
        for kind in ("endpoint", "source"):
            if len({getattr(other, kind) for other in self.used}) == 1:
                continue
            mine = getattr(lane, kind)
            if sum(getattr(o, kind) == mine for o in self.flying) >= math.ceil(WORKERS / 2):
                return False
            if sum(getattr(o, kind) == mine for o in self.hung) >= WORKERS:
                return False
        return True

    def admit(self, slots: int) -> list[str]:
        """Admit the first that may start, up to `slots` times."""
        admitted: list[str] = []
        for _ in range(slots):
            able = sorted(w for w in self.waiting if self.may_start(w[3]))
            if not able:
                break
            self.waiting.remove(able[0])
            self.flying.append(able[0][3])
            admitted.append(able[0][2])
        return admitted

    def finished(self, lane: Lane, failed: Scope | None) -> None:
        """Update what is suspected when an attempt ends."""
        self.flying.remove(lane)
        if failed in (None, Scope.PROFILE):
            self.suspects -= {("endpoint", lane.endpoint), ("source", lane.source)}
        elif failed in (Scope.ENDPOINT, Scope.SOURCE):
            self.suspects.add((failed.value, getattr(lane, failed.value)))


class SameOrder(RuleBasedStateMachine):
    """Tells both the same; they must let the same attempts start, in the same order."""

    def __init__(self) -> None:
        super().__init__()
        self.naive = Naive()
        self.naive.limit(LANES)
        self.admission = Admission(calls_per_second=1e9)
        self.admission.limit(1e9, WORKERS, LANES)
        self.serial = 0
        self.now = 0.0

    @rule(data=st.data(), expires=st.integers(0, 5))
    def enqueue(self, data: st.DataObject, expires: int) -> None:
        """A profile comes due."""
        lane = data.draw(st.sampled_from(self.naive.lanes))
        self.serial += 1
        name = f"p{self.serial}"
        self.naive.waiting.append((expires, self.serial, name, lane))
        self.admission.enqueue(name, lane, expires)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        """A waiting profile is removed."""
        if self.naive.waiting:
            gone = data.draw(st.sampled_from(self.naive.waiting))
            self.naive.waiting.remove(gone)
            self.admission.discard(gone[2])

    @rule(slots=st.integers(0, WORKERS))
    def admit(self, slots: int) -> None:
        """Workers are free, and both admit the same attempts."""
        self.now += 1.0
        assert self.naive.admit(slots) == self.admission.admit(self.now, slots)

    @rule(data=st.data(), failed=SCOPES, hangs=st.booleans())
    def finish(self, data: st.DataObject, failed: Scope | None, hangs: bool) -> None:  # noqa: FBT001 - drawn by name
        """An attempt ends, or is given up and goes on hanging."""
        if self.naive.flying:
            lane = data.draw(st.sampled_from(self.naive.flying))
            self.naive.finished(lane, failed)
            self.admission.finished(lane, failed)
            if hangs:
                self.naive.hung.append(lane)
                self.admission.hangs(lane)

    @rule(data=st.data())
    def comes_back(self, data: st.DataObject) -> None:
        """A thread that hung ends."""
        if self.naive.hung:
            lane = data.draw(st.sampled_from(self.naive.hung))
            self.naive.hung.remove(lane)
            self.admission.hangs_no_more(lane)

    @rule(lanes=st.sets(st.sampled_from(LANES), min_size=1))
    def reload(self, lanes: set[Lane]) -> None:
        """A reload changes which lanes are in use."""
        self.naive.limit(sorted(lanes, key=str))
        self.admission.limit(1e9, WORKERS, lanes)

    @invariant()
    def count(self) -> None:
        """Both have the same number of waiting profiles."""
        assert len(self.naive.waiting) == self.admission.waiting()


SameOrder.TestCase.settings = settings(max_examples=25, stateful_step_count=60, deadline=None)
TestSameOrder = SameOrder.TestCase
