"""Whose section is whose: what should stand in the file, given what stands there.

Pure functions over bytes: no file, no clock. The signatures stand; the bodies follow.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field

from credfresh.ini import Document, Flaw
from credfresh.mark import Mark
from credfresh.publication import Publication, Refusal


@dataclass(frozen=True, slots=True)
class Piece:
    """What one section of ours should hold. Keep it: equal objects make the next merge cheap."""

    section: str
    profile: str
    mark: Mark
    values: tuple[tuple[str, str], ...] = field(repr=False)
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class Merge:
    """The outcome of one merge: the new bytes, and what happened to whom."""

    data: bytes = field(repr=False)
    changed: bool
    document: Document = field(repr=False)
    """The new bytes, scanned: hand it to the next merge while the file holds these bytes."""
    removed: tuple[str, ...] = ()
    """Sections of ours taken away: orphans and withdrawals."""
    repaired: tuple[str, ...] = ()
    """Sections of ours that had been altered and were put back."""
    adopted: tuple[str, ...] = ()
    """Sections of somebody else that were replaced because the profile says `adopt: true`."""
    refused: tuple[Refusal, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    """What is wrong with the new bytes (all of it foreign), each with its line."""


@dataclass(frozen=True, slots=True)
class Owned:
    """One section that is provably ours: what a warm restart and `status` go by."""

    section: str
    mark: Mark
    values: tuple[tuple[str, str], ...] = field(repr=False)


def piece(publication: Publication, instance: str) -> Piece:
    """Return what should stand for a publication that has a grant.

    Raises:
        ValueError: a value cannot be written; the message names the field, never the value.
    """
    raise NotImplementedError


def read(data: bytes) -> Document:
    """Scan a file and judge the marks in it."""
    raise NotImplementedError


def merge(
    standing: Document | bytes,
    put: Mapping[str, Piece],
    *,
    instance: str,
    issued: Container[str],
    leave: Collection[str] = (),
    withdraw: Collection[str] = (),
) -> Merge:
    """Return the file in which every piece of `put` stands in its section.

    `put`: section name to piece. `leave`: sections of configured profiles with nothing in hand,
    left as they stand. `withdraw`: sections of configured profiles that shall not stand. Any
    other section with a right mark of `instance` is an orphan and removed. `issued` holds the
    access key ids that we issued in this life or believe from marks: it decides whether an
    altered section is put back or has been `taken`.
    """
    raise NotImplementedError


def owned(document: Document, instance: str) -> tuple[Owned, ...]:
    """Return the sections that `instance` provably wrote, in the order of the file."""
    raise NotImplementedError


def foreign_size(document: Document, instance: str) -> int:
    """Return how many bytes of the file are not provably ours."""
    raise NotImplementedError
