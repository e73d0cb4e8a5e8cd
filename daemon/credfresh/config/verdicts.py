"""Validates the file's shape, and tells pydantic's findings in our own words, with positions.

pydantic's messages repeat the input, so none of them leaves this module: an error's type and
place are read, its text never is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from credfresh.config import schema, source_shapes, vault_shapes
from credfresh.config.document import Document
from credfresh.config.echo import Path, closest, did_you_mean, got, kind
from credfresh.config.findings import Findings, Place, find, key_of, value_or_parent
from credfresh.config.strict import Strict
from credfresh.config.words import RefusedError

_HOMES: Mapping[str, type[Strict]] = {
    "at the top": schema.ConfigFile,
    "under `defaults` or in a profile": schema.Defaults,
    "in a profile": schema.Profile,
    "under `credentials_file`": schema.CredentialsFile,
    "under `sts`": schema.Sts,
    "under `control`": schema.Control,
    "under `metrics`": schema.Metrics,
    "under `endpoint`": schema.Endpoint,
    "under `log`": schema.Log,
}
_UNIT = {"profiles": 3, "sources": 2, "defaults": 2, "sts": 2, "metrics": 2, "log": 2}
"""How many parts of a path name the unit that is set aside if anything in it is wrong (else 1)."""


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
            meant = _unknown_key(path, document, findings)
            if meant:
                findings.faulty.add((*path[:-1], meant)[: len(unit)])
        case "missing":
            yield unit
            if find(document.place, path) is None and path not in _meant(path, document):
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


def _value(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


_MODELS: Mapping[Path, type[Strict]] = {
    (): schema.ConfigFile,
    ("credentials_file",): schema.CredentialsFile,
    ("sources", "*", "web_identity"): source_shapes.WebIdentity,
    ("sources", "*", "vault"): vault_shapes.Vault,
    ("vault",): vault_shapes.HubVault,
    ("on_renew",): schema.OnRenew,
    ("defaults", "on_renew"): schema.OnRenew,
    ("profiles", "*", "on_renew"): schema.OnRenew,
    **{
        (*engine, "auth", *method): model
        for engine in (("vault",), ("sources", "*", "vault"))
        for method, model in vault_shapes.METHODS.items()
    },
    ("sts",): schema.Sts,
    ("control",): schema.Control,
    ("endpoint",): schema.Endpoint,
    ("metrics",): schema.Metrics,
    ("log",): schema.Log,
    ("defaults",): schema.Defaults,
    ("defaults", "credentials_file"): schema.CredentialsFile,
    ("profiles", "*"): schema.Profile,
    ("profiles", "*", "credentials_file"): schema.CredentialsFile,
}


def _model_of(path: Path) -> type[Strict] | None:
    """Return the model of the mapping at `path`; None for one of names, and for a source."""
    named = path[0:1] in (("sources",), ("profiles",)) and len(path) > 1
    return _MODELS.get((path[0], "*", *path[2:]) if named else path)


def _known_keys(path: Path, data: Any) -> tuple[str, ...]:
    """Return the keys that the mapping at `path` may have."""
    if path[0:1] == ("sources",) and len(path) == 2:  # noqa: PLR2004  # sources.NAME
        kind = source_shapes.source_kind(_value(data, path)) or "profile"
        if kind == "profile":  # beside which the key of another kind may have been meant
            return ("profile", *source_shapes.SOURCE_KINDS)
        model = source_shapes.SOURCE_KINDS[kind]
    else:
        model = _model_of(path) or schema.ConfigFile
    return tuple(model.model_fields)


_FEW = 6
"""Keys that a hint names, at most."""


def _mapping(path: Path) -> str:
    """Return the hint if something else stands in the place of the mapping at `path`."""
    model = _model_of(path)
    keys = tuple(model.model_fields) if model else ()
    named = f" ({', '.join(keys)})" if 0 < len(keys) <= _FEW else ""
    return f"its keys{named} stand below it, indented, without dashes, a space after each `:`"


_AWS_WORDS = {
    "credential_source": "say it as a source: sources: {NAME: {ec2_instance_metadata: true}},"
    " and `source: NAME`",
    "duration_seconds": "did you mean `duration`?",
    "name": "its name is the key that it stands under",
    "mfa_serial": "nobody is there to type a code: let the role trust a principal without MFA",
}
"""Keys of ~/.aws/config that people bring along, and what to say instead."""

_KEY_MATERIAL = frozenset(
    {"accesskeyid", "accesskey", "secretaccesskey", "secretkey", "sessiontoken", "securitytoken"}
)
_KEYS_HINT = (
    "keys do not belong in this file: keep them in one of their own, for the daemon's user alone,"
    " and name it: sources: {NAME: {credentials_file: PATH, profile: PROFILE}}, and `source: NAME`"
)


def _is_key_material(key: str) -> bool:
    """Say whether a key of the file has a name that SDKs give to a part of an access key."""
    plain = key.lower().replace("_", "").replace("-", "")
    return plain.removeprefix("aws") in _KEY_MATERIAL


def _unknown_key(path: Path, document: Document, findings: Findings) -> str | None:
    """Record an unknown key; return the key that was probably meant."""
    place = key_of(value_or_parent(document.place, path))
    key = str(path[-1])
    known = _known_keys(path[:-1], document.data)
    home = next((home for home, keys in _HOMES.items() if key in keys.model_fields), None)
    brought = _KEYS_HINT if _is_key_material(key) else _AWS_WORDS.get(key)
    plain = re.sub(r"[^\x21-\x7e]", "", key)
    if len(path) == 1 and "role_arn" in _keys_of(document.data[key]):
        brought = "a profile stands below `profiles:`, indented"
    elif plain != key and any(plain in model.model_fields for model in _HOMES.values()):
        brought = f"it is `{plain}` with characters that cannot be seen: type the line anew"
    meant = None if brought else closest(key, known, least=0.9 if home else 0.6)
    if brought:
        hint = brought
    elif meant:
        hint = f"did you mean `{meant}`?"
    elif home:
        hint = f"it belongs {home}"
    else:
        hint = f"known here: {', '.join(known)}"
    findings.hide_below(path)
    findings.add(place, path, "unknown key", hint=hint)
    return meant


def _keys_of(value: object) -> Iterator[str]:
    return iter(value if isinstance(value, dict) else ())


def _meant(path: Path, document: Document) -> frozenset[Path]:
    """Return the keys of which the unknown keys beside `path` are probably misspellings."""
    known = _known_keys(path[:-1], document.data)
    siblings = _value(document.data, path[:-1])
    slips = (closest(key, known) for key in list(siblings)[:100] if key not in known)
    return frozenset((*path[:-1], slip) for slip in slips if slip)


def _wrong_value(error: ErrorDetails, path: Path, document: Document, findings: Findings) -> None:
    value = _value(document.data, path)
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
        case {"type": "union_tag_not_found"}:
            _no_kind(value, path, place, findings)
            return
        case {"type": "model_type" | "dict_type"}:
            reason = f"must be a mapping of keys (got {kind(value)})"
            hint = _mapping(path)
        case _:
            pass
    if isinstance(value, str) and re.search(r"\$\{?[A-Za-z_]", value):
        hint = "`$` is not expanded: write it out"
    findings.add(place, path, reason, hint=hint)


def _no_kind(value: object, path: Path, place: Place, findings: Findings) -> None:
    """Record a source of no kind, or of several."""
    if not isinstance(value, dict):
        findings.add(
            place, path, f"must be a mapping of keys (got {kind(value)})", hint=_mapping(path)
        )
        return
    kinds = [key for key in source_shapes.SOURCE_KINDS if key in value]
    if kinds:
        reason = f"is of {len(kinds)} kinds at once: {', '.join(kinds)}"
        findings.add(key_of(place), path, reason, hint="keep one")
    else:
        slips = (closest(key, source_shapes.SOURCE_KINDS) for key in list(value)[:20])
        meant = next((slip for slip in slips if slip), None)
        if any(_is_key_material(key) for key in value):
            hint = _KEYS_HINT
        elif meant:
            hint = f"did you mean `{meant}`?"
        else:
            hint = f"one of {', '.join(source_shapes.SOURCE_KINDS)}"
        findings.add(key_of(place), path, "does not say what kind of source it is", hint=hint)


_MISSING_HINTS = {
    "path": "the file to publish in: /run/credfresh/credentials",
    "profile": "the section that holds the principal's keys: [NAME]",
    "credentials_file": "the file to publish in: {path: /run/credfresh/credentials}",
    "profiles": "the roles to keep assumed, by name",
}


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
