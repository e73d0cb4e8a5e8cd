"""Values are frozen by the type checker; what Python does with them is the same."""

from __future__ import annotations

from dataclasses import replace

from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A value."""

    x: int
    y: int = 0


def test_mypy_refuses_to_change_a_value() -> None:
    """Were it not refused, mypy would report the comment (`warn_unused_ignores`)."""
    Point(1).x = 2  # type: ignore[misc]


def test_values_are_compared_hashed_and_replaced_by_what_they_hold() -> None:
    """Whatever is frozen only for mypy must still be good as a key."""
    assert {Point(1), Point(1, 0), replace(Point(2), x=1)} == {Point(1)}


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One of its kind, whatever it holds."""

    held: list[int]


def test_what_is_compared_by_identity_is_hashed_by_it() -> None:
    """As with `dataclasses`: what it holds need not have a hash."""
    one, other = Token([]), Token([])
    assert len({one, other, one}) == 2
