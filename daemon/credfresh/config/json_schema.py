"""The JSON Schema of the file, for editors and for `credfresh schema`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from credfresh.config.schema import ConfigFile
from credfresh.config.strict import Strict


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of the configuration as YAML 1.2 editors read it."""
    schema = ConfigFile.model_json_schema()
    models = {model.__name__: model for model in _models(Strict)}
    for name, part in [(ConfigFile.__name__, schema), *schema["$defs"].items()]:
        for key, text in _descriptions(models[name]).items():
            part["properties"][key] = {"description": text, **part["properties"][key]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_tidy(schema)}


def _models(base: type[Strict]) -> Iterator[type[Strict]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _descriptions(model: type[Strict]) -> dict[str, str]:
    """Return the docstring under each key of a model, also of those that it inherits.

    pydantic can read them, too, but only while it makes the class: so for each command that is run.
    """
    found: dict[str, str] = {}
    for base in model.__mro__[: model.__mro__.index(Strict)]:
        (made,) = ast.parse(inspect.getsource(base)).body
        for each, below in pairwise(ast.iter_child_nodes(made)):
            match each, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=key)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found.setdefault(key, inspect.cleandoc(text))
    return found


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
