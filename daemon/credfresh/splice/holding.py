"""What one section holds, and what it should hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import field
from typing import NamedTuple

from credfresh.splice import ini, mark
from credfresh.splice.ini_lines import Line, at_column_0, lines, setting, text
from credfresh.splice.mark import Mark
from credfresh.values import dataclass

RULING = frozenset(
    {
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_security_token",
        "aws_account_id",
        "aws_credential_scope",
        "aws_expiration",
        "expiration",
        "x_security_token_expires",
        "role_arn",
        "source_profile",
        "credential_source",
        "credential_process",
        "web_identity_token_file",
        "sso_session",
        "sso_start_url",
        "sso_account_id",
        "sso_role_name",
    }
)
"""The keys that decide which credentials a reader of a section gets: they cannot stand beside
ours. (botocore prefers `aws_security_token` to the session token, and a role to static keys.)"""
WRITTEN = RULING | {"region"}
"""The same, and what else a block of ours may set."""
KEY_ID = "aws_access_key_id"


@dataclass(frozen=True, slots=True)
class Piece:
    """What one section of ours should hold. Keep the object: with it the next merge is cheap.

    Raises:
        ValueError: something cannot be written; the message names the field, never the value.
    """

    section: str
    profile: str
    mark: Mark
    values: tuple[tuple[str, str], ...] = field(repr=False)
    adopt: bool = False

    def __post_init__(self) -> None:
        mark.check(self.section, self.mark, self.values)

    @property
    def keys(self) -> frozenset[str]:
        """The keys that the section sets, and those that must not stand beside them."""
        return RULING.union(key for key, _ in self.values)

    def render(self) -> bytes:
        """Return the block that says what the piece does."""
        return mark.render(self.section, self.mark, self.values)


class Held(NamedTuple):
    """What a scan notes about a section with a proven block."""

    block: mark.Block
    said: Piece | None = None
    """The piece that the block is known to render; None if it was not compared."""


Document = ini.Document[Held]


class Claims(NamedTuple):
    """What tells whose an unproven section may be."""

    key_ids: frozenset[str]
    """Every access key id that a reader may find in it."""
    marks: frozenset[mark.Claim | None]
    """What each mark line in it says; None stands for a mark of another version."""


def label(data: bytes, start: int, end: int) -> tuple[Held | None, bool]:
    """Label a section for `ini.scan`. If its block fills the section, it needs no examination."""
    block = mark.find(data, start, end)
    return (Held(block), start + block.size == end) if block else (None, False)


def claims(stretch: bytes) -> Claims:
    """Return the key ids and the marks in a section, which tell whose it may be.

    An indented line continues a value for botocore; for many other readers it sets a key.
    """
    found = list(lines(stretch))
    said = [(line.name, line.value) for line in found if line.kind in ("key", "more")]
    said += [each for line in found if line.kind == "more" and (each := setting(line.value))]
    return Claims(
        frozenset(value for key, value in said if key == KEY_ID and value),
        frozenset(mark.claim(line.value) for line in found if _marking(line)),
    )


def remainder(stretch: bytes, block: int, taken: Collection[str] = ()) -> bytes:
    """Return what stays of a section without its first `block` bytes (0: without its header).

    An indented line directly below the block continues its last value for botocore, and sets a key
    for many other readers. So one that sets a key for both once it stands at column 0 moves there,
    unless the section has that key; any other goes with the block.

    If a new block takes its place, `taken` are the keys that must not stand beside it: lines that
    set them go, and so do other marks; and an indented key line moves to column 0, or it would
    continue our last value.

    A line feed outlives its line if what stays before it has none: readers for whom a carriage
    return ends no line would take what follows, or the next section, for a part of that.
    """
    kept: list[bytes] = []
    below = [line for line in lines(stretch) if line.start >= max(block, 1)]
    keys = {"", *(line.name for line in below if line.kind == "key")}
    ours = block > 0
    for line in below:
        raw = stretch[line.start : line.end]
        ours = ours and line.kind in ("blank", "comment", "more")
        continues = ours and line.kind == "more"
        key = _own_key(line) if continues else line.name
        if (continues and key in keys) or (taken and _in_the_way(line, key, taken)):
            if raw.endswith(b"\n") and kept and kept[-1].endswith(b"\r"):
                kept.append(b"\n")
            continue
        keys.add(key)
        moves = continues or (taken and line.kind in ("key", "junk"))
        kept.append(at_column_0(raw) if moves else raw)
    return b"".join(kept)


def unindented(stretch: bytes) -> bytes:
    """Return a text with the comments that it starts with at column 0.

    To the SDKs for Rust and Java 2 an indented one would continue the value above it.
    """
    moved: list[bytes] = []
    for line in lines(stretch):
        if line.kind not in ("blank", "comment"):
            return b"".join(moved) + stretch[line.start :]
        raw = stretch[line.start : line.end]
        moved.append(at_column_0(raw) if line.kind == "comment" else raw)
    return b"".join(moved)


def has_content(stretch: bytes) -> bool:
    """Say whether a text holds more than comments and blank lines, by any reader's line ends."""
    contents = map(str.strip, text(stretch).splitlines())
    return any(content and content[0] not in "#;" for content in contents)


def header(stretch: bytes) -> bytes:
    """Return a section's header line."""
    first = next(lines(stretch))
    return stretch[: first.end]


def _in_the_way(line: Line, key: str, taken: Collection[str]) -> bool:
    """Say whether a line of a key cannot stand below a new block that sets the `taken` keys."""
    return _marking(line) or (line.kind in ("key", "more") and key in taken)


def _own_key(line: Line) -> str:
    """Return the key that a continuation would set at column 0; "" if no key for some reader."""
    said = setting(line.value) if "=" in line.value else None
    return said[0] if said else ""


def _marking(line: Line) -> bool:
    return line.kind == "comment" and line.value.startswith(mark.PREFIX)
