"""Bytes to text: bounded, UTF-8, and of characters that YAML has."""

from __future__ import annotations

import re
from typing import NamedTuple

from credfresh.config.findings import Findings, Place

MOST_BYTES = 8 * 1024 * 1024
"""The largest configuration read: three times what 10,000 profiles with every key need."""


class _Point(NamedTuple):
    """A `Mark` where no parser has been."""

    line: int
    column: int


START = Place(None, None, {})
"""The beginning of the file."""

# YAML 1.1 section 5.1 (c-printable): what may stand in a stream at all. Of text that is all ASCII a
# part of it is enough; the whole takes a while to compile.
_UNPRINTABLE_ASCII = "[^\t\n\r -~]"
_UNPRINTABLE = "[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


def decode(data: bytes, findings: Findings) -> str:
    """Return the text of a file, its byte order mark taken away.

    Raises:
        ConfigError: it is too large, no UTF-8, or holds characters that YAML does not have.
    """
    if len(data) > MOST_BYTES:
        reason = f"the file is larger than the {MOST_BYTES:,} bytes that are read at most"
        findings.add(START, (), reason, hint="split the profiles over several daemons")
        findings.raise_if_any()
    bad = _first_bad_byte(data)
    if bad is not None:
        before = data[:bad].decode("utf-8")
        reason = f"byte 0x{data[bad]:02x} is not UTF-8"
        findings.add(_end_of(before), (), reason, hint="save the file as UTF-8")
        findings.raise_if_any()
    text = data.decode("utf-8").removeprefix("\ufeff")
    if odd := re.search(_UNPRINTABLE_ASCII if text.isascii() else _UNPRINTABLE, text):
        reason = f"the character U+{ord(odd.group()):04X} cannot stand in YAML"
        findings.add(_end_of(text[: odd.start()]), (), reason)
        findings.raise_if_any()
    return text


def _first_bad_byte(data: bytes) -> int | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _end_of(text: str) -> Place:
    lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)
    end = _Point(len(lines) - 1, len(lines[-1].removeprefix("\ufeff")))
    return Place(end, end, {})
