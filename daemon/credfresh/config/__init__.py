"""One YAML file to frozen settings, or every mistake in it at once.

    bytes ─ document ▶ data, positions ─ verdicts ▶ schema ─ checks, relations, assemble ▶ Settings

The only door to yaml and pydantic. Nothing outside sees the file's shape; what the daemon does
is decided by `credfresh.settings` alone.
"""

from credfresh.config.file import load
from credfresh.config.json_schema import json_schema
from credfresh.config.parse import parse

__all__ = ["json_schema", "load", "parse"]
