"""Chores of the main thread."""

from __future__ import annotations

from credfresh.life.agenda import AGAIN, Agenda
from credfresh.life.guard import Guard
from credfresh.model import Instant
from fakes import EventLog


def at(boot: float) -> Instant:
    """Return a moment of the boot clock, which alone counts; the wall clock runs backwards."""
    return Instant(1_800_000_000.0 - boot, boot)


def test_each_chore_comes_back_when_it_said() -> None:
    """A chore is due now at first, then after as many seconds as it returned."""
    turns: list[tuple[str, float]] = []
    agenda = Agenda()

    def often(now: Instant) -> float:
        turns.append(("often", now.boot))
        return 1.0

    def seldom(now: Instant) -> float:
        turns.append(("seldom", now.boot))
        return 10.0

    agenda.add(often)
    agenda.add(seldom)

    assert [1.0, 0.5, 1.0] == [
        agenda.turn(at(100.0)),
        agenda.turn(at(100.5)),
        agenda.turn(at(101.0)),
    ]
    assert [("often", 100.0), ("seldom", 100.0), ("often", 101.0)] == turns


def test_a_chore_can_be_hastened_and_removed() -> None:
    """A hastened chore is done at the next turn; a removed one is never done again."""
    turns: list[float] = []
    agenda = Agenda()

    def chore(now: Instant) -> float:
        turns.append(now.boot)
        return 60.0

    agenda.add(chore)
    agenda.turn(at(0.0))
    agenda.hasten(chore)
    agenda.turn(at(1.0))
    agenda.remove(chore)
    agenda.turn(at(100.0))

    assert [0.0, 1.0] == turns


def test_a_chore_that_missed_turns_runs_once() -> None:
    """After a suspend a chore runs once, not once for each turn that it missed."""
    turns: list[float] = []
    agenda = Agenda()

    def chore(now: Instant) -> float:
        turns.append(now.boot)
        return 1.0

    agenda.add(chore)
    agenda.turn(at(0.0))
    agenda.turn(at(3600.0))

    assert [0.0, 3600.0] == turns
    assert 1.0 == agenda.turn(at(3600.0))


def test_a_chore_that_raises_has_another_turn_later_and_holds_up_no_other() -> None:
    """The error is told, and the chore is tried again after a while."""
    turns: list[tuple[str, float]] = []
    log = EventLog()
    agenda = Agenda(Guard(log))

    def broken(now: Instant) -> float:
        turns.append(("broken", now.boot))
        raise ZeroDivisionError

    def sound(now: Instant) -> float:
        turns.append(("sound", now.boot))
        return 60.0

    agenda.add(broken)
    agenda.add(sound)

    assert [AGAIN, AGAIN] == [agenda.turn(at(0.0)), agenda.turn(at(AGAIN))]
    assert [("broken", 0.0), ("sound", 0.0), ("broken", AGAIN)] == turns
    assert ["unexpected_error"] * 2 == log.names()
