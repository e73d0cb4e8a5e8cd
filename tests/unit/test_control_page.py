"""docs/control.md says what the code does: authors of clients have nothing else to go by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from credfresh.control import clientele, protocol, server, wishes
from credfresh.errors import ControlCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "control.md").read_text(encoding="utf-8")
OF_THE_CLIENT = {ControlCode.BAD_ANSWER, ControlCode.NO_DAEMON, ControlCode.OTHER}


def codes(heading: str) -> set[str]:
    """Return the codes of the first table below a heading."""
    _, _, below = PAGE.partition(f"\n{heading}\n")
    table = re.search(r"(?ms)^\| code \| means \|\n(.*?)\n\n", below)
    assert table is not None
    return set(re.findall(r"`(\w+)`", "".join(r.split("|")[1] for r in table[1].splitlines())))


def test_every_code_of_an_error_is_listed_and_no_other() -> None:
    """A client decides by the codes."""
    assert set(ControlCode) - OF_THE_CLIENT == codes("## Protocol, version 1")


def test_every_reason_for_which_ensure_fails_is_listed_and_no_other() -> None:
    """A client of `ensure` decides by these codes."""
    assert set(get_args(wishes.Code)) == codes("### ensure")


@pytest.mark.parametrize(
    "bound",
    [
        f"at most {protocol.MOST_REQUEST // 1024} KiB",
        f"within {server.REQUEST_TIME:.0f} seconds",
        f"`valid_for_s` is at most {protocol.MOST_VALID_FOR:.0f}",
        f"`timeout_s` at most {protocol.MOST_TIMEOUT:.0f}",
        f"{clientele.MOST_CLIENTS:,} clients at the same time",
        f"at most {clientele.MOST_CLIENTS * clientele.OF_ONE_USER:,.0f} of them of one user",
        f"{server.REQUEST_TIME:.0f} seconds for its request and {server.ANSWER_TIME:.0f}",
    ],
)
def test_every_bound_on_the_page_is_that_of_the_code(bound: str) -> None:
    """The page states each bound, so that nobody has to find out by trying."""
    assert bound in " ".join(PAGE.split())


def test_the_requests_on_the_page_are_valid() -> None:
    """So are all other requests that the page shows."""
    shown = re.findall(r'(?m)^    (\{"version": 1, "ask".*\})$|echo \'(\{.*?\})\'', PAGE)

    assert 5 == len(shown)
    for line in shown:
        protocol.decode_request("".join(line).encode())
