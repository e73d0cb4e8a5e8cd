"""Records what the simulator was asked, when, and with which outcome."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import replace

from credfresh.model import Instant
from credfresh.values import dataclass

KEPT = 100_000
"""How many calls are kept one by one; counts are kept for all."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `outcome` is None while unanswered.

    Else it is `ok`, an error code, or the injected fault (`reset`, `html`, `garbage`, …), or
    `abandoned` if the client left before its answer.
    """

    number: int
    at: Instant
    """When all of it had arrived, on the simulator's clock."""
    action: str
    role_arn: str | None
    access_key_id: str | None
    outcome: str | None = None
    answered_at: Instant | None = None


class Journal:
    """Calls and counts; not thread-safe."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.clear()

    def clear(self) -> None:
        """Forget calls, counts and the high-water mark, but not the calls in flight."""
        self._calls: OrderedDict[int, Call] = OrderedDict()
        self._arrived: Counter[tuple[str, str | None]] = Counter()
        self._ended: Counter[tuple[str, str | None, str]] = Counter()
        self.high_water = self.in_flight

    def arrive(self, call: Call) -> None:
        """Note a request of which all has arrived."""
        self.in_flight += 1
        self.high_water = max(self.high_water, self.in_flight)
        self._arrived[call.action, call.role_arn] += 1
        self._calls[call.number] = call
        if len(self._calls) > KEPT:
            self._calls.popitem(last=False)

    def end(self, call: Call, outcome: str, at: Instant) -> None:
        """Note the outcome of a call."""
        self.in_flight -= 1
        self._ended[call.action, call.role_arn, outcome] += 1
        if call.number in self._calls:
            self._calls[call.number] = replace(call, outcome=outcome, answered_at=at)

    def calls(self) -> tuple[Call, ...]:
        """Return the kept calls in the order of their arrival."""
        return tuple(self._calls.values())

    def count(self, action: str | None, role: str | None, outcome: str | None) -> int:
        """Return how many calls match; None matches all, as `outcome` also unanswered calls."""
        if outcome is None:
            return sum(
                number
                for (its_action, its_role), number in self._arrived.items()
                if action in {None, its_action} and role in {None, its_role}
            )
        return sum(
            number
            for (its_action, its_role, its_outcome), number in self._ended.items()
            if action in {None, its_action} and role in {None, its_role} and outcome == its_outcome
        )
