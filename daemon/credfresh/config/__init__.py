"""Turns one YAML file into frozen settings, or reports every mistake in it at once.

    bytes ─ document ▶ data, positions ─ verdicts ▶ schema ─ checks, relations, assemble ▶ Settings

The only door to yaml and pydantic. Nothing outside sees the file's shape; what the daemon does
is decided by `credfresh.settings` alone. Nothing is imported here: a command that only reads an
`excerpt` of the file does not load pydantic.
"""
