"""Which of the attempts that are due may start now. Pure: the time is passed in.

An attempt that is due waits for three things and nothing else: the rate (calls per second), its
endpoint's or source's probe, and a worker. An endpoint is suspect after a failure in transport,
a source after one of its own, until the next success: then one attempt at a time goes there (for
a source: to each endpoint). While there are others, no endpoint and no source gets more than half
of the workers, hung ones counted by themselves. So a black hole starves nobody. Of those that may
start, the one whose published credentials expire first goes first.

Every step costs the logarithm of what waits. The attempts of one lane (endpoint and source) are a
queue; its head stands for all in the heap of *turns*. A turn that finds its endpoint or source
closed is parked there; whenever one is taken or an attempt ends, the first parked one is let in.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from credfresh.errors import Scope

BURST_SECONDS = 1.0
"""Calls that may start at once after a rest, as seconds of the rate (at least one call): a call
among fifty costs a tenth less than one among twenty-five, which find colder caches."""

BURST_CALLS = 50
"""The most calls that may start at once, at any rate."""


class Lane(NamedTuple):
    """The two things that an attempt depends on beside its own request."""

    endpoint: str
    source: str


class Admission:
    """The attempts that are due. Times are seconds of a clock that cannot be stepped."""

    def __init__(self, calls_per_second: float) -> None:
        self._calls_per_second = calls_per_second
        self._next_call = -math.inf
        self._full = False  # whether the last `admit` ended for want of slots
        self._numbers = itertools.count()
        self._waiting: dict[str, tuple[_Queue, int]] = {}
        self._queues: dict[Lane, _Queue] = {}
        self._endpoints: dict[str, _Party] = {}
        self._sources: dict[str, _Party] = {}
        self._turns: list[_Turn] = []

    def limit(self, calls_per_second: float, workers: int, lanes: Iterable[Lane]) -> None:
        """Apply new limits, and forget lanes that are neither in `lanes` nor in use."""
        self._calls_per_second = calls_per_second
        self._queues = {lane: queue for lane, queue in self._queues.items() if queue.in_use()}
        used = {*lanes, *self._queues}
        for lane in used:
            self._queue(lane)
        for parties, names in (
            (self._endpoints, {lane.endpoint for lane in used}),
            (self._sources, {lane.source for lane in used}),
        ):
            alone = len(names) == 1
            for name in parties.keys() - names:
                del parties[name]
            for party in parties.values():
                party.most = math.inf if alone else math.ceil(workers / 2)
                party.most_hung = math.inf if alone else workers
                self._let_in(party)

    def enqueue(self, name: str, lane: Lane, expires: float) -> None:
        """Let `name` wait for its turn; the one that `expires` first goes first."""
        if name in self._waiting:
            return
        queue, number = self._queue(lane), next(self._numbers)
        self._waiting[name] = queue, number
        heapq.heappush(queue.waiting, (expires, number, name))
        self._take_turn(queue)

    def discard(self, name: str) -> None:
        """Forget a waiting `name`: its profile is gone, or was changed or withdrawn."""
        queue, number = self._waiting.pop(name, (None, 0))
        if queue is not None:
            queue.bury(number)
            self._take_turn(queue)

    def waiting(self) -> int:
        """Return how many attempts wait."""
        return len(self._waiting)

    def admit(self, now: float, slots: int) -> list[str]:
        """Take up to `slots` attempts that may start now off the queue; they count as in flight."""
        admitted: list[str] = []
        while len(admitted) < slots and self._next_call <= now:
            queue = self._first()
            if queue is None:
                break
            heapq.heappop(self._turns)
            _, _, name = heapq.heappop(queue.waiting)
            del self._waiting[name]
            queue.count(flying=1)
            self._spend(now)
            admitted.append(name)
            self._take_turn(queue)
            self._let_others_in(queue)
        self._full = len(admitted) >= slots
        return admitted

    def finished(self, lane: Lane, failed: Scope | None) -> None:
        """Note the end of an attempt: `failed` says what it is evidence about, None a success."""
        queue = self._queue(lane)
        queue.count(flying=-1)
        match failed:
            case None | Scope.PROFILE:  # STS has answered, and knew who asked
                queue.endpoint.suspect = queue.source.suspect = False
                self._resume(*queue.source.stalled)
            case Scope.ENDPOINT:
                queue.endpoint.suspect = True
            case Scope.SOURCE:
                queue.source.suspect = True
            case Scope.NONE:
                pass
        if queue in queue.source.stalled:
            self._resume(queue)
        self._let_others_in(queue)

    def hangs(self, lane: Lane) -> None:
        """Note that an attempt that was `finished` at its deadline still holds its thread."""
        self._queue(lane).count(hung=1)

    def hangs_no_more(self, lane: Lane) -> None:
        """Note that such an attempt has let go of its thread."""
        queue = self._queue(lane)
        queue.count(hung=-1)
        self._let_others_in(queue)

    def next_in(self, now: float) -> float | None:
        """Return the seconds until the rate allows what waits; None if none waits for it.

        Those that wait start together, as many as a burst may be: one wake-up serves them all.
        Attempts that wait for a worker or a probe go when something finishes.
        """
        if self._full or self._first() is None:
            return None
        together = min(self.waiting(), self._burst())
        return max(0.0, self._next_call + (together - 1) / self._calls_per_second - now)

    def _queue(self, lane: Lane) -> _Queue:
        queue = self._queues.get(lane)
        if queue is None:
            queue = self._queues[lane] = _Queue(
                self._endpoints.setdefault(lane.endpoint, _Party(one_probe=True)),
                self._sources.setdefault(lane.source, _Party(one_probe=False)),
            )
        return queue

    def _first(self) -> _Queue | None:
        """Return the queue whose head may start; its turn is the first of all turns then."""
        while self._turns:
            turn = self._turns[0]
            queue = turn[-1]
            if turn is queue.turn:
                closed = queue.closed_party()
                if closed is not None:
                    heapq.heappush(closed.parked, turn)
                elif queue.source.suspect and queue.flying:
                    queue.source.stalled[queue] = None
                else:
                    return queue
            heapq.heappop(self._turns)
            self._let_others_in(queue)
        return None

    def _take_turn(self, queue: _Queue) -> None:
        """Have the head of `queue` stand for its turn, unless it does; an older turn is void."""
        head = queue.head()
        if head is None:
            queue.turn = None
        elif queue.turn is None or head[1] != queue.turn[1]:
            queue.turn = (head[0], head[1], next(self._numbers), queue)
            heapq.heappush(self._turns, queue.turn)

    def _let_others_in(self, queue: _Queue) -> None:
        self._let_in(queue.endpoint)
        self._let_in(queue.source)

    def _let_in(self, party: _Party) -> None:
        """If `party` is open, have the first turn that it held back stand again."""
        while party.parked and not party.closed():
            turn = heapq.heappop(party.parked)
            if turn is turn[-1].turn:
                heapq.heappush(self._turns, turn)
                return

    def _resume(self, *queues: _Queue) -> None:
        for queue in queues:
            del queue.source.stalled[queue]
            if queue.turn is not None:
                heapq.heappush(self._turns, queue.turn)

    def _spend(self, now: float) -> None:
        earliest = now - (self._burst() - 1) / self._calls_per_second
        self._next_call = max(self._next_call, earliest) + 1.0 / self._calls_per_second

    def _burst(self) -> int:
        return max(1, int(min(self._calls_per_second * BURST_SECONDS, BURST_CALLS)))


@dataclass(slots=True, eq=False)
class _Party:
    """An endpoint or a source."""

    one_probe: bool
    """Whether all who go there share one probe while it is suspect (else each lane has one)."""
    suspect: bool = False
    flying: int = 0
    hung: int = 0
    most: float = math.inf
    most_hung: float = math.inf
    parked: list[_Turn] = field(default_factory=list)
    """Turns that found it closed."""
    stalled: dict[_Queue, None] = field(default_factory=dict)
    """Of a suspect source: queues whose one probe is in flight."""

    def closed(self) -> bool:
        """Say whether nothing more may go there."""
        most = 1 if self.suspect and self.one_probe else self.most
        return self.flying >= most or self.hung >= self.most_hung


@dataclass(slots=True, eq=False)
class _Queue:
    """What waits in one lane: a heap of (expires, number, name), some of which may be dead."""

    endpoint: _Party
    source: _Party
    flying: int = 0
    hung: int = 0
    waiting: list[tuple[float, int, str]] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)
    turn: _Turn | None = None

    def closed_party(self) -> _Party | None:
        """Return what holds back all attempts of this lane and others, None if nothing does."""
        if self.endpoint.closed():
            return self.endpoint
        return self.source if self.source.closed() else None

    def count(self, *, flying: int = 0, hung: int = 0) -> None:
        """Take note of more, or fewer, that fly or hang here."""
        for counted in (self, self.endpoint, self.source):
            counted.flying += flying
            counted.hung += hung

    def in_use(self) -> bool:
        """Say whether something waits, flies or hangs here."""
        return bool(self.head() or self.flying or self.hung)

    def head(self) -> tuple[float, int, str] | None:
        """Return the most urgent that is alive, and forget the dead before it."""
        while self.waiting and self.waiting[0][1] in self.dead:
            self.dead.discard(heapq.heappop(self.waiting)[1])
        return self.waiting[0] if self.waiting else None

    def bury(self, number: int) -> None:
        """Note that `number` waits no more; clear up when most are dead."""
        self.dead.add(number)
        if 2 * len(self.dead) > len(self.waiting):
            self.waiting = [item for item in self.waiting if item[1] not in self.dead]
            heapq.heapify(self.waiting)
            self.dead.clear()


_Turn = tuple[float, int, int, _Queue]
"""(expires, number of the attempt, serial, queue): void unless it is the queue's `turn`."""
