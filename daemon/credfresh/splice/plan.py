"""The decisions of one merge, section by section."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Literal

from credfresh.publication import Refusal
from credfresh.splice import holding, ini, mark
from credfresh.splice.flaws import Flaw, flaws_of
from credfresh.splice.holding import Document, Piece
from credfresh.splice.layout import Draft, lay_out
from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class Merge:
    """The outcome of one merge: the new bytes, and what was done to which sections."""

    data: bytes = field(repr=False)
    document: Document = field(repr=False)
    """The new bytes, scanned: pass it to the next merge while the file holds these bytes."""
    removed: tuple[str, ...] = ()
    """Sections of ours that were removed: orphans and withdrawals."""
    repaired: tuple[str, ...] = ()
    """Sections of ours that had been altered and were put back."""
    adopted: tuple[str, ...] = ()
    """Sections of somebody else that were replaced because the profile says `adopt: true`."""
    refused: tuple[Refusal, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    """What is wrong with the new bytes (all of it foreign), each with its line."""


class Plan:
    """Collects the decisions of one merge, section by section, and carries them out together."""

    def __init__(self, document: Document, instance: str, issued: Container[str]) -> None:
        self._document = document
        self._starts = document.starts()
        self._instance = instance
        self._issued = issued
        self._drafts: dict[int, Draft] = {}
        self._added: list[Draft] = []
        self._said: dict[str, Piece] = {}
        self._removed: list[str] = []
        self._repaired: list[str] = []
        self._adopted: list[str] = []
        self._refused: list[tuple[Piece, Literal["foreign", "taken"], str, str]] = []
        self._withdrawn: set[str] = set()
        self._left: list[str] = []

    def put(self, name: str, wanted: Piece) -> None:
        """Decide to write a piece into its section, or to refuse it."""
        places = self._document.named.get(name, ())
        mine = [place for place in places if self._proven(place, name)]
        if mine:
            self._renew(mine[0], wanted)
            for copy in mine[1:]:
                self._drafts[copy] = self._without_block(copy)
        elif places:
            self._claim(places, wanted)
        else:
            self._added.append(Draft(self._render(wanted), b""))

    def remove(self, place: int) -> None:
        """Decide to remove a section's proven block."""
        self._drafts[place] = self._without_block(place)
        self._removed.append(self._document.sections[place].name)

    def withdraw(self, name: str) -> None:
        """Decide to remove an altered section of ours; a proven one is removed as an orphan."""
        self._withdrawn.add(name)
        for place in self._document.named.get(name, ()):
            section = self._document.sections[place]
            if section.label is not None or not self._claimable(place, name):
                continue
            stretch = self._stretch(place)
            if self._issued_all(place):
                rest = holding.remainder(stretch, 0, holding.WRITTEN)
                self._drafts[place] = _headless(stretch, rest, self._note(stretch))
                self._removed.append(name)
            elif self._marked_ours(holding.claims(stretch)):
                self._left.append(name)

    def carry_out(self) -> Merge:
        """Make the new file by the decisions."""
        document = self._document
        if self._drafts or self._added:
            document = lay_out(document, self._starts, self._drafts, self._added, self._instance)
        if self._said:
            document = _remember(document, self._said)
        return Merge(
            data=document.data,
            document=document,
            removed=tuple(self._removed),
            repaired=tuple(self._repaired),
            adopted=tuple(self._adopted),
            refused=tuple(self._refusals(document)),
            flaws=flaws_of(document) + tuple(_left_alone(document, self._left)),
        )

    def _renew(self, place: int, wanted: Piece) -> None:
        """Replace our proven block, unless it says what is wanted already."""
        section = self._document.sections[place]
        held = section.label
        if held is None:
            raise AssertionError("only a section with a proven block is renewed")
        stretch = self._stretch(place)
        rest = below = stretch[held.block.size :]
        if below and not section.tangled:
            rest = holding.remainder(stretch, held.block.size, wanted.keys)
        if rest != below:
            if not self._issued_all(place, held.block.key):
                self._claim((place,), wanted)
                return
            self._repaired.append(wanted.section)
        if rest == below and _says(held.block, wanted):
            self._said[wanted.section] = wanted
        else:
            self._drafts[place] = Draft(self._render(wanted), rest)

    def _claim(self, places: tuple[int, ...], wanted: Piece) -> None:
        """Put back a section that was altered, enter or adopt one that we may, else refuse."""
        place = places[0]
        simple = len(places) == 1 and self._claimable(place, wanted.section)
        if simple and self._issued_all(place):
            self._repaired.append(wanted.section)
        elif simple and wanted.adopt:
            self._adopted.append(wanted.section)
        elif not (simple and self._silent(place, wanted)):
            self._refuse(places, wanted)
            return
        stretch = self._stretch(place)
        rest = holding.remainder(stretch, 0, wanted.keys)
        self._drafts[place] = Draft(self._render(wanted), rest, self._note(stretch))

    def _without_block(self, place: int) -> Draft:
        section = self._document.sections[place]
        stretch = self._stretch(place)
        size = section.label.block.size if section.label is not None else 0
        below = stretch[size:]
        if below and not section.tangled:
            whole = section.name in self._withdrawn and self._issued_all(place, *self._keys(place))
            below = holding.remainder(stretch, size, holding.RULING if whole else ())
        return _headless(stretch, below)

    def _keys(self, place: int) -> tuple[str, ...]:
        held = self._document.sections[place].label
        return () if held is None else (held.block.key,)

    def _proven(self, place: int, name: str) -> bool:
        section = self._document.sections[place]
        held = section.label
        return held is not None and section.name == name and held.block.instance == self._instance

    def _claimable(self, place: int, name: str) -> bool:
        """Say whether a section can be rewritten: all readers agree on its bounds."""
        section = self._document.sections[place]
        return section.name.strip() == name and not section.tangled

    def _silent(self, place: int, wanted: Piece) -> bool:
        """Say whether a section has settings, but none that has to do with credentials.

        Our block can be put between them and the header, and be taken away again, without a change
        of any other byte. This is what a block of ours leaves where others have put settings.
        """
        stretch, header = self._stretch(place), f"[{wanted.section}]\n".encode()
        settings = stretch.removeprefix(header)
        return (
            settings != stretch
            and holding.has_content(settings)
            and holding.unindented(settings) == settings
            and not holding.claims(stretch).key_ids
            and holding.remainder(stretch, 0, wanted.keys) == settings
        )

    def _issued_all(self, place: int, *proven: str) -> bool:
        """Say whether every access key id in a section is ours, and no mark is another's."""
        claims = holding.claims(self._stretch(place))
        marked = {claim for claim in claims.marks if claim is not None}
        if len(marked) < len(claims.marks) or {each.instance for each in marked} - {self._instance}:
            return False
        ids = claims.key_ids or {each.key for each in marked}
        return bool(ids) and all(each in proven or each in self._issued for each in ids)

    def _note(self, stretch: bytes) -> str:
        """Return the note in an altered mark of ours; it can be checked without the mark's sum."""
        marks = holding.claims(stretch).marks
        notes = {each.line_end for each in marks if each and each.instance == self._instance}
        return notes.pop() if len(notes) == 1 else ""

    def _marked_ours(self, claims: holding.Claims) -> bool:
        return any(claim is not None and claim.instance == self._instance for claim in claims.marks)

    def _refuse(self, places: tuple[int, ...], wanted: Piece) -> None:
        name = wanted.section
        claims = holding.claims(self._stretch(places[0]))
        if len(places) > 1 or not self._claimable(places[0], name):
            reason = f"what answers to [{name}] (line {{}}) has no bounds that readers agree on"
            hint = "leave at most one plain section of that name"
            self._refused.append((wanted, "foreign", reason, hint))
        elif self._marked_ours(claims):
            reason = f"[{name}] (line {{}}) was ours and now holds keys that we did not issue"
            hint = "remove that section to have ours back, or say `adopt: true` to replace it"
            self._refused.append((wanted, "taken", reason, hint))
        else:
            reason = f"[{name}] (line {{}}) was not written by us{_whose(claims)}"
            hint = "give the profile another `section`, remove that one, or say `adopt: true`"
            self._refused.append((wanted, "foreign", reason, hint))

    def _refusals(self, document: Document) -> Iterator[Refusal]:
        """Yield what was refused, with the lines in the new file that are in the way."""
        standing = {each.section: document.named[each.section] for each, *_ in self._refused}
        lines = ini.lines_of(document, {place for places in standing.values() for place in places})
        for wanted, code, reason, hint in self._refused:
            where = " and ".join(str(lines[place]) for place in standing[wanted.section])
            # Not str.format: a section's name may hold braces.
            told = reason.replace("(line {})", f"(line {where})")
            yield Refusal(wanted.profile, code, told, hint)

    def _stretch(self, place: int) -> bytes:
        return self._document.data[self._starts[place] : self._starts[place + 1]]

    def _render(self, wanted: Piece) -> bytes:
        self._said[wanted.section] = wanted
        return wanted.render()


def _says(block: mark.Block, wanted: Piece) -> bool:
    """Say whether a proven block says what is wanted: its sum is the same then."""
    if block.key != wanted.mark.key:  # it was renewed: that need not be rendered twice
        return False
    rendered = wanted.render()
    if block.line_end:
        rendered = mark.with_line_end(rendered, block.line_end)
    return block.sum == mark.sum_of(rendered)


def _whose(claims: holding.Claims) -> str:
    names = {f"instance {claim.instance}" if claim else "another version" for claim in claims.marks}
    return f"; its mark: {', '.join(sorted(names))}" if names else ""


def _left_alone(document: Document, names: Iterable[str]) -> Iterator[Flaw]:
    places = {name: document.named[name][0] for name in names}
    lines = ini.lines_of(document, places.values())
    for name in names:
        reason = f"[{name}] should go, but holds keys that we did not issue"
        yield Flaw(lines[places[name]], "left_alone", reason, fatal=False)


def _headless(stretch: bytes, rest: bytes, note: str = "") -> Draft:
    """Return what is left of a section without its block; its header stays only if it must."""
    rest = holding.unindented(rest)
    return Draft(b"", holding.header(stretch) + rest if holding.has_content(rest) else rest, note)


def _remember(document: Document, said: Mapping[str, Piece]) -> Document:
    """Note at each section which piece it says, so that the next merge need not compare."""
    sections = list(document.sections)
    for name, wanted in said.items():
        for place in document.named[name]:
            section = sections[place]
            held = section.label
            if held is None or held.block.instance != wanted.mark.instance:
                continue
            if section.name == name:
                sections[place] = section._replace(label=held._replace(said=wanted))
                break
        else:
            raise AssertionError(f"[{name}] would not be known again")
    return replace(document, sections=sections)
