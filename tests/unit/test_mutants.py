"""The list of mutants keeps up with the code."""

from __future__ import annotations

import re

import pytest

import mutants

LISTED = mutants.listed()


def read(where: str) -> str:
    """Return a test module's text."""
    return (mutants.ROOT / where).read_text()


@pytest.mark.parametrize("mutant", LISTED, ids=[m.title for m in LISTED])
def test_each_mutant_can_be_applied_and_names_a_test(mutant: mutants.Mutant) -> None:
    """The text it alters stands once in its file, and the test that must die is there."""
    assert "" == mutant.stale()
    where, _, test = mutant.test.partition("::")
    name = test.partition("[")[0].rpartition("::")[2]
    assert re.search(rf"^ *(def {name}\(|class {name}\(|{name} = )", read(where), re.MULTILINE)


def test_each_invariant_has_a_mutant() -> None:
    """Each of I1 to I8 has at least one mutant."""
    assert {f"I{n}" for n in range(1, 9)} <= {m.title.partition(" ")[0] for m in LISTED}
