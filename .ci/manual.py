"""Print credfresh(1), made of what the commands say about themselves.

python .ci/manual.py > credfresh.1
"""

from __future__ import annotations

import re
import sys
import textwrap

import click

import credfresh
from credfresh.cli import COMMANDS, cli
from credfresh.cli.exits import Exit

MEANS = {
    Exit.OK: "Done.",
    Exit.FAILED: "A second signal forced the end, or an error without a status of its own.",
    Exit.USAGE: "Wrong usage.",
    Exit.SOME_FAILED: "Some profiles failed or were refused; the others are published.",
    Exit.NOT_FRESH: "Not all profiles are fresh.",
    Exit.NOT_REACHED: "The credentials do not last as long as asked.",
    Exit.UNAVAILABLE: "No daemon answers.",
    Exit.ALREADY_RUNNING: "Another daemon keeps this file.",
    Exit.NOT_ALLOWED: "Not allowed.",
    Exit.CONFIG: "The configuration is bad; all its problems are listed.",
}
SIGNALS = {
    "TERM, INT": "End. The daemon waits for answers on their way; a second signal ends it at once.",
    "HUP": "Read the configuration again. A bad one changes nothing.",
    "USR1": "Renew all profiles now.",
}
FILES = {
    "/etc/credfresh/credfresh.yaml": "The configuration.",
    "/etc/credfresh/aws/config, /etc/credfresh/aws/credentials": (
        "The daemon's own AWS files, in the service."
    ),
    "/run/credfresh/credentials": "What is published, unless the configuration names another file.",
    "/run/credfresh/control.sock": "The socket of the service, for `credfresh status` and others.",
    "/usr/share/credfresh/config/credfresh.example.yaml": "Every key, and what it is for.",
    "/usr/share/credfresh/systemd/drop-ins/": "Drop-ins for `systemctl edit`.",
    "/usr/share/doc/credfresh/operations.md": "Installing, upgrading, rotating keys, alerts.",
}


def plain(text: str) -> str:
    """Return text that roff takes as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\`")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", escaped.replace("'", "\\(aq"))


def bold(text: str) -> str:
    """Return text in bold."""
    return f"\\fB{plain(text)}\\fR"


def paragraphs(text: str) -> list[str]:
    """Return the lines of a docstring, with the breaks between its paragraphs."""
    return "\n.PP\n".join(
        plain(" ".join(part.split())) for part in textwrap.dedent(text).strip().split("\n\n")
    ).splitlines()


def entry(term: str, text: str) -> list[str]:
    """Return an item of a list."""
    return [".TP", term, plain(text)]


def option(parameter: click.Parameter, context: click.Context) -> list[str]:
    """Return the entry of an option; nothing for an argument."""
    record = parameter.get_help_record(context)
    return [] if record is None else entry(bold(record[0]), " ".join(record[1].split()))


def command(name: str, root: click.Context) -> list[str]:
    """Return the part about one command."""
    described = cli.get_command(root, name)
    if described is None:
        raise LookupError(name)
    context = click.Context(described, info_name=name, parent=root)
    usage = " ".join(described.collect_usage_pieces(context))
    lines = [f'.SS "credfresh {name}"', f"{bold(f'credfresh {name}')} {plain(usage)}", ".PP"]
    lines += paragraphs(described.help or COMMANDS[name])
    for parameter in described.get_params(context):
        lines += option(parameter, context)
    return lines


def page() -> list[str]:
    """Return the lines of the page."""
    root = click.Context(cli, info_name="credfresh", help_option_names=["-h", "--help"])
    lines = [
        f'.TH CREDFRESH 1 "" "credfresh {credfresh.__version__}" "User Commands"',
        ".nh",
        ".ad l",
        ".SH NAME",
        plain("credfresh - keep AWS session credentials fresh in the shared credentials file"),
        ".SH SYNOPSIS",
        f"{bold('credfresh')} [OPTIONS] COMMAND [ARGS]...",
        ".SH DESCRIPTION",
        *paragraphs((cli.help or "").partition("\n\n")[0]),
        ".SH OPTIONS",
    ]
    for parameter in cli.get_params(root):
        lines += option(parameter, root)
    lines.append(".SH COMMANDS")
    for name in COMMANDS:
        lines += command(name, root)
    lines.append(".SH EXIT STATUS")
    for status in Exit:
        lines += entry(bold(str(int(status))), MEANS[status])
    lines.append(".SH SIGNALS")
    for number, text in SIGNALS.items():
        lines += entry(bold(number), text)
    lines.append(".SH ENVIRONMENT")
    lines += entry(bold("CREDFRESH_CONFIG"), "The configuration, unless an option names one.")
    lines += entry(bold("CREDFRESH_SOCKET"), "The daemon's socket, unless an option names one.")
    lines += entry(bold("HTTPS_PROXY, NO_PROXY, AWS_CA_BUNDLE"), "Honoured on the way to AWS STS.")
    lines.append(".SH FILES")
    for path, text in FILES.items():
        lines += entry(bold(path), text)
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
