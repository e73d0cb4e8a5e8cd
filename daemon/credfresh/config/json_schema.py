"""The JSON Schema of the file, for editors and for `credfresh schema`."""

from __future__ import annotations

from typing import Any

from credfresh.config.schema import ConfigFile


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of the configuration as YAML 1.2 editors read it."""
    schema = _tidy(ConfigFile.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _tidy(node: Any) -> Any:
    """Take out what pydantic adds for absent keys (null) and the titles that repeat the names."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if not _is_noise(key, value)}
    branches = [b for b in kept.get("anyOf", ()) if b != {"type": "null"}]
    if len(branches) == 1 and isinstance(kept.get("anyOf"), list):
        del kept["anyOf"]
        kept = {**branches[0], **kept}
    return {key: _tidy(value) for key, value in kept.items()}


def _is_noise(key: str, value: Any) -> bool:
    return (key == "default" and value is None) or (key == "title" and isinstance(value, str))
