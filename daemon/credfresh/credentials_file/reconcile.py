"""Merges the changes of two writers: what one changed is carried over to what the other left."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from credfresh.splice import ini, mark


def carry_over(base: bytes, altered: bytes, onto: bytes) -> bytes:
    """Return `onto` with what differs between `base` and `altered`.

    Sections are compared by name; if both sides changed one, `onto` stands. Sections that share a
    name count as one, and so does what stands before the first header. In a section with a block of
    ours, the block and what follows it are compared apart: no block in `onto` gives way to an older
    one, or to a deletion. If `altered` has the section without our block, somebody else's keys may
    stand there: that section stands.
    """
    old, theirs, ours = _sections(base), _sections(altered), _sections(onto)
    document: ini.Document[None] = ini.scan(onto, _unlabelled)
    edits: dict[int, bytes] = {}
    edited: set[str] = set()
    for place, section in enumerate(document.sections):
        name = section.name
        if name in edited:
            edits[place] = b""  # it went with the first of its name
            continue
        text = _merged(ours[name], old.get(name), theirs.get(name))
        if text is not None:
            edits[place] = text
            edited.add(name)
    added = [
        each.text for name, each in theirs.items() if name not in ours and each != old.get(name)
    ]
    starts = document.starts()
    parts = [
        edits.get(place, onto[start:end]) for place, (start, end) in enumerate(pairwise(starts))
    ]
    whole = bytearray()
    for part in [*parts, *added]:
        if part and whole and not whole.endswith((b"\n", b"\r")):
            whole += b"\n"
        whole += part
    return bytes(whole)


class _Section(NamedTuple):
    block: bytes
    """What is proven to be ours."""
    rest: bytes

    @property
    def text(self) -> bytes:
        return self.block + self.rest


def _merged(ours: _Section, was: _Section | None, theirs: _Section | None) -> bytes | None:
    """Return what is to stand for a section; None: ours, as it is."""
    if theirs == was or was is None:
        return None
    if theirs is None:
        return ours.block if ours == was else None
    if ours.block and was.block and not theirs.block:
        return theirs.text
    if ours == was and not ours.block:
        return theirs.text
    return ours.block + theirs.rest if ours.rest == was.rest != theirs.rest else None


def _unlabelled(_data: bytes, _start: int, _end: int) -> tuple[None, bool]:
    return None, True


def _sections(data: bytes) -> dict[str, _Section]:
    """Return each section; what shares a name, as one. What stands before all others has none."""
    document: ini.Document[None] = ini.scan(data, _unlabelled)
    found: dict[str, _Section] = {}
    several: dict[str, list[bytes]] = {}
    for section, (start, end) in zip(document.sections, pairwise(document.starts()), strict=True):
        known = found.get(section.name)
        if known is not None:
            several.setdefault(section.name, [known.text]).append(data[start:end])
            continue
        block = mark.find(data, start, end)
        cut = start + block.size if block else start
        found[section.name] = _Section(data[start:cut], data[cut:end])
    return found | {name: _Section(b"", b"".join(texts)) for name, texts in several.items()}
