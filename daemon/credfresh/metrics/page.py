"""The status page: one self-contained HTML page. Pure text.

All text that is not ours is escaped. Without `metrics.detail` the page holds no ARN, account id,
access key id or error text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from importlib import resources
from urllib.parse import quote, urlencode

from credfresh import __version__
from credfresh.metrics.snapshot import Figures
from credfresh.metrics.timeline import Axis, axis_for, draw, scale
from credfresh.metrics.view import STATES, VALID, View
from credfresh.model import rfc3339
from credfresh.statuses import State
from credfresh.values import dataclass

MOST_ROWS = 500
"""Profiles that are shown at most, the most urgent first."""

MOST_QUERY = 1000
"""Characters of a query at most; a longer one is ignored."""

FEW = 100
"""With up to so many profiles the page reloads every two seconds, with more every ten."""

_STYLE = resources.files("credfresh.metrics").joinpath("page.css").read_text("utf-8")
_SCRIPT = resources.files("credfresh.metrics").joinpath("page.js").read_text("utf-8")


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


POLICY = (
    f"default-src 'none'; script-src {_source(_SCRIPT)}; style-src {_source(_STYLE)};"
    " connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
"""The Content-Security-Policy: only this script and this style, and nothing from elsewhere."""

_RANK: dict[State, int] = {state: rank for rank, state in enumerate(reversed(STATES))} | {
    "expired": -1
}
SIGNS: dict[State, str] = {
    "fresh": "●",
    "late": "◐",
    "expired": "✕",
    "missing": "○",
    "refused": "⊘",
}
"""Shapes, so that a state can be told without its colour."""

_ICON = (
    "data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='6' fill='{}'/%3E%3C/svg%3E"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects the profiles that have this text in their names, and this state."""

    text: str = ""
    state: str = ""

    def passes(self, one: Figures, *, detail: bool) -> bool:
        """Say whether a profile is selected; with `detail`, the text may also be in its role."""
        if self.state and one.state != self.state:
            return False
        hay = f"{one.profile.name} {one.profile.role_arn}" if detail else one.profile.name
        return self.text.casefold() in hay.casefold()


def render(view: View, chosen: Filter, *, hostname: str) -> str:
    """Return the page."""
    detail = view.snapshot.settings.metrics.detail
    wanted = [one for one in view.profiles if chosen.passes(one, detail=detail)]
    shown = sorted(wanted, key=_urgency)[:MOST_ROWS]
    axis = axis_for((one.lifetime for one in shown), view.snapshot.taken.wall)
    rows = "".join(_row(one, axis, detail=detail) for one in shown)
    wall = view.snapshot.taken.wall
    every = 2 if len(view.profiles) <= FEW else 10
    headline, tone = _headline(view)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{SIGNS[tone]} {escape(headline)} · {escape(hostname)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="{_ICON.format("%2324815a" if tone == "fresh" else "%23d64545")}">
<noscript><meta http-equiv="refresh" content="{every}"></noscript>
<style>{_STYLE}</style>
</head>
<body data-every="{every}">
<header>
<p class="brand"><b>credfresh</b> on {escape(hostname)}</p>
<p class="when" id="when"><time datetime="{rfc3339(wall)}">{_clock(wall)} UTC</time></p>
</header>
<main>
<section id="summary" class="{tone}" aria-live="polite">
<h1><span class="sign" aria-hidden="true">{SIGNS[tone]}</span> {escape(headline)}</h1>
<p>{escape(_next(view))}</p>
</section>
<form id="filter" method="get" role="search">
<nav id="states" aria-label="Filter by state">{_chips(view, chosen)}</nav>
{f'<input type="hidden" name="state" value="{escape(chosen.state)}">' if chosen.state else ""}
<input type="search" name="q" id="q" value="{escape(chosen.text)}" placeholder="Filter profiles  /"
 aria-label="Filter profiles by name" autocomplete="off" spellcheck="false" maxlength="128">
</form>
<table>
<caption>{escape(_caption(len(shown), len(wanted), len(view.profiles)))}</caption>
<thead><tr><th scope="col">Profile</th><th scope="col">State</th>
<th scope="col" class="line"><span class="hidden">Timeline</span>{scale(axis)}</th>
<th scope="col" class="num">Life left</th><th scope="col" class="num">Renewal</th></tr></thead>
<tbody id="profiles">{rows}</tbody>
</table>
</main>
<footer>
<ul class="legend" aria-hidden="true">
<li><svg class="life"><rect class="past" x="0" y="9" width="50%" height="10"/><rect class="left"
 x="50%" y="9" width="50%" height="10"/></svg> session, spent and left</li>
<li><svg class="life"><circle class="renew" cx="50%" cy="14" r="4"/></svg> renewal</li>
<li class="failing"><svg class="life"><line class="fail" x1="0" x2="75%" y1="14" y2="14"/><circle
 class="retry" cx="92%" cy="14" r="3"/></svg> failing since, next attempt</li>
</ul>
<p>credfresh {__version__} · <a href="/metrics">metrics</a> · <a href="/healthz">health</a>
 · keys: <kbd>/</kbd> filter, <kbd>↓</kbd> <kbd>↑</kbd> rows, <kbd>Esc</kbd> all</p>
</footer>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _urgency(one: Figures) -> tuple[int, bool, float, str]:
    return _RANK[one.state], not one.failures, one.seconds_left, one.profile.name


def _headline(view: View) -> tuple[str, State]:
    total = len(view.profiles)
    invalid = view.unhealthy()
    if not total:
        return "Every profile was withdrawn", "late"
    if not invalid:
        late = view.counts["late"]
        if late:
            return f"{late} of {_many(total)} {'is' if late == 1 else 'are'} late", "late"
        everyone = (
            f"All {total:,} profiles are" if total > 1 else f"{view.profiles[0].profile.name} is"
        )
        return f"{everyone} fresh", "fresh"
    if len(invalid) == 1:
        return f"{invalid[0].profile.name} {_is(invalid[0].state)}", invalid[0].state
    worst = min(invalid, key=_urgency).state
    return f"{len(invalid):,} of {_many(total)} have nothing valid on disk", worst


def _next(view: View) -> str:
    now = view.snapshot.taken.wall
    failing = sum(one.failures > 0 for one in view.profiles)
    soonest = min(view.profiles, key=lambda one: one.next_attempt, default=None)
    if soonest is None:
        return ""
    verb = "is tried again" if soonest.failures else "is renewed"
    text = f"{soonest.profile.name} {verb} {_ahead(soonest.next_attempt - now)}."
    return f"{_many(failing)} failing. {text}" if failing else f"Next, {text}"


def _chips(view: View, chosen: Filter) -> str:
    chips = [("", "", f"all {len(view.profiles):,}")]
    chips += [
        (state, state, f"<i>{SIGNS[state]}</i> {view.counts[state]:,} {state}") for state in STATES
    ]
    current = ' aria-current="true"'
    return "".join(
        f'<a href="/{_query(Filter(chosen.text, state))}" class="chip {kind}"'
        f"{current if chosen.state == state else ''}>{text}</a>"
        for state, kind, text in chips
    )


def _query(chosen: Filter) -> str:
    asked = {key: value for key, value in (("q", chosen.text), ("state", chosen.state)) if value}
    return f"?{escape(urlencode(asked, quote_via=quote))}" if asked else ""


def _caption(shown: int, wanted: int, total: int) -> str:
    if not wanted:
        return "No profile matches"
    if shown < wanted:
        return f"The {shown} most urgent of {wanted:,}; filter to see the others"
    return f"{shown:,} of {_many(total)}" if shown < total else f"{_many(total)}, most urgent first"


def _row(one: Figures, axis: Axis, *, detail: bool) -> str:
    key = escape(quote(one.profile.name, safe=""))
    life = _span(one.seconds_left) if one.state in VALID else "—"
    again = "retry " if one.failures else ""
    return (
        f'<tr id="p-{key}" class="{one.state}" tabindex="-1">'
        f'<th scope="row">{escape(one.profile.name)}</th>'
        f'<td class="state"><span aria-hidden="true">{SIGNS[one.state]}</span> {one.state}'
        f"{_failing(one)}</td>"
        f'<td class="line">{draw(one, axis, escape("; ".join(_words(one, axis.now))))}</td>'
        f'<td class="num">{life}</td>'
        f'<td class="num next">{again}{_ahead(one.next_attempt - axis.now)}</td></tr>'
        f"{_details(one, key) if detail else ''}"
    )


def _details(one: Figures, key: str) -> str:
    lines = [one.profile.role_arn, *([one.access_key_id] if one.access_key_id else [])]
    shown = "".join(f"<span>{escape(line)}</span>" for line in lines)
    if one.trouble is not None:
        code, message, hint = one.trouble
        text = f"{code}: {message}" + (f" — {hint}" if hint else "")
        shown += f'<span class="error">{escape(text)}</span>'
    return f'<tr id="m-{key}" class="more"><td colspan="5">{shown}</td></tr>'


def _failing(one: Figures) -> str:
    if not one.failures:
        return ""
    since = f" since {_clock(one.failing_since)[:5]}" if one.failing_since else ""
    times = "1 failure" if one.failures == 1 else f"{one.failures:,} failures"
    return f'<small class="failing">{times}{since}</small>'


def _words(one: Figures, now: float) -> Iterator[str]:
    if one.issued is not None:
        yield f"issued {_clock(one.issued)}"
    if one.renew_at is not None and one.state in VALID:
        yield f"renewal {_clock(one.renew_at)}"
    if one.expiration is not None:
        verb = "expires" if one.seconds_left else "expired"
        yield f"{verb} {_clock(one.expiration)}"
    if one.failures:
        yield f"{one.failures} failures, next attempt {_ahead(one.next_attempt - now)}"
    if one.issued is None:
        yield "nothing published"


def _is(state: State) -> str:
    return {"missing": "is missing", "expired": "has expired", "refused": "is refused"}[state]


def _many(count: int) -> str:
    return f"{count:,} profile{'' if count == 1 else 's'}"


def _clock(wall: float) -> str:
    return rfc3339(wall)[11:19]


def _ahead(seconds: float) -> str:
    return f"in {_span(seconds)}" if seconds >= 1 else "now"


def _span(seconds: float) -> str:
    """Render seconds without false precision: `48 s`, `41 min`, `2 h 05 min`."""
    whole = max(0, int(seconds))
    if whole < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
