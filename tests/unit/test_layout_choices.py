"""The layout of a section: each choice is one that some reader of the file needs.

What each reader does with the alternatives is seen in `tests/e2e/clients/test_layout.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from credfresh.publication import Publication
from credfresh.splice import ownership
from fakes import FakeClock, grant, profile


def section(*, account_id: bool = False) -> list[str]:
    """Return the lines of a section as it is published."""
    one = replace(profile(), account_id=account_id)
    piece = ownership.piece(Publication(one, grant(one, FakeClock()())), "test")
    text = piece.render().decode()
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def keys(lines: list[str]) -> list[str]:
    """Return the keys, in order."""
    return [line.split(" ")[0] for line in lines[2:]]


def test_one_space_around_the_equals_sign() -> None:
    """`key: value` is read by botocore, Go 2 and few others; all read `key = value` alike."""
    assert all(re.fullmatch(r"[a-z_]+ = \S+", line) for line in section()[2:])


def test_keys_are_lower_case() -> None:
    """Upper case is no key at all to the SDKs for JavaScript, C++, Ruby and Java 1."""
    assert all(key == key.lower() for key in keys(section()))


def test_no_line_is_indented() -> None:
    """To the SDKs for C++, Rust and Ruby an indented key belongs to the value before it."""
    assert not [line for line in section() if line != line.strip()]


def test_no_value_is_quoted_or_followed_by_a_comment() -> None:
    """Quotes become part of the key in botocore, JavaScript, C++ and Rust, comments in many."""
    assert not [line for line in section()[2:] if re.search(r"[\"'#;]", line)]


def test_the_mark_is_a_hash_comment_at_column_0() -> None:
    """`;` breaks the SDK for Java 1, an indented `#` those for C++ and Rust."""
    assert section()[1].startswith("# credfresh v=1 ")
    assert 1 == sum("#" in line for line in section())


def test_the_header_is_the_bare_name_alone_on_its_line() -> None:
    """`[ name ]`, `[profile name]` and `[name] # …` are each unknown to some reader."""
    assert "[production]" == section()[0]


def test_the_three_keys_come_first_in_the_order_of_the_documentation() -> None:
    """Any order is read; this is the one that people look for."""
    first = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]
    assert first == keys(section())[:3]


def test_the_expiration_is_last_under_a_name_that_no_sdk_reads() -> None:
    """Unknown keys are ignored by all; `aws_expiration` may come to mean something one day."""
    lines = section()

    assert re.fullmatch(r"x_security_token_expires = \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[-1])


@pytest.mark.parametrize("key", ["aws_security_token", "aws_credential_scope", "aws_expiration"])
def test_no_key_is_written_that_some_sdk_reads_otherwise(key: str) -> None:
    """Botocore prefers `aws_security_token` to the session token; most others do not know it."""
    assert key not in keys(section(account_id=True))


@pytest.mark.parametrize("asked", [True, False])
def test_the_account_is_there_only_where_asked_for(asked: bool) -> None:  # noqa: FBT001 - a case
    """The account moves DynamoDB and Kinesis to other host names."""
    assert asked == ("aws_account_id" in keys(section(account_id=asked)))


def test_no_key_stands_twice() -> None:
    """Strict parsers refuse the whole file for it."""
    assert len(keys(section(account_id=True))) == len(set(keys(section(account_id=True))))
