"""Finds what makes readers refuse a file or misread it, with line numbers.

The work is linear in the size of the file, even if many sections share many names: each section is
looked at once, in the order of the file, and none after the last flaw that is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import Any, NamedTuple

from credfresh.splice.ini import Document, lines_of
from credfresh.splice.ini_lines import DEFAULT_SECTION, Code, Finding, examine
from credfresh.values import dataclass

MOST_FLAWS = 20
"""Flaws of one file that are reported at once; when they are mended, the next ones are."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong with the file, at a line (from 1).

    `fatal`: botocore and the AWS CLI refuse the whole file for it, with every profile. Otherwise it
    is worth a remark.
    """

    line: int
    code: Code
    reason: str
    fatal: bool = True


class _Found(NamedTuple):
    """A finding at a place; the `{}` in its reason is replaced by the line of the place `first`."""

    place: int
    finding: Finding
    first: int | None = None


@dataclass(slots=True)
class _Known:
    """The sections found so far under one trimmed name: the first place, and the exact names."""

    first: int
    exact: set[str] = field(default_factory=set)


def flaws_of(document: Document[Any]) -> tuple[Flaw, ...]:
    """Return what is wrong with the file, in the order of its lines, at most `MOST_FLAWS`."""
    found: list[_Found] = []
    for place, shared in _suspects(document):
        here = [_Found(place, finding) for finding in document.sections[place].findings]
        found += sorted([*here, *shared], key=lambda each: each.finding.line)
        if len(found) >= MOST_FLAWS:
            break
    return tuple(_told(document, found[:MOST_FLAWS]))


def _suspects(document: Document[Any]) -> Iterator[tuple[int, Iterable[_Found]]]:
    """Yield, in order, the places that have findings of their own, or share a name with others."""
    names: dict[int, list[str]] = {}
    for name, places in document.shared.items():
        for place in places:
            names.setdefault(place, []).append(name)
    namesakes = _Namesakes(document) if names else None
    for place, section in enumerate(document.sections):
        if namesakes is not None and place in names:
            yield place, namesakes.at(place, names[place])
        elif section.findings:
            yield place, ()


class _Namesakes:
    """Finds the flaws of sections that share a trimmed name."""

    def __init__(self, document: Document[Any]) -> None:
        self._document = document
        self._starts = document.starts()
        self._known: dict[str, _Known] = {}

    def at(self, place: int, shared: Iterable[str]) -> Iterator[_Found]:
        """Yield the flaws of one place. Must be called once for each place, in the file's order."""
        exact: dict[str, set[str]] = {}
        for name in examine(self._stretch(place)).names:
            exact.setdefault(name.strip(), set()).add(name)
        for name in shared:
            yield from self._namesake(place, name, exact.get(name, set()))
            if name == DEFAULT_SECTION:
                yield from self._leaking(place)

    def _namesake(self, place: int, name: str, exact: set[str]) -> Iterator[_Found]:
        known = self._known.setdefault(name, _Known(place))
        if exact & known.exact:
            reason = "a second section of the name on line {}"
            yield _Found(place, Finding(0, "duplicate_section", reason), known.first)
        elif known.exact and exact:
            reason = "to readers that trim names, the section on line {} again"
            yield _Found(place, Finding(0, "same_name", reason, fatal=False), known.first)
        known.exact |= exact

    def _leaking(self, place: int) -> Iterator[_Found]:
        """Yield, at the last [DEFAULT], the first key that stands in two of them."""
        places = self._document.shared[DEFAULT_SECTION]
        if place != places[-1]:
            return
        for each in examine(b"".join(map(self._stretch, places))).findings:
            if each.code == "duplicate_key":
                yield _Found(place, each)

    def _stretch(self, place: int) -> bytes:
        return self._document.data[self._starts[place] : self._starts[place + 1]]


def _told(document: Document[Any], found: Sequence[_Found]) -> Iterator[Flaw]:
    places = {each.place for each in found}
    lines = lines_of(document, places.union(each.first for each in found if each.first is not None))
    for place, (line, code, reason, fatal), first in found:
        told = reason if first is None else reason.format(lines[first])
        yield Flaw(lines[place] + line, code, told, fatal)
