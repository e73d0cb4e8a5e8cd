"""Two writers at once: what one changed is carried over to what the other left."""

from __future__ import annotations

from itertools import pairwise

from credfresh.splice import ini


def carry_over(base: bytes, altered: bytes, onto: bytes) -> bytes:
    """Return `onto` with the sections that differ between `base` and `altered`.

    Section by section and by name; where both sides changed one, `onto` stands. Sections that
    share a name go together, and what stands before the first header is one more.
    """
    old, theirs = _sections(base), _sections(altered)
    document: ini.Document[None] = ini.scan(onto, _unlabelled)
    ours = _sections(onto)
    edits: dict[int, bytes] = {}
    done: set[str] = set()
    for place, section in enumerate(document.sections):
        name = section.name
        if name in ours and ours[name] == old.get(name) and theirs.get(name) != old.get(name):
            edits[place] = theirs.get(name, b"") if name not in done else b""
            done.add(name)
    added = [text for name, text in theirs.items() if name not in ours and text != old.get(name)]
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


def _unlabelled(_data: bytes, _start: int, _end: int) -> tuple[None, bool]:
    return None, True


def _sections(data: bytes) -> dict[str, bytes]:
    """Return the text of each section; what shares a name, as one text. The preamble has none."""
    document: ini.Document[None] = ini.scan(data, _unlabelled)
    texts: dict[str, bytearray] = {}
    for section, (start, end) in zip(document.sections, pairwise(document.starts()), strict=True):
        texts.setdefault(section.name, bytearray()).extend(data[start:end])
    return {name: bytes(text) for name, text in texts.items()}
