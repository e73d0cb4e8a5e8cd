"""Takes out what looks like a secret, in case one is logged after all. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

REDACTED = "[redacted]"

_NAME = re.compile(r"secret|token|password", re.IGNORECASE)
_RUN = "[A-Za-z0-9+/]"
_TEXT = re.compile(
    rf"(?:IQoJ|FwoG|FQoG){_RUN}{{16,}}=*"  # how STS's session tokens begin
    rf"|{_RUN}{{100,}}=*"  # tokens that begin otherwise
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # a JSON web token
    # A secret access key: 40 characters of base64, of both cases; no digest, and hardly a path.
    rf"|(?<!{_RUN})(?={_RUN}{{0,39}}[a-z])(?={_RUN}{{0,39}}[A-Z]){_RUN}{{40}}(?!{_RUN})"
)


def redact(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields as plain values, without anything that looks like a secret.

    Other values are replaced by the name of their type: their text might hold anything.
    """
    return {name: _redacted(name, value) for name, value in fields.items()}


def _redacted(name: str, value: object) -> object:
    if _NAME.search(name):
        return REDACTED
    match value:
        case str():
            return _TEXT.sub(REDACTED, value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return redact({str(key): each for key, each in value.items()})
        case list() | tuple():
            return [_redacted("", each) for each in value]
        case _:
            return f"<{type(value).__name__}>"
