"""`credfresh withdraw`."""

from __future__ import annotations

import click

from credfresh.cli.asking import Whereabouts
from credfresh.cli.options import ProfileName, client_options, json_option
from credfresh.cli.outcomes import show
from credfresh.control.protocol import MOST_TIMEOUT, Withdraw


@click.command("withdraw")
@click.argument("profiles", nargs=-1, type=ProfileName(), metavar="[PROFILE]...")
@client_options
@json_option
def command(
    profiles: tuple[str, ...], socket: str | None, config: str | None, *, as_json: bool
) -> None:
    """Take away what is published for these profiles, for all if none is named.

    For a compromised role, or at the end of a host's life. Returns when our sections are gone;
    what is not ours stays. Nothing renews these profiles until `credfresh renew` names them, a
    reload is accepted, or the daemon starts again. This ends no session at AWS: revoke it there.
    For root and the daemon's own user.

    Exit status: 0 gone; 3 some are not; 2 no such profile; 69 no daemon; 77 not allowed.
    """
    where = Whereabouts(socket, config)
    request = Withdraw(profiles, instances=where.instances)
    done = where.ask(request, patience=MOST_TIMEOUT + 10)
    show(done, "withdrawn", as_json=as_json)
