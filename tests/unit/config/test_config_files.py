"""The committed example, minimal file, schema and reference are held to what is accepted."""

from __future__ import annotations

import json
import re
from pathlib import Path as FilePath
from typing import Any

import pytest
import yaml

from configs import accepted, one_profile
from credfresh.config import schema, source_shapes, vault_shapes
from credfresh.config.echo import HIDDEN
from credfresh.config.json_schema import json_schema
from credfresh.config.notices import ADVICE
from credfresh.config.places import mode
from credfresh.config.strict import Strict
from credfresh.config.words import seconds
from credfresh.settings import FileTarget, MetricsSettings, StsLimits

ROOT = FilePath(__file__).parents[3]
EXAMPLE = ROOT / "config" / "credfresh.example.yaml"
MINIMAL = ROOT / "config" / "minimal.yaml"
REFERENCE = ROOT / "docs" / "configuration.md"

MODELS: dict[str, list[type[Strict]]] = {
    "Top": [schema.ConfigFile],
    "`credentials_file`": [schema.CredentialsFile],
    "`sources.NAME`": list(source_shapes.SOURCE_KINDS.values()),
    "`sources.NAME.web_identity`": [source_shapes.WebIdentity],
    "`sources.NAME.vault`": [vault_shapes.Vault],
    "`sources.NAME.vault.auth`": [vault_shapes.VaultAuth],
    "`sts`": [schema.Sts],
    "`vault`": [vault_shapes.HubVault],
    "`control`": [schema.Control],
    "`metrics`": [schema.Metrics],
    "`log`": [schema.Log],
    "`on_renew`": [schema.OnRenew],
    "`profiles.NAME`": [schema.Profile],
}
"""The headings of the reference, and the models whose keys stand under each."""


def uncommented(text: str) -> str:
    """Return the example with every `#key:` set; prose has one space after its `#`."""
    return re.sub(r"(?m)^( *)#(?! \S|$)", r"\1", text)


def keys_of(models: list[type[Strict]]) -> set[str]:
    """Return the keys of some models."""
    return {key for model in models for key in model.model_fields}


def paths(tree: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return every path of keys in plain data, the names of profiles and sources as `*`."""
    if not isinstance(tree, dict):
        return set()
    found = set()
    for key, value in tree.items():
        here = (*path, "*" if path in {("profiles",), ("sources",)} else key)
        found |= {here} | paths(value, here)
    return found


def test_the_example_is_valid_as_committed() -> None:
    """It has three environments and one principal, and causes no notice."""
    settings = accepted(EXAMPLE.read_bytes())
    assert list(settings.profiles) == ["development", "preproduction", "production"]
    assert {profile.source for profile in settings.profiles.values()} == {"ci-user"}
    assert settings.notices == ()
    assert settings.target == FileTarget("/run/credfresh/credentials", 0o640)


def test_the_example_is_valid_with_every_choice_taken() -> None:
    """What is commented out is valid too; `fips` and `endpoint_url` exclude each other."""
    text = uncommented(EXAMPLE.read_text(encoding="utf-8"))
    settings = accepted(re.sub(r"(?m)^ *fips: true$", "", text))
    assert {"audit", "reports", "government", "laboratory"} <= settings.profiles.keys()
    assert accepted(re.sub(r"(?m)^  endpoint_url: .*$", "", text)).profiles["government"].fips


def test_the_example_shows_every_key_and_no_other() -> None:
    """Each accepted key can be found in it, live or commented out."""
    text = uncommented(EXAMPLE.read_text(encoding="utf-8"))
    shown = paths(yaml.load(text, Loader=yaml.BaseLoader))

    def below(*above: str) -> set[str]:
        found = {path for path in shown if path[: len(above)] == above}
        return {path[len(above)] for path in found if len(path) == len(above) + 1}

    of = {
        "Top": below(),
        "`credentials_file`": below("credentials_file"),
        "`sources.NAME`": below("sources", "*"),
        "`sources.NAME.web_identity`": below("sources", "*", "web_identity"),
        "`sources.NAME.vault`": below("sources", "*", "vault"),
        "`sources.NAME.vault.auth`": below("sources", "*", "vault", "auth"),
        "`sts`": below("sts"),
        "`vault`": below("vault"),
        "`control`": below("control"),
        "`metrics`": below("metrics"),
        "`log`": below("log"),
        "`on_renew`": below("on_renew"),
        "`profiles.NAME`": below("profiles", "*") | below("defaults"),
    }
    assert of == {heading: keys_of(models) for heading, models in MODELS.items()}


def test_the_minimal_file_cannot_be_shorter() -> None:
    """It is valid, and no longer when any of its lines is taken away."""
    text = MINIMAL.read_text(encoding="utf-8")
    assert list(accepted(text).profiles) == ["production"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for number in range(len(lines)):
        shorter = "\n".join(lines[:number] + lines[number + 1 :])
        with pytest.raises(Exception, match=r"c\.yaml:\d"):
            accepted(shorter)


@pytest.mark.parametrize("path", [EXAMPLE, MINIMAL], ids=lambda path: path.name)
def test_editors_are_told_where_the_schema_is(path: FilePath) -> None:
    """The first line names the schema that lies beside the file."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=credfresh.schema.json"
    assert (path.parent / "credfresh.schema.json").is_file()


def test_the_committed_schema_is_the_models() -> None:
    """`credfresh schema > config/credfresh.schema.json` would change nothing."""
    committed = (ROOT / "config" / "credfresh.schema.json").read_text(encoding="utf-8")
    assert committed == json.dumps(json_schema(), indent=2) + "\n"


def test_the_schema_knows_every_path_of_the_example() -> None:
    """References are followed, and a path that does not exist is not found."""
    text = uncommented(EXAMPLE.read_text(encoding="utf-8"))
    whole = json_schema()

    def branches(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return branches(whole["$defs"][node["$ref"].rsplit("/", 1)[1]])
        several = node.get("oneOf", node.get("anyOf"))
        return [leaf for one in several for leaf in branches(one)] if several else [node]

    def known(node: dict[str, Any], path: tuple[str, ...]) -> bool:
        if not path:
            return True
        for branch in branches(node):
            names = branch.get("patternProperties", {"": branch.get("additionalProperties")})
            inner = branch.get("properties", {}).get(path[0], *names.values())
            if isinstance(inner, dict) and known(inner, path[1:]):
                return True
            if inner is None and branch.get("type") == ["object", "string"]:
                return True
        return False

    for path in paths(yaml.load(text, Loader=yaml.BaseLoader)):
        assert known(whole, path), path
    assert not known(whole, ("nonsense",))


def test_the_schema_says_so_where_a_number_or_a_boolean_is_meant() -> None:
    """Every scalar is read as text, but editors must not ask for quotes."""
    defs = json_schema()["$defs"]
    assert defs["Sts"]["properties"]["max_concurrency"]["type"] == "integer"
    assert defs["Sts"]["properties"]["calls_per_second"]["type"] == "number"
    assert defs["Profile"]["properties"]["adopt"]["type"] == "boolean"
    assert defs["Vault"]["required"] == ["address", "auth"]
    assert "null" not in json.dumps(defs)
    assert all("description" in p for d in defs.values() for p in d["properties"].values())


def test_the_reference_lists_every_key_and_no_other() -> None:
    """The tables of docs/configuration.md are the accepted keys."""
    text = REFERENCE.read_text(encoding="utf-8")
    parts = re.split(r"(?m)^## (.*)$", text)
    tables = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = {
        heading: set(re.findall(r"(?m)^\| `([a-z0-9_]+)`", tables[heading])) for heading in MODELS
    }
    assert found == {heading: keys_of(models) for heading, models in MODELS.items()}
    required = {
        heading: set(re.findall(r"(?m)^\| `([a-z0-9_]+)` \*", tables[heading]))
        for heading in MODELS
        if heading != "`sources.NAME`"
    }
    assert required == {
        heading: {k for m in MODELS[heading] for k, f in m.model_fields.items() if f.is_required()}
        for heading in required
    }


def test_the_reference_lists_the_notices() -> None:
    """Each event that an accepted file can cause is explained."""
    section = REFERENCE.read_text(encoding="utf-8").split("## Notices")[1]
    listed = re.findall(r"(?m)^\| `(\w+)`", section)
    source = (ROOT / "daemon/credfresh/config/notices.py").read_text(encoding="utf-8")
    assert set(listed) == set(re.findall(r'(?:yield|Notice\() ?"(\w+)"', source))


def test_each_notice_says_what_to_do() -> None:
    """`credfresh check` shows the advice below the notice."""
    source = (ROOT / "daemon/credfresh/config/notices.py").read_text(encoding="utf-8")
    assert set(ADVICE) == set(re.findall(r'(?:yield|Notice\() ?"(\w+)"', source))


def test_defaults_are_a_profile_less_what_cannot_be_shared() -> None:
    """They have every key of a profile but the five that make it this one."""
    apart = {"role_arn", "source_profile", "section", "external_id", "adopt"}
    assert keys_of([schema.Profile]) - keys_of([schema.Defaults]) == apart


def test_the_reference_names_every_key_whose_value_is_never_repeated() -> None:
    """So nobody has to guess whose values may stand in a message."""
    [said] = re.findall(r"(?ms)never repeated: (.*?)\.$", REFERENCE.read_text(encoding="utf-8"))
    assert set(HIDDEN) == set(re.findall(r"`(\w+)`", said))


def test_the_documented_defaults_are_the_real_ones() -> None:
    """What the reference says under `if absent` is what the daemon does."""
    text = REFERENCE.read_text(encoding="utf-8")
    said = dict(re.findall(r"(?m)^\| `(\w+)`.*\| `?\"?([0-9][\w%]*)\"?`? \|$", text))
    limits = StsLimits()
    assert mode(said["mode"]) == FileTarget("/x").mode
    assert mode(said["textfile_mode"]) == MetricsSettings().textfile_mode
    assert float(said["calls_per_second"]) == limits.calls_per_second
    assert int(said["max_concurrency"]) == limits.max_concurrency
    assert seconds(said["connect_timeout"]) == limits.connect_timeout
    assert seconds(said["read_timeout"]) == limits.read_timeout
    profile = accepted(one_profile()).profiles["production"]
    assert seconds(said["duration"]) == profile.duration
    assert said["renew_before"] == "50%"
    assert profile.renew_before.share == 0.5
