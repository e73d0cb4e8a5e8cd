"""Bad configurations with their exact output: each `golden/NAME.yaml` has its `golden/NAME.txt`.

After a change of wording run this module with UPDATE_GOLDEN=1, then read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from credfresh.config.parse import parse
from credfresh.errors import ConfigError

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(GOLDEN.glob("*.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_output_for_a_bad_configuration_is_exact(case: Path) -> None:
    """The expected output was reviewed line by line."""
    with pytest.raises(ConfigError) as caught:
        parse(case.read_bytes(), case.name, hostname="build-7", resolve=str)
    output = f"{caught.value}\n"
    expected = case.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(output, encoding="utf-8")
    assert expected.read_text(encoding="utf-8") == output


def test_there_is_an_output_for_each_input_and_no_other() -> None:
    """A renamed case leaves no output behind."""
    assert len(CASES) >= 20
    assert {c.stem for c in CASES} == {path.stem for path in GOLDEN.glob("*.txt")}
