"""What is shown to people: one line for systemd, a table for a terminal. Pure text."""

from __future__ import annotations

from collections.abc import Iterable

from credfresh.entry import State
from credfresh.model import Instant
from credfresh.roster import ProfileStatus, Roster

BAR = 20
"""Width of the life bar, characters."""

COLOURS: dict[State, str] = {
    "fresh": "\x1b[32m",
    "late": "\x1b[33m",
    "expired": "\x1b[31m",
    "missing": "\x1b[31m",
    "refused": "\x1b[35m",
}
RESET = "\x1b[0m"

HEADER = ("PROFILE", "STATE", "LIFE LEFT", "", "NEXT RENEWAL", "LAST ERROR")


def one_line(roster: Roster, now: Instant) -> str:
    """Return `12/12 fresh, next production in 11m03s`."""
    entries = list(roster)
    fresh = sum(entry.state(now) == "fresh" for entry in entries)
    line = f"{fresh}/{len(entries)} fresh"
    enabled = [entry for entry in entries if not entry.withdrawn]
    if enabled:
        nearest = min(enabled, key=lambda entry: now.until(entry.due))
        line += f", next {nearest.profile.name} in {duration(now.until(nearest.due))}"
    return line


def table(statuses: Iterable[ProfileStatus], *, colour: bool = False) -> str:
    """Return the profiles as an aligned table, a bar for the share of life that is left."""
    rows = [(_row(s), s.state) for s in statuses]
    widths = [
        max(len(HEADER[i]), *(len(row[i]) for row, _ in rows)) if rows else len(HEADER[i])
        for i in range(len(HEADER))
    ]
    lines = [_line(HEADER, widths)]
    for row, state in rows:
        line = _line(row, widths)
        lines.append(f"{COLOURS[state]}{line}{RESET}" if colour else line)
    return "\n".join(lines)


def bar(left: float, whole: float) -> str:
    """Draw the share of life that is left; at least one block while there is any."""
    share = min(1.0, max(0.0, left / whole)) if whole > 0 else 0.0
    blocks = max(1, round(share * BAR)) if share > 0 else 0
    return "█" * blocks + "░" * (BAR - blocks)


def duration(seconds: float) -> str:
    """Render seconds as `48s`, `11m03s` or `2h05m`."""
    whole = int(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def _row(status: ProfileStatus) -> tuple[str, ...]:
    life = duration(status.seconds_left) if status.expiration is not None else "-"
    return (
        status.profile,
        status.state,
        life,
        bar(status.seconds_left, status.lifetime or 0.0),
        "never" if status.renew_in is None else f"in {duration(status.renew_in)}",
        status.last_error or "",
    )


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
