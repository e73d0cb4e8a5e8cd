"""Draws one profile's session: issue, now, renewal, expiration, failures. Pure, makes SVG.

Places are attributes in percent, since the page's policy allows no inline styles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from credfresh.metrics.snapshot import Figures
from credfresh.values import dataclass

NOW = 36.0
"""Where now is, in percent from the left, with more room for the future. page.css draws it."""

EVEN = 3.0
"""Lifetimes that differ by no more than this factor share a linear scale; else distant hours are
drawn closer together, so that a quarter of an hour can be seen beside half a day."""

MINUS = "\N{MINUS SIGN}"

GAP = 11.5
"""Percent that two labels of the axis are apart at least."""

EDGE = 4.0
"""Percent from the edges within which a label would be cut."""

_TICKS = (
    (5, "5 s"),
    (10, "10 s"),
    (30, "30 s"),
    (60, "1 min"),
    (300, "5 min"),
    (900, "15 min"),
    (1800, "30 min"),
    (3600, "1 h"),
    (10_800, "3 h"),
    (21_600, "6 h"),
    (43_200, "12 h"),
)
_MIDDLE = 14


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps moments to places: `span` seconds from now lie at the right edge."""

    now: float
    span: float
    power: float

    def at(self, wall: float) -> float:
        """Return the place of a moment, 0 to 100 percent."""
        ahead = wall - self.now
        share = float(min(1.0, abs(ahead) / self.span) ** self.power)
        return round(min(100.0, max(0.0, NOW + share * (100 - NOW) * (1 if ahead > 0 else -1))), 2)


def axis_for(lifetimes: Iterable[float], now: float) -> Axis:
    """Return an axis on which every one of these lifetimes can be seen."""
    known = [lifetime for lifetime in lifetimes if lifetime > 0] or [3600.0]
    uneven = max(known) > EVEN * min(known)
    return Axis(now, max(known) * 1.05, 0.5 if uneven else 1.0)


def scale(axis: Axis) -> str:
    """Draw the labels of the axis."""
    labels = [_label(NOW, "now")]
    for sign in (-1, 1):
        last = NOW
        for seconds, text in _TICKS:
            place = axis.at(axis.now + sign * seconds)
            if abs(place - last) >= GAP and EDGE <= place <= 100 - EDGE:
                labels.append(_label(place, f"{'+' if sign > 0 else MINUS}{text}"))
                last = place
    return f'<svg class="axis" aria-hidden="true">{"".join(labels)}</svg>'


def draw(one: Figures, axis: Axis, words: str) -> str:
    """Draw one profile; `words` say the same for screen readers."""
    parts = "".join(_parts(one, axis))
    return f'<svg class="life" role="img" aria-label="{words}">{parts}</svg>'


def _parts(one: Figures, axis: Axis) -> Iterator[str]:
    yield _line("base", 0.0, 100.0, _MIDDLE)
    if one.issued is not None and one.state != "missing":
        yield from _session(one, one.issued, axis)
    if one.failing_since is not None:
        yield _line("fail", axis.at(one.failing_since), NOW, _MIDDLE + 9)
        yield _dot("retry", axis.at(one.next_attempt), _MIDDLE + 9, 3)


def _session(one: Figures, issued: float, axis: Axis) -> Iterator[str]:
    ends = axis.at(axis.now + one.seconds_left) if one.seconds_left else None
    if ends is None:
        ended = axis.at(min(axis.now, issued + one.lifetime))
        yield _bar("past", axis.at(issued), ended)
        yield _line("gap", ended, NOW, _MIDDLE)
        return
    yield _bar("past", axis.at(issued), NOW)
    yield _bar("left", NOW, ends)
    if one.renew_at is not None and not one.failures:
        yield _dot("renew", axis.at(max(one.renew_at, axis.now)), _MIDDLE, 4)


def _bar(kind: str, start: float, end: float) -> str:
    width = round(max(0.3, end - start), 2)
    return f'<rect class="{kind}" x="{start}%" y="{_MIDDLE - 5}" width="{width}%" height="10"/>'


def _line(kind: str, start: float, end: float, y: int) -> str:
    return f'<line class="{kind}" x1="{start}%" x2="{end}%" y1="{y}" y2="{y}"/>'


def _dot(kind: str, x: float, y: int, radius: int) -> str:
    return f'<circle class="{kind}" cx="{x}%" cy="{y}" r="{radius}"/>'


def _label(place: float, text: str) -> str:
    return f'<text x="{place}%" y="12">{text}</text>'
