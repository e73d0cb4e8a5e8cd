"""Shows the answer to a request about several profiles: one line each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from credfresh.cli import say
from credfresh.cli.exits import Exit
from credfresh.control.shapes import Renewals, Withdrawals
from credfresh.summary import hints

_NOTHING = {
    "renewed": "nothing to renew; a profile that was withdrawn comes back if it is named",
    "withdrawn": "nothing to withdraw",
}
_EARLIER_HINT = "if you have changed something since, ask again in half a minute"


def show(answer: Renewals | Withdrawals, verb: str, *, as_json: bool) -> None:
    """Tell what became of each profile; leave with 3 if some could not be `verb`."""
    profiles: Sequence[Mapping[str, Any]] = answer["profiles"]
    failed = [profile for profile in profiles if not profile[verb]]
    if as_json:
        click.echo(json.dumps({"version": 1, **answer}))
    else:
        for profile in profiles:
            if profile[verb]:
                until = f", valid until {profile['expiration']}" if profile["expiration"] else ""
                click.echo(f"{profile['profile']}: {_verb(profile, verb)}{until}")
        for profile in failed:
            say(f"{profile['profile']}: not {_verb(profile, verb)}: {profile['error']}")
        for line in hints((profile["profile"], profile["hint"]) for profile in failed):
            click.echo(f"hint: {line}", err=True)
        if any(profile["earlier"] for profile in profiles):
            say("`moments ago`: STS was not asked again", _EARLIER_HINT)
        if not profiles:
            click.echo(_NOTHING[verb])
    if failed:
        raise SystemExit(Exit.SOME_FAILED)


def _verb(profile: Mapping[str, Any], verb: str) -> str:
    """Return what was done; an outcome that is not of this request says so."""
    return f"{verb} moments ago" if profile["earlier"] else verb
