"""The ownership mark: what it proves, what it says, and what it will not write."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credfresh.splice import mark
from credfresh.splice.mark import Claim, Mark

SAID = Mark(
    instance="host-7",
    role="arn:aws:iam::111111111111:role/deploy",
    request="0123456789abcdef",
    issued=1_795_521_600,
    expires=1_795_525_200,
    key="ASIAEXAMPLE",
)
VALUES = (("aws_access_key_id", "ASIAEXAMPLE"), ("aws_session_token", "abc+/="))
BLOCK = b"""[production]
# credfresh v=1 instance=host-7 role=arn:aws:iam::111111111111:role/deploy \
request=0123456789abcdef issued=2026-11-24T12:00:00Z expires=2026-11-24T13:00:00Z \
key=ASIAEXAMPLE size=59 sum=d6ffe922b9a14d18
aws_access_key_id = ASIAEXAMPLE
aws_session_token = abc+/=
"""


def test_a_block_is_written_in_the_subset_that_every_reader_takes() -> None:
    """The format is fixed to the byte: a change of it is a change of version."""
    assert mark.render("production", SAID, VALUES) == BLOCK


def test_a_block_says_what_it_was_made_of() -> None:
    """Mark and values come back as they went in."""
    assert mark.parse(BLOCK) == (SAID, dict(VALUES))


def test_a_block_is_found_with_its_exact_extent() -> None:
    """What follows a block in its section is no part of it."""
    data = b"[a]\n" + BLOCK + b"# theirs\n"
    found = mark.find(data, 4, len(data))
    assert found is not None
    assert (len(BLOCK), "host-7", "ASIAEXAMPLE", "") == found[:4]


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(BLOCK) - 1), byte=st.integers(0, 255))
def test_any_altered_byte_is_noticed(at: int, byte: int) -> None:
    """No single byte of a block can change unseen: not of the header, the mark or the keys."""
    altered = BLOCK[:at] + bytes([byte]) + BLOCK[at + 1 :]
    assert altered == BLOCK or mark.find(altered, 0, len(altered)) is None


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, len(BLOCK) - 1))
def test_a_block_cut_short_proves_nothing(cut: int) -> None:
    """A truncated block is no block, and neither is one whose section ends within it."""
    assert mark.find(BLOCK[:cut], 0, cut) is None
    assert mark.find(BLOCK, 0, cut) is None


def test_a_copy_under_another_name_proves_nothing() -> None:
    """The header is part of the sum: a section copied by hand is not ours."""
    copy = BLOCK.replace(b"[production]", b"[mycopy]")
    assert mark.find(copy, 0, len(copy)) is None


def test_unknown_fields_do_no_harm_and_another_version_is_nobodys() -> None:
    """A later version may add fields; a version that we do not know proves nothing to us."""
    fields, _, body = BLOCK.partition(b" key=")
    later = mark._summed(fields + b" team=blue key=ASIAEXAMPLE size=59", body.partition(b"\n")[2])
    newer = mark._summed(
        fields.replace(b"v=1", b"v=2") + b" key=ASIAEXAMPLE size=59", body.partition(b"\n")[2]
    )
    assert mark.find(later, 0, len(later)) is not None
    assert mark.parse(later) == (SAID, dict(VALUES))
    assert mark.find(newer, 0, len(newer)) is None


def test_the_note_about_a_line_end_is_proven_too_and_comes_off_again() -> None:
    """Setting the note gives another proven block; taking it out gives back the first."""
    noted = mark.with_line_end(BLOCK, mark.line_end_field(b"x = 1"))
    found = mark.find(noted, 0, len(noted))
    assert found is not None
    assert found.line_end == mark.line_end_field(b"[a]\nx = 1")
    assert mark.with_line_end(noted, "") == BLOCK


def test_a_line_end_note_needs_a_proven_block() -> None:
    """`with_line_end` refuses bytes that are no proven block."""
    with pytest.raises(ValueError, match="not a block"):
        mark.with_line_end(BLOCK[1:], "")


@pytest.mark.parametrize("missing", ["role", "request", "issued", "expires"])
def test_a_proven_block_that_lacks_a_field_is_not_believed(missing: str) -> None:
    """The sum proves who wrote it, not that it says enough for a warm restart."""
    head, _, rest = BLOCK.partition(f" {missing}=".encode())
    assert mark.parse(head + b" " + rest.partition(b" ")[2]) is None


def test_a_value_that_is_not_ascii_is_not_believed() -> None:
    """Whoever wrote it, it was not us; and no character of a key is replaced by another."""
    assert mark.parse(BLOCK.replace(b"abc+/=", "ä".encode())) is None


def test_a_key_begins_its_line() -> None:
    """What stands further on is no key, and a long line is not searched once for each place."""
    assert mark.parse(BLOCK + b"note region = x\n" + b"a = " * 20_000) == (SAID, dict(VALUES))


@pytest.mark.parametrize("stamp", ["2026-13-24T12:00:00Z", "yesterday", "", "2026-11-24T12:00:00"])
def test_a_malformed_time_is_not_believed(stamp: str) -> None:
    """A malformed time gives no mark, and no traceback."""
    assert mark.parse(BLOCK.replace(b"2026-11-24T12:00:00Z", stamp.encode())) is None


@pytest.mark.parametrize(
    "bad", ["two\nlines", "cr\r", "", "a b", "naïve", "nul\0", "tab\t", "\x85", "\u2028"]
)
@pytest.mark.parametrize("field", ["instance", "role", "request", "key", "aws_session_token"])
def test_a_value_that_cannot_stand_on_one_line_is_refused(field: str, bad: str) -> None:
    """A value that cannot stand on one plain line is refused, and is not repeated."""
    said = SAID._replace(
        instance=bad if field == "instance" else SAID.instance,
        role=bad if field == "role" else SAID.role,
        request=bad if field == "request" else SAID.request,
        key=bad if field == "key" else SAID.key,
    )
    values = ((field, bad),) if field == "aws_session_token" else VALUES
    with pytest.raises(ValueError, match=rf"^{field}: not printable ASCII without spaces$"):
        mark.render("production", said, values)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a]b", "[a", "a\nb", "a\rb", "DEFAULT", "a\u2028b", "\xa0a"]
)
def test_a_section_that_readers_would_misread_is_refused(name: str) -> None:
    """Only a name that survives between brackets is written."""
    with pytest.raises(ValueError, match=r"^section: "):
        mark.render(name, SAID, VALUES)


@pytest.mark.parametrize("name", ["a", "two words", "a.b-c_d/e@f+g:h%i", "PROD", "naïve"])
def test_a_name_that_can_be_written_is_proven_under_it(name: str) -> None:
    """Names outside the safe subset are written as they are."""
    block = mark.render(name, SAID, VALUES)
    assert mark.find(block, 0, len(block)) is not None
    assert block.startswith(f"[{name}]\n".encode())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# credfresh v=1 instance=a key=b nl=01234567", Claim("a", "b", "01234567")),
        ("# credfresh v=1 instance=a key=b", Claim("a", "b", "")),
        ("# credfresh v=1 instance=a key=b and=more sum=wrong", Claim("a", "b", "")),
        ("# credfresh v=2 instance=a key=b", None),
        ("# credfresh v=1 instance=a", None),
        ("# credfresh v=10 instance=a key=b", None),
        ("# some text", None),
    ],
)
def test_a_mark_names_its_owner_even_when_it_proves_nothing(
    line: str, expected: Claim | None
) -> None:
    """An altered section still says whose it was, if its mark can be read at all."""
    assert mark.claim(line) == expected


@pytest.mark.parametrize(
    ("said", "any_key", "expected"),
    [
        (SAID, False, True),
        (SAID._replace(issued=1_795_521_901, expires=1_795_525_501), False, False),
        (SAID._replace(issued=1_795_521_900, expires=1_795_525_200), False, True),
        (SAID._replace(expires=1_795_525_500), False, True),
        (SAID._replace(expires=1_795_525_501), False, False),
        (SAID._replace(expires=SAID.issued), False, False),
        (SAID._replace(key="AKIAEXAMPLE"), False, False),
        (SAID._replace(key="AKIAEXAMPLE"), True, True),
    ],
)
def test_marks_are_believed_within_five_minutes(
    said: Mark,
    any_key: bool,  # noqa: FBT001 -- a column of the table
    expected: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """Impossible times are not believed, nor is a long-term key id unless any key is accepted."""
    assert mark.sane(said, now=1_795_521_600, asked=3600, any_key=any_key) is expected
