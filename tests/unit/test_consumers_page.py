"""docs/consumers.md says of each client what the tests with real clients expect of it."""

from __future__ import annotations

import re
from pathlib import Path

from credfresh import twin
from sdk_clients import ALL, BY_ENVIRONMENT, DOORS, ROOT, Outcome
from twins import with_twin

PAGE = ROOT / "docs" / "consumers.md"

WORDS: dict[Outcome, str] = {
    "renews": "renews",
    "reads": "reads",
    "stale": "until expiry",
    "no": "no",
}


def test_the_table_of_the_page_equals_the_matrix_of_clients() -> None:
    """Rows and their order are equal; `tests/e2e/clients` holds the matrix to what is seen."""
    rows = [
        f"| {client.what} | {' | '.join(WORDS[client.expected[door]] for door in DOORS)} |"
        for client in ALL
    ]
    table = re.search(
        r"<!-- clients -->\n.*?\n\|---.*?\n(.*?)<!-- /clients -->", PAGE.read_text(), re.DOTALL
    )

    assert table is not None
    assert rows == table[1].splitlines()


def test_each_word_of_the_table_is_explained() -> None:
    """The list below the table has an entry for each of them."""
    text = PAGE.read_text()
    assert all(f"- **{word}**: " in text for word in WORDS.values())


def test_every_variable_of_the_recipe_is_named() -> None:
    """The page names each variable that `<profile>.env` sets."""
    where = with_twin(Path("/run/credfresh/process")).twin
    assert where is not None
    names = re.findall(r"(?m)^([A-Z_]+)=", twin.env(where, "test").decode())

    text = PAGE.read_text()
    shadowed = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"}
    assert all(f"`{name}`" in text for name in names if name not in shadowed)
    assert "the profile under both names" in text


def test_the_recipe_of_the_page_is_the_line_that_s3cmd_is_tried_with() -> None:
    """The line that makes variables of a twin is the one that s3cmd is tried with."""
    [recipe] = re.findall(r"(?m)^keys='.+'$", PAGE.read_text())
    assert recipe in Path(BY_ENVIRONMENT).read_text().splitlines()
