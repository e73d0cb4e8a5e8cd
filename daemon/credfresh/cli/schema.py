"""`credfresh schema`."""

from __future__ import annotations

import json

import click

from credfresh.config.json_schema import json_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
