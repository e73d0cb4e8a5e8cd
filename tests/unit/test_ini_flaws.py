"""What the scanner calls a fatal flaw of a file is what botocore refuses it for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, SupportsIndex

import pytest
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigParseError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from credfresh.splice import flaws, ini_lines, ownership
from credfresh.splice.flaws import MOST_FLAWS, flaws_of
from credfresh.splice.holding import Held
from credfresh.splice.ini import Section
from credfresh.splice.ini_lines import Reading
from pieces import merge, piece, pieces

FRAGMENTS = (
    b"# a comment\n",
    b"; another\n",
    b"   # indented\n",
    b"\n",
    b"\r\n",
    b"  \t\n",
    b"[a]\n",
    b"[a]\n",
    b"[b]\r\n",
    b"[b]",
    b"[ a ]\n",
    b"  [a]\n",
    b"  [c] # note [d]\n",
    b"[profile x]\n",
    b"[DEFAULT]\n",
    b"[]\n",
    b"[]]\n",
    b"[unclosed\n",
    b"[unclosed = yes\n",
    b"[c] # trailing\n",
    b"key = value\n",
    b"KEY: other\n",
    b"\xc2\xa0odd = space\n",
    b"two = 2",
    b"three = 3\r",
    b"s3 =\n  max = 10\n  min = 1\n",
    b"s3 =\n\n  word\n",
    b"  continued\n",
    b" k = v\n",
    b"= nameless\n",
    b"bare word\n",
    b"percent = 100%(x)s%\n",
    b"latin = \xe9\n",
    b"nul = \x00\n",
    b"form\x0cfeed = \x0b \x1c\n",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\r",
)
any_file = st.lists(st.sampled_from(FRAGMENTS), max_size=9).map(b"".join)


def refused(path: Path, data: bytes) -> bool:
    """Say whether botocore refuses the file."""
    path.write_bytes(data)
    try:
        raw_config_parse(str(path))
    except ConfigParseError:
        return True
    return False


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=any_file)
@example(data=b"[DEFAULT]\na = 1\n[b]\n[DEFAULT]\na = 2\n")
@example(data=b"[a]\nk =\n  word\n[b]\nk =\n\n  a = 1\n  b\n")
@example(data=b"[a]\r[a]\r")
@example(data=b"[a]\n  [b]\n[b]\n")
def test_fatal_flaws_are_what_botocore_refuses(tmp_path: Path, data: bytes) -> None:
    """A file has a fatal flaw exactly when botocore cannot read it."""
    # Sections of their own: botocore reads what leaks from [DEFAULT] only where there is one.
    data = b"[lead]\n[next]\n" + data if not data.startswith(b"\xef") else data
    found = flaws_of(ownership.read(data))
    assert any(flaw.fatal for flaw in found) == refused(tmp_path / "credentials", data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"[a]\n[b]\n[a]\n", [(3, "duplicate_section", True)]),
        (b"[a]\nk = 1\nK = 2\n", [(3, "duplicate_key", True)]),
        (b"# c\n\nk = 1\n[a]\n", [(3, "before_section", True)]),
        (b"[a]\r\nk = 1\r\nstray\r\n", [(3, "no_key", True)]),
        (b"[a]\nk = 1\n[b\n", [(3, "unclosed_header", True)]),
        (b"[a]\n# \xe9\n", [(2, "not_utf8", True)]),
        (b"\xef\xbb\xbf[a]\n", [(1, "bom", True)]),
        (b"[a]\ns3 =\n  one\n", [(2, "nested", True)]),
        (b"[DEFAULT]\nregion = x\n", [(1, "default_section", False)]),
        (b"[a]\n[ a ]\n", [(2, "same_name", False)]),
        (b"[a]\rstray\r", [(2, "no_key", True)]),
        (b"[a]\nk = 1\n  stray\n", []),
        (b"[a]\n%(x)s = 100%\n[profile x]\n; c\n  # d\n", []),
    ],
)
def test_each_flaw_is_told_with_its_line(data: bytes, told: list[tuple[int, str, bool]]) -> None:
    """A flaw names the line on which botocore, or an editor, would find it."""
    found = flaws_of(ownership.read(data))
    assert told == [(flaw.line, flaw.code, flaw.fatal) for flaw in found]


def test_a_thousand_flaws_are_told_by_the_first_twenty() -> None:
    """Of a file in which every section is broken, only the first flaws are told."""
    data = b"[a]\nstray\n" * 1000
    assert len(flaws_of(ownership.read(data))) == MOST_FLAWS


class Counted(list[Section[Held]]):
    """Sections that count how often any of them is looked at."""

    looks = 0

    def __iter__(self) -> Iterator[Section[Held]]:
        for section in super().__iter__():
            self.looks += 1
            yield section

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        found = super().__getitem__(place)
        self.looks += len(found) if isinstance(place, slice) else 1
        return found


@pytest.mark.parametrize(
    "twins",
    [
        [b"[n%d]\n[n%d]\n" % (n, n) for n in range(2000)],
        [b"[n%d]\n[ n%d ]\n" % (n, n) for n in range(2000)],
        [b"[same]\n" for _ in range(4000)],
        [b"[DEFAULT]\n" for _ in range(4000)],
    ],
    ids=["pairs", "spaced", "one name", "default"],
)
def test_the_work_for_names_that_stand_twice_is_linear(
    monkeypatch: pytest.MonkeyPatch, twins: list[bytes]
) -> None:
    """Each section is looked at a few times and examined at most twice, however many there are."""
    document = ownership.read(b"".join(twins))
    sections = Counted(document.sections)
    examined: list[int] = []

    def examine(stretch: bytes) -> Reading:
        examined.append(len(stretch))
        return ini_lines.examine(stretch)

    monkeypatch.setattr(flaws, "examine", examine)
    flaws_of(replace(document, sections=sections))

    assert sections.looks <= 4 * len(sections)
    assert sum(examined) <= 2 * len(document.data)


def test_a_refusal_names_the_lines_of_all_sections_of_the_name() -> None:
    """Each of a thousand profiles with two sections of its name is told with both lines."""
    names = [f"n{n}" for n in range(1000)]
    data = "".join(f"[{name}]\n[{name}]\n" for name in names).encode()
    refused = merge(data, pieces(*map(piece, names))).refused
    assert len(names) == len(refused)
    assert "(line 1999 and 2000)" in refused[-1].reason


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 60_000,
        b" [" * 60_000,
        b"\n[" * 60_000,
        b"[a]\n" + b"k" * 1_000_000,
        b"\r" * 60_000 + b"[a]",
        b"[a] # credfresh v=1 instance=x" + b" key=a size=1" * 50_000,
        b"[a]\n# credfresh v=1 instance=x" + b" key=a size=1" * 50_000 + b"\n",
        b"[a]\n" + b"k = v\n" * 50_000,
        b"[a]\n" * 100_000,
        b"[a]\n" + b"".join(b"  [%d]\n" % n for n in range(50_000)),
    ],
)
@pytest.mark.timeout(60)
def test_hostile_bytes_take_no_more_than_linear_time(data: bytes) -> None:
    """A file that is made to be slow is scanned in a time that a test can wait for."""
    document = ownership.read(data)
    assert len(flaws_of(document)) <= MOST_FLAWS
    assert sum(section.size for section in document.sections) == len(data)
