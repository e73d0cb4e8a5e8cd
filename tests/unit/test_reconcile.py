"""How the changes of two rivals to one file are brought together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credfresh.credentials_file.reconcile import carry_over

BASE = b"# top\n[a]\nk=1\n[b]\nk=1\n"


def test_a_section_that_one_writer_added_is_added() -> None:
    """A new section is appended to what the other wrote."""
    assert BASE + b"[d]\nk=4\n[c]\nk=3\n" == carry_over(
        BASE, BASE + b"[c]\nk=3\n", BASE + b"[d]\nk=4\n"
    )


def test_a_section_that_one_writer_changed_is_changed() -> None:
    """The other rival's change of another section stays."""
    altered = BASE.replace(b"[a]\nk=1", b"[a]\nk=2")
    onto = BASE.replace(b"[b]\nk=1", b"[b]\nk=3")

    assert b"# top\n[a]\nk=2\n[b]\nk=3\n" == carry_over(BASE, altered, onto)


def test_a_section_that_one_writer_removed_is_removed() -> None:
    """The other rival's addition at the end of the file stays."""
    assert b"# top\n[b]\nk=1\n[c]\n" == carry_over(BASE, b"# top\n[b]\nk=1\n", BASE + b"[c]\n")


def test_a_section_that_both_writers_changed_stays_as_it_stands() -> None:
    """The change that stands in the file is the later one."""
    altered = BASE.replace(b"[a]\nk=1", b"[a]\nk=2")
    onto = BASE.replace(b"[a]\nk=1", b"[a]\nk=3")

    assert onto == carry_over(BASE, altered, onto)


def test_a_missing_line_end_joins_no_two_lines() -> None:
    """A section added after a last line without a line end begins on a line of its own."""
    assert b"[a]\nk=1\n[c]\nk=3" == carry_over(b"[a]\nk=1", b"[a]\nk=1\n[c]\nk=3", b"[a]\nk=1")


_FILES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 2)), unique_by=lambda each: each[0]
).map(lambda sections: b"".join(b"[%b]\nk=%d\n" % (name.encode(), n) for name, n in sections))


@given(_FILES, _FILES)
def test_without_changes_the_file_stays_as_it_is(base: bytes, onto: bytes) -> None:
    """Without changes the file stays as it is; onto an unchanged file all sections are carried."""
    assert onto == carry_over(base, base, onto)
    assert sorted(onto.split(b"[")) == sorted(carry_over(base, onto, base).split(b"["))
