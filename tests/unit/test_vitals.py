"""The roll of the parts that have to show life, and who has answered in a round."""

from __future__ import annotations

from credfresh.life.vitals import Vitals


def test_a_round_is_complete_when_each_part_has_answered() -> None:
    """Only the last of the answers completes a round, and it does so once."""
    vitals = Vitals(["main", "publisher"])
    vitals.open()

    assert not vitals.answer("publisher", 1)
    assert ("main",) == vitals.silent
    assert vitals.answer("main", 1)
    assert vitals.complete
    assert not vitals.answer("main", 1)


def test_an_answer_to_an_earlier_round_proves_nothing() -> None:
    """A part that was asked twice and answered late is not taken for alive in the next round."""
    vitals = Vitals(["main"])
    vitals.open()
    vitals.answer("main", 1)
    vitals.open()

    assert not vitals.answer("main", 1)
    assert ("main",) == vitals.silent


def test_no_round_is_open_at_first() -> None:
    """An answer that nobody asked for counts for nothing."""
    vitals = Vitals(["main"])

    assert vitals.complete
    assert not vitals.answer("main", 0)
