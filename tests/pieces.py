"""Pieces for the tests of the file core, and a simple split of a file into foreign and ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Mapping

from credfresh.splice import ownership
from credfresh.splice.mark import Mark
from credfresh.splice.ownership import Document, Merge, Piece

INSTANCE = "build-host"
SECRET = "canary-secret"


class _AnySessionKey:
    def __contains__(self, key: object) -> bool:
        return str(key).startswith("ASIA")


ISSUED = _AnySessionKey()
"""As if we had issued every session key id that there is."""


def piece(
    section: str,
    generation: int = 0,
    *,
    adopt: bool = False,
    instance: str = INSTANCE,
    region: str | None = None,
) -> Piece:
    """Return a piece; another generation has other keys and times."""
    key = f"ASIA{section.upper()}{generation}"
    values = [
        ("aws_access_key_id", key),
        ("aws_secret_access_key", f"{SECRET}{generation}"),
        ("aws_session_token", f"{SECRET}-token-{section}-{generation}"),
    ]
    if region:
        values.append(("region", region))
    values.append(("x_security_token_expires", "2026-11-24T13:00:00Z"))
    issued = 1_795_521_600 + 60 * generation
    role = "arn:aws:iam::111111111111:role/deploy"
    said = Mark(instance, role, "0123456789abcdef", issued, issued + 3600, key)
    return Piece(section, f"profile-{section}", said, tuple(values), adopt)


def pieces(*given: Piece) -> dict[str, Piece]:
    """Return the pieces by section."""
    return {each.section: each for each in given}


def merge(
    standing: Document | bytes,
    put: Mapping[str, Piece],
    *,
    issued: Container[str] = ISSUED,
    leave: Collection[str] = (),
    withdraw: Collection[str] = (),
) -> Merge:
    """Merge as the daemon of instance `build-host`."""
    return ownership.merge(
        standing, put, instance=INSTANCE, issued=issued, leave=leave, withdraw=withdraw
    )


def block(wanted: Piece) -> str:
    """Return the block that we write for a piece where no line end has to be added."""
    return wanted.render().decode()


_HEAD = re.compile(
    rb"\[[^\r\n]*\]\n# credfresh v=1 instance=build-host [^\r\n]* size=(\d+)[^\n]*\n"
)


def split(data: bytes) -> list[bytes | None]:
    """Cut a file into foreign texts and our blocks (None), by the sizes in the marks alone."""
    parts: list[bytes | None] = []
    at = 0
    for head in _HEAD.finditer(data):
        parts += [data[at : head.start()], None]
        at = head.end() + int(head[1])
    return [*parts, data[at:]]
