"""The shared credentials file as bytes: where its sections begin, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Flaw:
    """A thing wrong with the file. `fatal`: botocore and the AWS CLI refuse the whole file."""

    line: int
    code: str
    reason: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """A scanned file: hand it back instead of the bytes while they are unchanged."""

    data: bytes = field(repr=False)
