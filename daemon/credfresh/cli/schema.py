"""`credfresh schema`."""

from __future__ import annotations

import json

import click

from credfresh import config


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(config.json_schema(), indent=2))
