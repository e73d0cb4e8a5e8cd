"""When to publish: quiet, urgency, rest."""

from __future__ import annotations

import pytest

from credfresh.coalescer import Coalescer


def test_an_idle_coalescer_is_never_due() -> None:
    """An idle coalescer wakes nobody."""
    assert Coalescer().due_at() is None


def test_a_publish_waits_for_quiet() -> None:
    """A publish starts 50 ms after the last of a flow of renewals."""
    coalescer = Coalescer()
    coalescer.note(10.0, urgent=False)
    coalescer.note(10.03, urgent=False)

    assert 10.08 == coalescer.due_at()


def test_a_publish_waits_half_a_second_at_most() -> None:
    """A flow that never pauses is published 500 ms after its first renewal."""
    coalescer = Coalescer()
    for n in range(100):
        coalescer.note(10.0 + n / 100, urgent=False)

    assert 10.5 == coalescer.due_at()


def test_an_urgent_publish_goes_at_once() -> None:
    """A profile with nothing valid published does not wait for quiet."""
    coalescer = Coalescer()
    coalescer.ended(5.0, took=0.1)
    coalescer.note(10.1, urgent=False)
    coalescer.note(10.2, urgent=True)

    assert 10.1 == coalescer.due_at()


@pytest.mark.parametrize(("took", "rest"), [(0.0002, 0.05), (1.0, 0.5)])
def test_urgent_publishes_in_a_row_share_writes(took: float, rest: float) -> None:
    """A cold start does not write the file once per profile; it rests half a second at most."""
    coalescer = Coalescer()
    coalescer.ended(10.0, took=took)
    coalescer.note(10.01, urgent=True)

    assert 10.0 + rest == coalescer.due_at()


def test_a_publish_is_followed_by_a_rest_of_many_times_what_it_took() -> None:
    """Writing costs at most 0.4 % of the time, as long as the rest is not limited."""
    coalescer = Coalescer()
    coalescer.ended(10.0, took=0.03)
    coalescer.note(10.5, urgent=False)

    assert 17.5 == coalescer.due_at()


def test_the_rest_after_a_publish_is_limited() -> None:
    """A slow disk delays no renewal beyond the limit, by a wait or by a rest."""
    coalescer = Coalescer(limit=9.0)
    coalescer.ended(10.0, took=3.0)
    coalescer.note(10.5, urgent=False)

    assert 19.5 == coalescer.due_at()


def test_short_sessions_shorten_the_rest_after_a_publish() -> None:
    """The shortest granted session counts: a rest must not use up the life that is left."""
    coalescer = Coalescer()
    coalescer.ended(10.0, took=3.0, shortest=40.0)
    coalescer.note(10.1, urgent=False)

    assert 10.3 == pytest.approx(coalescer.due_at())


def test_slow_publishes_wait_longer_for_quiet() -> None:
    """A burst of renewals that comes in parts is one write of a large file, not several."""
    coalescer = Coalescer()
    coalescer.ended(10.0, took=0.1)
    for moment in (100.0, 100.5, 101.0):
        coalescer.note(moment, urgent=False)

    assert 102.5 == coalescer.due_at()


def test_a_flow_that_never_pauses_is_not_waited_for_long() -> None:
    """It waits two hundred times as long as the last publish took, within the limit."""
    for limit, due in ((20.0, 110.0), (4.0, 104.0)):
        coalescer = Coalescer(limit=limit)
        coalescer.ended(10.0, took=0.05)
        for n in range(200):
            coalescer.note(100.0 + n / 20, urgent=False)

        assert due == coalescer.due_at()


def test_a_renewal_that_comes_in_during_a_publish_waits_for_the_next() -> None:
    """`started` takes what is there; a later renewal begins a new round."""
    coalescer = Coalescer()
    coalescer.note(10.0, urgent=True)
    coalescer.started()
    assert coalescer.due_at() is None
    coalescer.note(10.2, urgent=False)

    assert 10.25 == coalescer.due_at()
