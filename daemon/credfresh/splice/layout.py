"""Puts the decided sections into the file, and looks after the line end that may be ours.

If the text before our section does not end its last line, we add a line end, which is ours and goes
when our section goes. A note in that section's mark (`nl`) says so. When the section goes:

- and another block of ours follows directly: that one inherits the note;
- and foreign text follows: the line end stays and is foreign from now on, for without it two
  foreign lines would become one;
- and nothing follows: the line end goes too, if it still ends the very line that it was added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from credfresh.splice import holding, ini, mark
from credfresh.splice.holding import Document


@dataclass(slots=True)
class Draft:
    """What a section becomes: our block, which may be empty, then what is not ours."""

    block: bytes
    rest: bytes
    note: str = ""
    """The note in the section's mark before the merge, if its block was not proven."""

    @property
    def bytes(self) -> bytes:
        """The section's new bytes."""
        return self.block + self.rest


def lay_out(
    document: Document,
    starts: Sequence[int],
    drafts: dict[int, Draft],
    added: list[Draft],
    instance: str,
) -> Document:
    """Return the document with the drafts in their places and the added ones at its end.

    `starts` are those of the document. What is left of a section without a header becomes part of
    the section before. The notes about line ends are written into `drafts` and `added`.
    """
    layout = _Layout(document, starts, drafts, added, instance)
    layout.line_ends()
    edits = {place: draft.bytes for place, draft in drafts.items()}
    return ini.splice(document, starts, edits, [draft.bytes for draft in added], holding.label)


class _Layout:
    def __init__(
        self,
        document: Document,
        starts: Sequence[int],
        drafts: dict[int, Draft],
        added: list[Draft],
        instance: str,
    ) -> None:
        self._data = document.data
        self._sections = document.sections
        self._starts = starts
        self._drafts = drafts
        self._added = added
        self._instance = instance

    def line_ends(self) -> None:
        for place in sorted(self._drafts):
            note = self._note(place)
            draft = self._drafts[place]
            if note and draft.block:
                draft.block = mark.with_line_end(draft.block, note)
            elif note and not draft.rest:
                self._bequeath(place, note)
        if self._added:
            self._end_last_line(self._added[0])

    def _note(self, place: int) -> str:
        """Return the note of the section at a place, if it still holds."""
        held = self._sections[place].label
        ours = held is not None and held.block.instance == self._instance
        note = held.block.line_end if held is not None and ours else self._drafts[place].note
        before = self._data[self._starts[place - 1] : self._starts[place]] if note else b""
        return note if _ended_by_us(before, note) else ""

    def _bequeath(self, place: int, note: str) -> None:
        heir = place + 1
        while heir in self._drafts and not self._drafts[heir].bytes:
            heir += 1
        if heir == len(self._sections):
            if self._added:
                self._added[0].block = mark.with_line_end(self._added[0].block, note)
            else:
                self._take_line_end(place - 1, note)
            return
        if heir not in self._drafts:
            held = self._sections[heir].label
            if held is None or held.block.instance != self._instance:
                return
            self._drafts[heir] = self._as_it_stands(heir)
        if self._drafts[heir].block:
            self._drafts[heir].block = mark.with_line_end(self._drafts[heir].block, note)

    def _take_line_end(self, place: int, note: str) -> None:
        draft = self._drafts.setdefault(place, self._as_it_stands(place))
        if _ended_by_us(draft.rest, note):
            draft.rest = draft.rest[:-1]

    def _end_last_line(self, draft: Draft) -> None:
        """Make sure that the first added section starts a line."""
        for place in range(len(self._sections) - 1, -1, -1):
            last = self._drafts.get(place) or self._as_it_stands(place)
            if last.bytes:
                break
        if last.bytes and not last.bytes.endswith(b"\n"):
            note = mark.line_end_field(last.bytes)
            draft.block = mark.with_line_end(draft.block, note)
            self._drafts[place] = Draft(last.block, last.rest + b"\n")

    def _as_it_stands(self, place: int) -> Draft:
        start, end = self._starts[place], self._starts[place + 1]
        held = self._sections[place].label
        ours = held is not None and held.block.instance == self._instance
        middle = start + held.block.size if held is not None and ours else start
        return Draft(self._data[start:middle], self._data[middle:end])


def _ended_by_us(text: bytes, note: str) -> bool:
    return text.endswith(b"\n") and mark.line_end_field(text[:-1]) == note
