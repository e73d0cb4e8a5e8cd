"""What the scanner holds against a file is what botocore refuses it for."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigParseError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from credfresh.splice import ini, ownership

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
    # A section of its own: botocore looks into what leaks from [DEFAULT] only where there is one.
    data = b"[lead]\n[next]\n" + data if not data.startswith(b"\xef") else data
    flaws = ini.flaws(ownership.read(data))
    assert any(flaw.fatal for flaw in flaws) == refused(tmp_path / "credentials", data)


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
    flaws = ini.flaws(ownership.read(data))
    assert told == [(flaw.line, flaw.code, flaw.fatal) for flaw in flaws]


def test_a_thousand_flaws_are_told_by_the_first_twenty() -> None:
    """Whoever broke every section is told where to begin, and not everything."""
    data = b"[a]\nstray\n" * 1000
    assert len(ini.flaws(ownership.read(data))) == ini.MOST_FLAWS


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
    ],
)
@pytest.mark.timeout(60)
def test_hostile_bytes_take_no_more_than_linear_time(data: bytes) -> None:
    """A file made to be slow is scanned, in a time that a test can wait for."""
    document = ownership.read(data)
    assert sum(section.size for section in document.sections) == len(data)
