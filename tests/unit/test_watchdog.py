"""The watchdog is fed only while each part answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from credfresh.life.desk import Errand
from credfresh.life.watchdog import Watchdog
from credfresh.notify import Notifier
from fakes import EventLog, FakeClock

LIMIT = 120.0
PARTS = ("main", "scheduler", "workers", "publisher")


class Listener(Notifier):
    """A service manager that records what it is told."""

    def __init__(self) -> None:
        super().__init__(None)
        self.heard: list[str] = []

    def watchdog(self) -> None:
        self.heard.append("fed")

    def watchdog_trigger(self) -> None:
        self.heard.append("triggered")


class Harness:
    """A watchdog, its parts, and the inbox through which they answer."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.listener = Listener()
        self.log = EventLog()
        self.inbox: deque[Errand] = deque()
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.dead: set[str] = set()
        self.late: list[Callable[[], None]] = []
        self.watchdog = Watchdog(
            LIMIT,
            {part: self._part(part) for part in PARTS},
            notifier=self.listener,
            post=self.inbox.append,
            emit=self.log,
        )

    def _part(self, name: str) -> Callable[[Callable[[], None]], bool]:
        def ask(answer: Callable[[], None]) -> bool:
            self.asked.append(name)
            if name in self.silent:
                self.late.append(answer)
            elif name not in self.dead:
                answer()
            return name not in self.dead

        return ask

    def deliver(self) -> None:
        """Handle what came into the inbox."""
        while self.inbox:
            self.inbox.popleft().run()

    def run(self, seconds: float) -> None:
        """Let time pass, with the looks that are due."""
        end = self.clock().boot + seconds
        while self.clock().boot < end:
            pause = self.watchdog.look(self.clock())
            self.deliver()
            self.clock.advance(pause)


@pytest.fixture(name="harness")
def _harness() -> Harness:
    return Harness()


def test_the_watchdog_is_fed_when_every_part_has_answered(harness: Harness) -> None:
    """Each quarter of WatchdogSec each part is asked once, and systemd is told once."""
    harness.run(LIMIT)

    assert ["fed"] * 4 == harness.listener.heard
    assert list(PARTS) * 4 == harness.asked
    assert [] == harness.log.names()


@pytest.mark.parametrize("part", PARTS)
def test_the_watchdog_is_not_fed_while_one_part_is_silent(harness: Harness, part: str) -> None:
    """This holds for any part: the three others do not make up for it."""
    harness.silent = {part}

    harness.run(10 * LIMIT)

    assert [] == harness.listener.heard


def test_a_main_thread_that_takes_nothing_from_its_inbox_feeds_nobody(harness: Harness) -> None:
    """All parts answer, but the main thread does not take the answers: the daemon hangs."""
    for _ in range(100):
        harness.clock.advance(harness.watchdog.look(harness.clock()))

    assert [] == harness.listener.heard


def test_a_silent_part_is_named_once_before_the_watchdog_bites(harness: Harness) -> None:
    """The log says which part does not answer, at half of WatchdogSec, and says it once."""
    harness.silent = {"publisher"}

    harness.run(3 * LIMIT)

    assert [{"parts": "publisher", "for_s": 60, "limit_s": LIMIT}] == harness.log.of("part_silent")
    assert ["part_silent"] == harness.log.names()


def test_a_part_that_comes_back_is_told_and_feeds_again(harness: Harness) -> None:
    """A slow part is asked again at each look: one lost question does no harm."""
    harness.silent = {"scheduler"}
    harness.run(LIMIT / 2 + 1)
    harness.silent = set()
    harness.run(LIMIT / 4)

    assert ["part_silent", "part_recovered"] == harness.log.names()
    assert ["fed"] == harness.listener.heard
    harness.silent = {"scheduler"}
    harness.run(LIMIT)
    assert ["part_silent", "part_recovered", "part_silent"] == harness.log.names()


def test_late_answers_of_an_earlier_round_feed_nobody(harness: Harness) -> None:
    """What a part answered before the last feeding does not count for the next."""
    harness.silent = {"scheduler"}
    harness.run(LIMIT / 2)
    first, second = harness.late
    first()
    harness.deliver()
    assert ["fed"] == harness.listener.heard

    harness.run(LIMIT / 4)
    second()
    harness.deliver()

    assert ["fed"] == harness.listener.heard


def test_a_dead_part_triggers_the_watchdog_at_once_and_at_every_look(harness: Harness) -> None:
    """A dead part is not waited for; it is told once, and the trigger is sent at every look."""
    harness.dead = {"publisher"}

    harness.run(LIMIT)

    assert ["triggered"] * 4 == harness.listener.heard
    assert [{"parts": "publisher"}] == harness.log.of("watchdog_triggered")
