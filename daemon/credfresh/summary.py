"""Text for people: one line for systemd, a table and a screen for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the client commands, which jobs wait for, do not need it
    from credfresh.statuses import State

BAR = 20
"""Width of the bar that shows the life left, in characters."""

COLOURS: Mapping[str, str] = {
    "fresh": "\x1b[32m",
    "late": "\x1b[33m",
    "expired": "\x1b[31m",
    "missing": "\x1b[31m",
    "refused": "\x1b[35m",
}
RESET = "\x1b[0m"

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Switch to the terminal's alternate screen without a cursor, and back."""

URGENCY: Mapping[str, int] = {"expired": 0, "missing": 1, "refused": 2, "late": 3, "fresh": 4}

HEADER = ("PROFILE", "STATE", "LIFE LEFT", "", "AT LEAST", "NEXT RENEWAL", "LAST ERROR")
_LAST = len(HEADER) - 1
_SPARED = (HEADER.index(""), HEADER.index("AT LEAST"))
"""The columns that are left out, in this order, where errors would have too little room."""
_ROOM = 30
"""Columns in which an error can be recognised: its code, and a few words."""
_NAME = 20
"""Columns that a name keeps, however narrow the terminal: with state and life left that is 40."""
_NAMED = 3
_ADVISED = 5


def one_line(profiles: Iterable[tuple[str, State, float | None]]) -> str:
    """Return `12/12 fresh, next production in 11m03s`, from names, states and seconds to go."""
    total = fresh = 0
    nearest: tuple[str, float] | None = None
    for name, state, renew_in in profiles:
        total += 1
        fresh += state == "fresh"
        if renew_in is not None and (nearest is None or renew_in < nearest[1]):
            nearest = name, renew_in
    line = f"{fresh}/{total} fresh"
    return line if nearest is None else f"{line}, next {nearest[0]} in {duration(nearest[1])}"


def table(
    profiles: Sequence[Mapping[str, Any]],
    *,
    colour: bool = False,
    width: int | None = None,
    height: int | None = None,
) -> str:
    """Return profiles, as `ProfileStatus.as_json` gives them, as an aligned table.

    A bar shows the share of life that is left. Lines are cut to `width` columns; if that would
    hide errors, the bar is left out, and long names are cut. If there are more profiles than
    `height` lines have room for, the most urgent are shown, and the others counted.
    """
    shown = list(profiles)
    more = ""
    if height is not None and len(shown) > height - 1:
        shown = sorted(shown, key=_urgency)[: max(1, height - 2)]
        more = f"\n… and {len(profiles) - len(shown):,} more"
    rows = [(_row(profile), str(profile["state"])) for profile in shown]
    widths = [max(len(HEADER[i]), *(len(row[i]) for row, _ in rows), 0) for i in range(_LAST)]
    if width is not None:
        room = _ROOM if any(row[_LAST] for row, _ in rows) else 0
        for column in _SPARED if room else ():
            widths = _widened(widths, column, width)
        lacking = sum(w + 2 for w in widths if w) + room - width
        widths[0] = max(min(_NAME, widths[0]), widths[0] - max(0, lacking))
    lines = [_line(HEADER, widths, width)]
    for row, state in rows:
        line = _line(row, widths, width)
        # A daemon of a later version may send states that are unknown here.
        tint = COLOURS.get(state) if colour else None
        lines.append(f"{tint}{line}{RESET}" if tint else line)
    return "\n".join(lines) + more


def advice(profiles: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what to do about profiles: as `hints`, the most urgent first, at most five."""
    ordered = sorted(profiles, key=_urgency)
    return hints((profile["profile"], profile["hint"]) for profile in ordered)[:_ADVISED]


def hints(wanting: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return lines like `a, b: what to do` for profiles and their hints: each hint once."""
    by_hint: dict[str, list[str]] = {}
    for name, hint in wanting:
        if hint:
            by_hint.setdefault(plain(hint), []).append(plain(name))
    return [
        f"{', '.join(names[:_NAMED])}{' …' if len(names) > _NAMED else ''}: {hint}"
        for hint, names in by_hint.items()
    ]


def bar(left: float, whole: float) -> str:
    """Draw the share of life that is left; at least one block while there is any."""
    share = max(0, min(left, whole)) / whole if whole > 0 else 0.0
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


def cut(text: str, limit: int) -> str:
    """Return a text in at most `limit` columns; the dots say that there is more."""
    return text if len(text) <= limit else text[: max(1, limit - 1)] + "…"


def redrawn(text: str) -> str:
    """Return `text` with codes that draw it from the top of the screen without flicker."""
    return "\x1b[H" + text.replace("\n", "\x1b[K\n") + "\x1b[K\x1b[J"


def obeys_codes(environ: Mapping[str, str]) -> bool:
    """Say whether a terminal obeys escape sequences: those of an editor or a log may not."""
    return environ.get("TERM") != "dumb"


def coloured(environ: Mapping[str, str]) -> bool:
    """Say whether a terminal is to be written to in colours; see https://no-color.org."""
    return obeys_codes(environ) and not environ.get("NO_COLOR")


def plain(text: str) -> str:
    """Return a text of others without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _urgency(profile: Mapping[str, Any]) -> tuple[int, float]:
    return URGENCY.get(profile["state"], 0), profile["seconds_left"]


def _row(profile: Mapping[str, Any]) -> tuple[str, ...]:
    left, renew_in = profile["seconds_left"], profile["renew_in_s"]
    guarantee = profile.get("guarantee_s")
    return (
        plain(profile["profile"]),
        plain(profile["state"]),
        duration(left) if profile["expiration"] is not None else "-",
        bar(left, profile["lifetime_s"] or 0.0),
        duration(guarantee) if guarantee is not None else "-",
        f"in {duration(renew_in)}" if renew_in is not None else "-",
        plain(profile["last_error"] or ""),
    )


def _widened(widths: list[int], column: int, limit: int) -> list[int]:
    """Return the widths without `column` if errors have too little room; 0 stands for none."""
    if limit - sum(width + 2 for width in widths if width) >= _ROOM:
        return widths
    return [0 if i == column else width for i, width in enumerate(widths)]


def _line(cells: Sequence[str], widths: Sequence[int], limit: int | None) -> str:
    columns = zip(cells[:_LAST], widths, strict=True)
    ahead = [cut(cell, width).ljust(width) for cell, width in columns if width]
    line = "  ".join([*ahead, cells[_LAST]]).rstrip()
    return line if limit is None else cut(line, limit)
