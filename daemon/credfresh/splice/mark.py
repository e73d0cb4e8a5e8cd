"""The ownership mark: the comment under the header of each section that credfresh writes.

A *block* is what we write for one section, and the only thing that is ours in a file:

    [production]
    # credfresh v=1 instance=ID role=ARN request=HEX16 issued=… expires=… key=ASIA… size=N sum=HEX16
    aws_access_key_id = ASIA…
    …

from the header up to the `size` bytes of key lines below the mark. `sum` is a hash over the
header, the mark up to itself, and those bytes: so it proves where the block ends, that nobody
altered it, and that it was written for a section of this name (a copy by hand under another name
proves nothing). It is a checksum and no signature: whoever may write the file can forge it.

`nl=HEX8`, where present, says that the line end before the header is ours too: the text before
it had none. The digits are a hash over the last line of that text, so that the line end is taken
away with the section only while it still ends that very line.

Unknown fields between `instance` and `key` do no harm within `v=1`; a section with another `v` is
somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import NamedTuple

from credfresh.model import rfc3339
from credfresh.splice.ini_lines import DEFAULT_SECTION

PREFIX = "# credfresh v="
TOLERANCE = 300.0
"""Seconds by which the times in a mark may be off."""
SESSION_KEY = "ASIA"
"""What STS's temporary access key ids start with (IAM user guide, unique identifiers)."""

_BLOCK = re.compile(
    rb"\[([^\[\]\r\n]+)\]\n"
    rb"# credfresh v=1 instance=([!-~]++)(?: [!-~]++)*? key=([!-~]++) size=([0-9]{1,9})"
    rb"(?: nl=([0-9a-f]{8}))?( sum=)([0-9a-f]{16})\n"
)
_PLAIN = re.compile(r"[!-~]+")
_PLAIN_NAMES = ("instance", "role", "request", "key")
_PLAIN_FIELDS = attrgetter(*_PLAIN_NAMES)
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_FIELD = re.compile(r" ([a-z]+)=(\S*)")
_FIELDS = re.compile(
    r"# credfresh v=1 instance=([^ ]+) role=([^ ]+) request=([^ ]+)"
    r" issued=([^ ]+) expires=([^ ]+) key=([^ ]+) size="
)
"""All fields at once, if none is unknown: takes a third of the time."""
_VALUE = re.compile(r"^([a-z_]+) = (.+)\n", re.MULTILINE)
"""A line of a proven block. To look at each character of what we wrote would take twice as long."""


class Mark(NamedTuple):
    """Which instance wrote a section, for which role and request, and how long its keys last.

    `issued` and `expires` are whole wall seconds; `request` is the request's fingerprint.
    """

    instance: str
    role: str
    request: str
    issued: int
    expires: int
    key: str
    """The access key id (no secret: the CloudTrail join key)."""


class Block(NamedTuple):
    """The part of a proven block that a scan keeps."""

    size: int
    """Bytes from the header to the end of the last key line."""
    instance: str
    key: str
    line_end: str
    """The `nl` field; empty without one."""
    sum: str


def render(section: str, mark: Mark, values: Sequence[tuple[str, str]]) -> bytes:
    """Return the block of a section. The same arguments give the same bytes.

    Raises:
        ValueError: something cannot be written in one plain line; the message names the field
            and never repeats the value.
    """
    check(section, mark, values)
    body = "".join([f"{key} = {value}\n" for key, value in values]).encode()
    fields = (
        f"[{section}]\n# credfresh v=1 instance={mark.instance} role={mark.role}"
        f" request={mark.request} issued={rfc3339(mark.issued)} expires={rfc3339(mark.expires)}"
        f" key={mark.key} size={len(body)}"
    ).encode()
    return _summed(fields, body)


def check(section: str, mark: Mark, values: Sequence[tuple[str, str]]) -> None:
    """Check that all can be written as it must be read.

    Raises:
        ValueError: something cannot be written in one plain line; the message names the field
            and never repeats the value.
    """
    if not section.isprintable() or section != section.strip() or set(section) & set("[]"):
        raise ValueError("section: not a printable name without brackets")
    if section in ("", DEFAULT_SECTION):
        raise ValueError("section: no name, or [DEFAULT], which leaks into every section")
    fields = (*_PLAIN_FIELDS(mark), *[value for _, value in values])
    if all(fields) and _PLAIN.fullmatch("".join(fields)):  # at once, it takes a quarter of the time
        return
    named = zip((*_PLAIN_NAMES, *[key for key, _ in values]), fields, strict=True)
    wrong = next(name for name, value in named if not _PLAIN.fullmatch(value))
    raise ValueError(f"{wrong}: not printable ASCII without spaces")


def with_line_end(block: bytes, line_end: str) -> bytes:
    """Return a block with its `nl` field set, or taken out when `line_end` is empty."""
    match = _BLOCK.match(block)
    if match is None:
        raise ValueError("not a block")
    end = match.end(4)
    field = f" nl={line_end}".encode() if line_end else b""
    return _summed(block[:end] + field, block[match.end() :])


def sum_of(block: bytes) -> str:
    """Return the sum in a block's mark."""
    end = block.index(b"\n", block.index(b"\n") + 1)
    return block[end - 16 : end].decode()


def line_end_field(text: bytes) -> str:
    """Return the `nl` field for a line end of ours after this text, which ends without one."""
    return sha256(text[text.rfind(b"\n") + 1 :]).hexdigest()[:8]


def find(data: bytes, start: int, end: int) -> Block | None:
    """Return the block at the start of the section `data[start:end]`, if its sum is right."""
    match = _BLOCK.match(data, start, end)
    if match is None:
        return None
    top = match.end()
    bottom = top + int(match[4])
    if bottom > end:
        return None
    if _sum(data[start : match.start(6)], data[top - 1 : bottom]) != match[7]:
        return None
    line_end = match[5].decode() if match[5] else ""
    return Block(bottom - start, match[2].decode(), match[3].decode(), line_end, match[7].decode())


class Claim(NamedTuple):
    """What a mark line says, proven or not."""

    instance: str
    key: str
    line_end: str
    """The `nl` field, which can be checked against the line before; empty without one."""


def claim(line: str) -> Claim | None:
    """Return what a mark line says; None unless it is of version 1 and has instance and key."""
    fields = dict(_FIELD.findall(line))
    if not line.startswith("# credfresh v=1 ") or not fields.keys() >= {"instance", "key"}:
        return None
    return Claim(fields["instance"], fields["key"], fields.get("nl", ""))


def parse(block: bytes) -> tuple[Mark, dict[str, str]] | None:
    """Return a proven block's mark and values; None when a field is missing or malformed."""
    try:
        line, _, body = block.partition(b"\n")[2].decode("ascii").partition("\n")
        instance, role, request, issued, expires, key = _fields(line)
        mark = Mark(instance, role, request, _seconds(issued), _seconds(expires), key)
    except (KeyError, ValueError):
        return None
    return mark, dict(_VALUE.findall(body))


def sane(mark: Mark, *, now: float, asked: float, any_key: bool = False) -> bool:
    """Say whether a mark can be believed at a start.

    It must be issued at most 5 minutes after `now`, and last at most 5 minutes longer than `asked`
    seconds; its key id must start with ASIA (unless `any_key`: another STS gave it).
    """
    return (
        mark.issued <= now + TOLERANCE
        and 0 < mark.expires - mark.issued <= asked + TOLERANCE
        and (any_key or mark.key.startswith(SESSION_KEY))
    )


def _summed(fields: bytes, body: bytes) -> bytes:
    return b"%b sum=%b\n%b" % (fields, _sum(fields, b"\n" + body), body)


def _sum(fields: bytes, below: bytes) -> bytes:
    digest = sha256(fields)
    digest.update(below)
    return digest.hexdigest()[:16].encode()


def _fields(line: str) -> tuple[str, ...]:
    """Return the fields of `Mark` in their order; raise KeyError if one is missing."""
    found = _FIELDS.match(line)
    if found is not None:
        return found.groups()
    fields = dict(_FIELD.findall(line))
    return tuple(fields[name] for name in Mark._fields)


@lru_cache(4096)  # thousands of sections may have been written in the same few seconds
def _seconds(stamp: str) -> int:
    if not _STAMP.fullmatch(stamp):
        raise ValueError("not a time as we write it")
    return int(datetime.fromisoformat(stamp).timestamp())
