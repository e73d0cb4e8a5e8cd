"""`credfresh renew`."""

from __future__ import annotations

import click

from credfresh.cli.asking import Whereabouts
from credfresh.cli.options import ProfileName, client_options, json_option
from credfresh.cli.outcomes import show
from credfresh.control.protocol import MOST_TIMEOUT, Renew


@click.command("renew")
@click.argument("profiles", nargs=-1, type=ProfileName(), metavar="[PROFILE]...")
@client_options
@json_option
def command(
    profiles: tuple[str, ...], socket: str | None, config: str | None, *, as_json: bool
) -> None:
    """Renew these profiles now, all if none is named; say what came of each.

    Returns when the new credentials are published. A profile that was renewed on demand moments
    ago (30 seconds, or a twentieth of its session) is not renewed again: its last outcome is
    told, and marked so. One that was withdrawn comes back if it is named. For root and the
    daemon's own user.

    Exit status: 0 all are renewed; 3 some are not; 2 no such profile; 69 no daemon; 77 not
    allowed.
    """
    where = Whereabouts(socket, config)
    request = Renew(profiles, instances=where.instances)
    done = where.ask(request, patience=MOST_TIMEOUT + 10)
    show(done, "renewed", as_json=as_json)
