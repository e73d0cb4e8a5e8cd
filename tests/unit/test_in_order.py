"""Several destinations as one: the order, and what has landed when one of them fails."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.in_order import InOrder
from credfresh.model import Grant
from credfresh.publication import Outcomes, PublishReport, Wanted, has_landed
from credfresh.settings import Profile
from twins import granted, with_twin

DIRECTORY = Path("/run/credfresh/process")
FINE = PublishReport(written=True)


def broken(path: str) -> PublishError:
    """Return the error of one destination."""
    return PublishError("full", path=path, step="write", code="ENOSPC")


class Place:
    """A destination that notes what it is called for."""

    def __init__(self, name: str, turns: list[str], outcomes: Outcomes | None = None) -> None:
        self.name = name
        self.turns = turns
        self.outcomes = outcomes or {}
        self.taken = False
        self.drifted = False
        self.grants: dict[str, Grant] = {}
        self.recognised: set[str] = set()

    def claim(self) -> None:
        if self.taken:
            raise AlreadyRunningError(self.name, holder="pid=1")
        self.turns.append(f"claim {self.name}")

    def release(self) -> None:
        self.turns.append(f"release {self.name}")

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        self.turns.append(f"standing {self.name}")
        return self.grants

    def recognise(self, access_key_ids: Collection[str]) -> None:
        self.recognised = set(access_key_ids)

    def issued_to(self, profiles: Mapping[str, Profile]) -> Collection[str]:
        return {f"id of {name} in {self.name}" for name in profiles}

    def publish(self, wanted: Wanted) -> Outcomes:
        self.turns.append(f"publish {self.name}")
        return self.outcomes

    def tick(self) -> bool:
        self.turns.append(f"tick {self.name}")
        return self.drifted


def test_the_destination_believed_at_a_start_is_published_first() -> None:
    """After a crash in between, the place that a start believes is never older than the other."""
    turns: list[str] = []
    both = InOrder(Place("section", turns), Place("twin", turns))

    both.publish({})

    assert ["publish section", "publish twin"] == turns


def test_a_failing_destination_stops_no_other() -> None:
    """The outcomes of all are returned."""
    turns: list[str] = []
    full = {"/credentials": broken("/credentials")}
    both = InOrder(Place("section", turns, full), Place("twin", turns, {"/process": FINE}))

    assert full | {"/process": FINE} == both.publish({})


def test_only_the_first_destination_is_believed_at_a_start() -> None:
    """At a start only the first is read; the others are brought to what it says."""
    turns: list[str] = []
    InOrder(Place("section", turns), Place("twin", turns)).standing({})

    assert ["standing section"] == turns


def test_the_others_say_what_we_issued_to_profiles_that_the_first_has_lost() -> None:
    """A profile that the first still has is not looked for in the others."""
    turns: list[str] = []
    section = Place("section", turns)
    one, other = (granted(with_twin(DIRECTORY, name)) for name in ("one", "other"))
    assert one.grant is not None
    section.grants = {"one": one.grant}

    InOrder(section, Place("twin", turns)).standing({"one": one.profile, "other": other.profile})

    assert {"id of other in twin"} == section.recognised


def test_a_claim_that_is_refused_claims_nothing() -> None:
    """Another daemon that keeps only the twins is enough to be refused, and all is released."""
    turns: list[str] = []
    twins = Place("twin", turns)
    twins.taken = True

    with pytest.raises(AlreadyRunningError):
        InOrder(Place("section", turns), twins).claim()

    assert ["claim section", "release section", "release twin"] == turns


def test_a_tick_reaches_every_destination() -> None:
    """Drift in one of them does not keep the next from its tick."""
    turns: list[str] = []
    section, twins = Place("section", turns), Place("twin", turns)
    both = InOrder(section, twins)
    assert not both.tick()
    section.drifted = True

    assert both.tick()
    assert 2 == turns.count("tick twin")


CREDENTIALS = "/run/credfresh/credentials"
TWIN = "/run/credfresh/process/production.json"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({CREDENTIALS: FINE, str(DIRECTORY): FINE}, True),
        ({CREDENTIALS: FINE, str(DIRECTORY): FINE, TWIN: FINE}, True),
        ({CREDENTIALS: broken(CREDENTIALS), str(DIRECTORY): FINE}, False),
        ({CREDENTIALS: FINE, str(DIRECTORY): broken("x")}, False),
        ({CREDENTIALS: FINE, str(DIRECTORY): FINE, TWIN: broken("x")}, False),
        ({CREDENTIALS: FINE, str(DIRECTORY): FINE, "/another.json": broken("x")}, True),
        ({}, False),
    ],
)
def test_a_publication_lands_if_it_lands_everywhere(outcomes: Outcomes, expected: bool) -> None:  # noqa: FBT001 - a case
    """A profile is as fresh as the worst place where it is published."""
    assert expected == has_landed(granted(with_twin(DIRECTORY)), outcomes)
