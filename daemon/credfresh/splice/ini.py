"""Cuts the shared credentials file, as bytes, into its sections.

A file is cut into stretches: what stands before the first header, then one section after
another, each from its header line up to the next. A header is a line that starts at column 0
with `[` and closes it. Other lines whose first character is `[` are headers to some readers only:
an indented one (by whatever white space some reader trims) may be a continuation, an unclosed one
is a bad line, one after a lone CR is in the middle of a line for readers that end no line there. A
section with such a line in it is `tangled`: readers disagree on where it ends, so what follows its
header must not be rewritten.

Any bytes can be cut in exactly one way, broken files included. A stretch knows its size and not its
place, so that `splice` can share all unchanged sections between the old document and the new.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

from credfresh.splice.ini_lines import (
    Finding,
    bracketed_names,
    brackets,
    examine,
    text,
)
from credfresh.values import dataclass

_LINE = re.compile(rb"[^\r\n]*")

_SIZE = itemgetter(0)

L = TypeVar("L")


class Section(NamedTuple, Generic[L]):
    """One stretch of the file. The first of a document has no header: it may be empty."""

    size: int
    """Bytes, from its header to the next."""
    name: str = ""
    """The text between the brackets, spaces included, as botocore reads it."""
    label: L | None = None
    """What the caller's `Label` returned for it."""
    aliases: tuple[str, ...] = ()
    """Further names, trimmed, under which some reader may find something in this stretch."""
    tangled: bool = False
    findings: tuple[Finding, ...] = ()


Label = Callable[[bytes, int, int], tuple[L | None, bool]]
"""Takes the data and a section's span; returns the caller's label for it, and whether that proves
that botocore reads the section and that its header is plain (which saves the examination)."""


@dataclass(frozen=True, slots=True)
class Document(Generic[L]):
    """A scanned file. While its bytes are unchanged, use it again instead of scanning them."""

    data: bytes = field(repr=False)
    sections: Sequence[Section[L]] = field(repr=False)
    named: Mapping[str, tuple[int, ...]] = field(repr=False)
    """Maps each trimmed name to the places (in `sections`) where some reader may find it."""
    shared: Mapping[str, tuple[int, ...]] = field(repr=False)
    """The part of `named` that has more than one place."""

    def starts(self) -> list[int]:
        """Return where each section starts, and the size of the file as the last item."""
        return list(accumulate(map(_SIZE, self.sections), initial=0))


def scan(data: bytes, label: Label[L]) -> Document[L]:
    """Cut a file into its sections and label them."""
    heads, inner = brackets(data)
    sections = [
        section_at(data, start, end, label, tangled=False)
        for start, end in pairwise([*heads, len(data)])
    ]
    preamble = data[: heads[0]] if heads else data
    sections.insert(0, _preamble(preamble))
    if inner:
        _tangle(data, sections, inner, label)
    return _document(data, sections)


def section_at(data: bytes, start: int, end: int, label: Label[L], *, tangled: bool) -> Section[L]:
    """Return the section at `data[start:end]`, which starts with its header."""
    what, proven = label(data, start, end)
    if proven and not tangled:  # the usual case, ten thousand times a scan
        name = text(data[start + 1 : data.index(b"]", start)])
        if name == name.strip():
            return Section(end - start, name, what)
    head = _LINE.match(data, start)
    name = text(data[start + 1 : data.rfind(b"]", start, head.end() if head else end)])
    first = text(data[start + 1 : data.index(b"]", start + 1)]).strip()
    aliases = {name.strip(), first}
    findings: tuple[Finding, ...] = ()
    if not proven:
        reading = examine(data[start:end])
        findings = reading.findings
        aliases.update(other.strip() for other in reading.names)
    if tangled:
        aliases.update(bracketed_names(data[start:end]))
    return Section(end - start, name, what, _further(name, aliases), tangled, findings)


def splice(
    document: Document[L],
    starts: Sequence[int],
    edits: Mapping[int, bytes],
    added: Sequence[bytes],
    label: Label[L],
) -> Document[L]:
    """Replace whole stretches by place, and add sections at the end.

    `starts` are those of the document. A replacement that does not start with a header becomes the
    end of the section before it (an empty one removes a section). Untouched sections are shared
    with the old document; the bytes are copied once.
    """
    view = memoryview(document.data)
    parts: list[bytes | memoryview] = []
    copied = 0
    for place in sorted(edits):
        parts += [view[copied : starts[place]], edits[place]]
        copied = starts[place + 1]
    data = b"".join([*parts, view[copied:], *added])

    sections = list(document.sections)
    same = not added
    start = shift = 0
    grown: dict[int, int] = {}
    for place in sorted(edits):
        size = len(edits[place])
        start = starts[place] + shift
        shift += size - sections[place].size
        if place and not edits[place].startswith(b"["):
            grown[place] = size
            continue
        old = sections[place]
        sections[place] = _stretch(data, start, start + size, label, old)
        same = same and _known_as(sections[place]) == _known_as(old)
    if grown:
        sections = _grow(data, sections, grown, label)
        same = False
    start = len(data) - sum(map(len, added))
    for size in map(len, added):
        sections.append(section_at(data, start, start + size, label, tangled=False))
        start += size
    if same:
        return Document(data, sections, document.named, document.shared)
    return _document(data, sections)


def lines_of(document: Document[L], places: Collection[int]) -> dict[int, int]:
    """Return the line (from 1) of the header at each of the places, in one pass over the file."""
    starts = document.starts()
    lines: dict[int, int] = {}
    line, counted = 1, 0
    for place in sorted(places):
        line += _line_ends(document.data, counted, starts[place])
        counted = starts[place]
        lines[place] = line
    return lines


def _stretch(data: bytes, start: int, end: int, label: Label[L], old: Section[L]) -> Section[L]:
    """Return the stretch at a span that takes the place of `old`."""
    if start or (data.startswith(b"[") and old.name):
        return section_at(data, start, end, label, tangled=old.tangled)
    return _preamble(data[start:end], tangled=old.tangled)


def _grow(
    data: bytes, sections: list[Section[L]], grown: Mapping[int, int], label: Label[L]
) -> list[Section[L]]:
    """Add what is left of sections that lost their headers to the sections before them."""
    kept: list[Section[L]] = []
    start = end = 0
    for place, section in enumerate(sections):
        if place not in grown:
            kept.append(section)
            start, end = end, end + section.size
        elif grown[place]:
            end += grown[place]
            kept[-1] = _stretch(data, start, end, label, kept[-1])
    return kept


def _preamble(stretch: bytes, *, tangled: bool = False) -> Section[L]:
    if not stretch:
        return Section(0)
    reading = examine(stretch)
    names = {name.strip() for name in reading.names}
    if tangled:
        names |= bracketed_names(stretch)
    return Section(
        len(stretch),
        aliases=_further("", names),
        tangled=tangled,
        findings=reading.findings,
    )


def _tangle(data: bytes, sections: list[Section[L]], inner: list[int], label: Label[L]) -> None:
    """Examine again, as tangled, the sections in which other lines start with a bracket."""
    starts = list(accumulate(map(_SIZE, sections), initial=0))
    brackets = iter(inner)
    bracket = next(brackets, None)
    for place, (start, end) in enumerate(pairwise(starts)):
        if bracket is None:
            break
        if bracket >= end:
            continue
        if place:
            sections[place] = section_at(data, start, end, label, tangled=True)
        else:
            sections[0] = _preamble(data[:end], tangled=True)
        while bracket is not None and bracket < end:
            bracket = next(brackets, None)


def _further(name: str, names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names - {name, ""})) if names != {name} else ()


def _known_as(section: Section[L]) -> tuple[str, tuple[str, ...]]:
    return section.name, section.aliases


def _document(data: bytes, sections: Sequence[Section[L]]) -> Document[L]:
    named: dict[str, tuple[int, ...]] = {}
    many: dict[str, list[int]] = {}
    for place, section in enumerate(sections):
        names = section.aliases
        if section.name and section.name == section.name.strip():
            names = (section.name, *names)
        for name in names:
            one = (place,)
            first = named.setdefault(name, one)
            if first is not one:  # few names are shared, so only those get a list
                many.setdefault(name, [*first]).append(place)
    named.update((name, tuple(places)) for name, places in many.items())
    shared = {name: places for name, places in named.items() if len(places) > 1}
    return Document(data, sections, named, shared)


def _line_ends(data: bytes, start: int, end: int) -> int:
    """Count the line ends between the starts of two stretches, which never split a CRLF."""
    ends = data.count(b"\n", start, end) + data.count(b"\r", start, end)
    return ends - data.count(b"\r\n", start, end)
