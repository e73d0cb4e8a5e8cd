"""The documented shape of `status --json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from credfresh.cli.status import PUBLIC
from credfresh.life.roster import status
from credfresh.statuses import State
from fakes import failure, profile, settings
from simulation import Simulation

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "status.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def shape(*profiles: dict[str, Any]) -> dict[str, Any]:
    """Return what the command prints for these profiles."""
    shown = [{key: one[key] for key in PUBLIC} for one in profiles]
    return {"version": 1, "from": "daemon", "profiles": shown}


def test_the_schema_of_status_has_and_explains_every_key() -> None:
    """It has the keys of the command, all of them required, and explains each."""
    Draft202012Validator.check_schema(SCHEMA)
    one = SCHEMA["$defs"]["profile"]
    assert list(PUBLIC) == one["required"] == list(one["properties"])
    assert all(key["description"] for key in one["properties"].values())
    assert list(State.__args__) == one["properties"]["state"]["enum"]  # type: ignore[attr-defined] # Literal


def test_profiles_in_every_state_fit_the_schema() -> None:
    """They are looked at before the first attempt, in failure, expired and withdrawn."""
    sim = Simulation(settings(profile("good"), profile("bad"), profile("gone")))
    seen: list[dict[str, Any]] = []

    def look() -> None:
        seen.extend(status(entry, sim.clock()).as_json() for entry in sim.supervisor.roster)

    sim.provider.fault = lambda name: failure() if name == "bad" else None
    sim.supervisor.start({})
    look()
    sim.settle()
    look()
    sim.supervisor.withdraw(["gone"])
    sim.settle()
    look()
    sim.provider.fault = lambda _: failure()
    sim.run(4000, step=10)
    look()

    VALIDATOR.validate(shape(*seen))
    assert {"missing", "fresh", "expired"} <= {one["state"] for one in seen}
    assert any(one["renew_at"] is None for one in seen)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", "stale"),
        ("expiration", "tomorrow"),
        ("seconds_left", -1),
        ("seconds_left", 1.5),
        ("access_key_id", 7),
    ],
)
def test_another_shape_does_not_fit_the_schema(key: str, value: object) -> None:
    """Each of these changes makes the validation fail."""
    sim = Simulation(settings(profile("good")))
    sim.start()
    report = shape(status(sim.supervisor.roster["good"], sim.clock()).as_json())
    VALIDATOR.validate(report)
    report["profiles"][0][key] = value
    with pytest.raises(ValidationError):
        VALIDATOR.validate(report)


def test_a_key_that_a_later_version_adds_fits_the_schema() -> None:
    """Else who validates what they read would be broken by an upgrade."""
    sim = Simulation(settings(profile("good")))
    sim.start()
    report = shape(status(sim.supervisor.roster["good"], sim.clock()).as_json())
    report["profiles"][0]["more"] = 1
    VALIDATOR.validate(report)
