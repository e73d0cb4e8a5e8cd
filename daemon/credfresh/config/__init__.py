"""One YAML file to frozen settings, or every mistake in it at once.

    bytes ─ document ▶ data, positions ─ verdicts ▶ schema ─ checks, relations, assemble ▶ Settings

The only door to yaml and pydantic. Nothing outside sees the file's shape; what the daemon does
is decided by `credfresh.settings` alone. Nothing is imported here: who only has an `excerpt` of the
file does not pay for pydantic.
"""
