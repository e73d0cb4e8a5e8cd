"""Validates the file's shape, and tells pydantic's findings in our own words, with positions.

pydantic's messages repeat the input, so none of them leaves this module: an error's type and
place are read, its text never is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from credfresh.config import schema, source_shapes
from credfresh.config.document import Document
from credfresh.config.echo import Path, closest, did_you_mean, got, kind, not_plain
from credfresh.config.findings import Findings, find, key_of, value_or_parent
from credfresh.config.known_keys import model_of, value_at
from credfresh.config.unknown_keys import (
    KEYS_HINT,
    add_unknown_key,
    is_key_material,
    meant_beside,
)
from credfresh.config.words import RefusedError

_UNIT = {"profiles": 3, "sources": 2, "defaults": 2, "sts": 2, "metrics": 2, "log": 2}
"""How many parts of a path name the unit that is set aside if anything in it is wrong (else 1)."""

_MISSING_HINTS = {
    "path": "the file to publish in: /run/credfresh/credentials",
    "profile": "the section that holds the principal's keys: [NAME]",
    "credentials_file": "the file to publish in: {path: /run/credfresh/credentials}",
    "profiles": "the roles to keep assumed, by name",
    "listen": "write it as 127.0.0.1:9465",
}

_FEW = 6
"""Keys that a hint names, at most."""


def judge_shape(document: Document, findings: Findings) -> schema.ConfigFile:
    """Validate every key by itself; return the file without what was wrong, which is set aside.

    What was set aside is in `findings.faulty`, for the checks that follow.

    Raises:
        ConfigError: so much was wrong that nothing can be judged further.
    """
    file, errors = _validated(document.data)
    if file is not None:
        return file
    # The messages are made before anything is set aside: they look at the data.
    units = [unit for error in errors for unit in _judge(error, document, findings)]
    for unit in units:
        _set_aside(document.data, unit)
    findings.faulty.update(units)
    file, _ = _validated(document.data)
    if file is None:  # pragma: no cover  # what is faulty has been set aside
        findings.raise_if_any()
        raise AssertionError("a problem was found and not recorded")
    return file


def _validated(data: Any) -> tuple[schema.ConfigFile | None, list[ErrorDetails]]:
    """Validate; drop pydantic's exception, which would be chained to ours and quote the file."""
    try:
        return schema.ConfigFile.model_validate(data), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _judge(error: ErrorDetails, document: Document, findings: Findings) -> Iterator[Path]:
    """Record one error, and yield the paths of what must be set aside because of it."""
    path = _path(error)
    if findings.full:
        findings.raise_if_any()
    unit = path[: _UNIT.get(str(path[0]), 1)]
    match error["type"]:
        case "extra_forbidden":
            yield path
            meant = add_unknown_key(path, document, findings)
            if meant:
                findings.faulty.add((*path[:-1], meant)[: len(unit)])
        case "missing":
            yield unit
            if find(document.place, path) is None and path not in meant_beside(path, document):
                hint = _MISSING_HINTS.get(str(path[-1]))
                findings.add_at(document.place, path, "is required", hint=hint)
        case _:
            yield unit
            _wrong_value(error, path, document, findings)


def _path(error: ErrorDetails) -> Path:
    """Return the path in the file: pydantic adds the tag of a union, and marks keys."""
    path = error["loc"]
    if path[0] == "sources" and len(path) > 2 and path[2] != "[key]":  # noqa: PLR2004  # sources.NAME.TAG
        path = (*path[:2], *path[3:])
    if path[-1] == "[key]" and error["type"] == "value_error":
        path = path[:-1]
    return path


def _mapping(path: Path) -> str:
    """Return the hint if something else stands in the place of the mapping at `path`."""
    if path[0] == "sources" and len(path) == 2:  # noqa: PLR2004  # sources.NAME
        return "such as {profile: NAME}, or {credentials_file: PATH, profile: NAME}"
    model = model_of(path)
    keys = tuple(model.model_fields) if model else ()
    named = f" ({', '.join(keys)})" if 0 < len(keys) <= _FEW else ""
    return f"its keys{named} stand below it, indented, without dashes, a space after each `:`"


def _wrong_value(error: ErrorDetails, path: Path, document: Document, findings: Findings) -> None:
    value = value_at(document.data, path)
    place = value_or_parent(document.place, path)
    if error["loc"][-1] == "[key]":
        place, value = key_of(place), path[-1]
    reason, hint = "cannot be accepted", None
    match error:
        case {"type": "value_error", "ctx": {"error": RefusedError() as refused}}:
            hint = refused.hint
            said = got(value, path) if refused.got is None else refused.got
            reason = f"{refused.reason} {said}".rstrip()
        case {"type": "literal_error", "ctx": {"expected": str(expected)}}:
            reason = f"must be {expected} {got(value, path)}"
            words = expected.replace("'", "").replace(",", " ").split()
            hint = did_you_mean(value, words) if isinstance(value, str) else None
        case {"type": "union_tag_not_found"} if isinstance(value, dict):
            place = key_of(place)
            reason, hint = _no_kind(value)
        case {"type": "model_type" | "dict_type" | "union_tag_not_found"}:
            reason = f"must be a mapping of keys (got {kind(value)})"
            hint = _mapping(path)
        case _:
            pass
    if isinstance(value, str):
        variable = re.search(r"\$\{?[A-Za-z_]", value)
        hint = "`$` is not expanded: write it out" if variable else not_plain(value) or hint
    findings.add(place, path, reason, hint=hint)


def _no_kind(source: dict[str, Any]) -> tuple[str, str]:
    """Return what to say of a source of no kind, or of several."""
    kinds = [key for key in source_shapes.SOURCE_KINDS if key in source]
    if kinds:
        return f"is of {len(kinds)} kinds at once: {', '.join(kinds)}", "keep one"
    slips = (closest(key, source_shapes.SOURCE_KINDS) for key in list(source)[:20])
    meant = next((slip for slip in slips if slip), None)
    if any(is_key_material(key) for key in source):
        hint = KEYS_HINT
    elif meant:
        hint = f"did you mean `{meant}`?"
    else:
        hint = f"one of {', '.join(source_shapes.SOURCE_KINDS)}"
    return "does not say what kind of source it is", hint


def _set_aside(data: dict[str, Any], unit: Path) -> None:
    """Take a faulty unit out of the data, or put a stand-in where the file must have one."""
    parent: Any = data
    for part in unit[:-1]:
        parent = parent.get(part) if isinstance(parent, dict) else None
    if not isinstance(parent, dict):
        return
    match unit:
        case ("credentials_file",):
            parent["credentials_file"] = {"path": "/nonexistent/credentials"}
        case ("profiles",):
            parent["profiles"] = {}
        case _:
            parent.pop(unit[-1], None)
