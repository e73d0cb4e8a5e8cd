"""Which keys each mapping of the file may have, by its path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from credfresh.config import schema, source_shapes, vault_shapes
from credfresh.config.echo import Path
from credfresh.config.strict import Strict

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
"""Where people look for a key that they know, most likely first."""

_SOURCE = 2
"""The length of the path of a source: sources.NAME."""


def model_of(path: Path) -> type[Strict] | None:
    """Return the model of the mapping at `path`; None for one of names, and for a source."""
    named = path[0:1] in (("sources",), ("profiles",)) and len(path) > 1
    return _MODELS.get((path[0], "*", *path[2:]) if named else path)


def known_keys(path: Path, data: Any) -> tuple[str, ...]:
    """Return the keys that the mapping at `path` of the data may have."""
    if path[0:1] == ("sources",) and len(path) == _SOURCE:
        kind = source_shapes.source_kind(value_at(data, path)) or "profile"
        if kind == "profile":  # beside which the key of another kind may have been meant
            return ("profile", *source_shapes.SOURCE_KINDS)
        model = source_shapes.SOURCE_KINDS[kind]
    else:
        model = model_of(path) or schema.ConfigFile
    return tuple(model.model_fields)


def home_of(key: str) -> str | None:
    """Say where in the file a key belongs; None if it is known nowhere."""
    return next((home for home, model in _HOMES.items() if key in model.model_fields), None)


def value_at(data: Any, path: Path) -> Any:
    """Return the value at `path` of the data."""
    for part in path:
        data = data[part]
    return data
