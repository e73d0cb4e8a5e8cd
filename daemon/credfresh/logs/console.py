"""Renders an event for people: a line that reads from left to right, and below it what to do.

20:35:32 ✕ renewal_failed         production       code=AccessDenied mend=human retry_in_s=1.9
error  User … is not authorized to perform: sts:AssumeRole on …
hint   the role's trust policy must name the principal of source ci
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

EVENT, PROFILE = 22, 16
"""The widths of the columns of the event's name, and of the profile's."""

BELOW = ("error", "reason", "first", "message", "hint", "frames")
"""Fields of many words, each on a line of its own, in this order."""

LAST = ("access_key_id", "role_arn")
"""Fields that people look up rather than watch: shown last, and faint."""

SIGNS = {"error": "✕", "warning": "!", "info": "·", "debug": " "}
_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[33m", "info": "", "debug": "\x1b[2m"}
_GOOD, _BOLD, _FAINT, _PLAIN = "\x1b[32m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_GOOD_EVENTS = ("_recovered", "credentials_renewed", "daemon_ready", "_leads")


class ConsoleRenderer:
    """The last of structlog's processors: turns an event's printable fields into lines."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: Any, _name: str, fields: MutableMapping[str, Any]) -> str:
        """Return the lines of one event, without a final line end."""
        stamp, level = str(fields.pop("timestamp")), str(fields.pop("level"))
        event, profile = str(fields.pop("event")), fields.pop("profile", None)
        good = level == "info" and event.endswith(_GOOD_EVENTS)
        colour = _GOOD if good else _COLOURS[level]
        head = [
            self._in(_FAINT, stamp[11:19]),
            self._in(colour, f"{SIGNS[level]} {event:{EVENT}}"),
            *([self._in(_BOLD, f"{profile!s:{PROFILE}}")] if profile is not None else []),
            *self._pairs(fields, stamp[:11]),
        ]
        return "\n".join([" ".join(head).rstrip(), *self._below(fields)])

    def _pairs(self, fields: Mapping[str, Any], today: str) -> Iterator[str]:
        names = [name for name in fields if name not in (*BELOW, *LAST)]
        for name in [*names, *(name for name in LAST if name in fields)]:
            value = _shown(fields[name]).removeprefix(today)
            if name in LAST:
                yield self._in(_FAINT, f"{name}={value}")
            else:
                yield f"{self._in(_FAINT, f'{name}=')}{value}"

    def _below(self, fields: Mapping[str, Any]) -> Iterator[str]:
        for name in BELOW:
            value = fields.get(name)
            texts = value if isinstance(value, list) else [] if value is None else [value]
            for text in texts:
                yield f"{'':13}{self._in(_FAINT, f'{name:6}')} {text}"

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colours and colour else text


def _shown(value: object) -> str:
    if isinstance(value, str) and value and " " not in value:
        return value.removesuffix("Z") if _is_moment(value) else value
    return json.dumps(value, ensure_ascii=False)


def _is_moment(value: str) -> bool:
    return len(value) == len("2026-11-24T20:35:39Z") and value[10] == "T" and value[-1] == "Z"
