"""The lines of a stretch of the file, as the strictest reader takes them.

botocore and the AWS CLI read the shared credentials file with Python's
`configparser.RawConfigParser` in strict mode (`botocore.configloader.raw_config_parse`): one bad
line, whoever wrote it, makes every profile of the file unreadable to them. `lines` classifies each
line by the same rules; `examine` says what they would refuse. Both are pure, and linear in the
size of the stretch.

The rules, from configparser: lines end with LF, CRLF or a lone CR; white space is Unicode's; a
line is a comment when its first character is `#` or `;`; deeper indentation than the last key
line continues its value; `[name]` reaches to the last `]` of its line; a key ends at the first
`=` or `:` and its case does not count. From botocore: each line of an indented block (`s3 =`)
must hold a `=`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

DEFAULT_SECTION = "DEFAULT"
"""configparser's magic name: keys in this section leak into every other."""

BOM = b"\xef\xbb\xbf"

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_CONTENT = re.compile(rb"[^\r\n]*")
_LINE_END = re.compile(rb"\r\n|\r|\n")
# A bracket without a visible ASCII character before it. The literal stands first in the pattern,
# so that it is found by memchr.
_BRACKET = re.compile(rb"\[(?<![!-~]\[)")
_VISIBLE = frozenset(b"\r\n" + bytes(range(0x21, 0x7F)))
_BLANK = (
    "".join(map(chr, range(0x21)))
    + "\x85\xa0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    + "\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff\udc85\udca0"
)
"""What at least one reader trims: Python's white space, Java's (all up to the space), that of old
.NET (zero-width characters, byte order marks), and Latin-1's bytes if they are no UTF-8."""
_LF = 0x0A
_DELIMITER = re.compile(r"[=:]")
# What nearly every stretch looks like; anything else takes the slow way.
_PLAIN = re.compile(
    rb"\[[^\[\]\r\n]+\][ \t]*+(?:\r?\n|\Z)"
    rb"(?:(?:[#;][^\r\n]*+|[A-Za-z_][\w.-]*+[ \t]*+[=:][^\r\n]*+|[ \t]*+)(?:\r?\n|\Z))*+"
)
_PLAIN_KEY = re.compile(rb"^([A-Za-z_][\w.-]*+)[ \t]*+[=:]", re.MULTILINE)

Kind = Literal["blank", "comment", "header", "key", "more", "junk"]
Code = Literal[
    "bom",
    "not_utf8",
    "before_section",
    "no_key",
    "unclosed_header",
    "nested",
    "duplicate_key",
    "duplicate_section",
    "default_section",
    "same_name",
    "left_alone",
]


class Line(NamedTuple):
    """One line: its bytes are `stretch[start:end]`, line end included."""

    start: int
    end: int
    kind: Kind
    name: str = ""
    """For a header: its section. For a key line or a continuation: the key in lower case."""
    value: str = ""
    """For a key line or a continuation: its value. For a comment or junk: the text."""


class Finding(NamedTuple):
    """A flaw at a line of its stretch, counted from 0."""

    line: int
    code: Code
    reason: str
    fatal: bool = True


class Reading(NamedTuple):
    """The names in a stretch's headers, each once, and the first finding of each kind."""

    names: tuple[str, ...]
    findings: tuple[Finding, ...]


def text(raw: bytes) -> str:
    """Decode as UTF-8; bytes that are no UTF-8 become surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def brackets(data: bytes) -> tuple[list[int], list[int]]:
    """Return where headers start, and where other lines start with a bracket."""
    heads: list[int] = []
    inner: list[int] = []
    for match in _BRACKET.finditer(data):
        at = match.start()
        if at == 0 or data[at - 1] == _LF:
            line = _CONTENT.match(data, at)
            closed = line is not None and data.rfind(b"]", at + 2, line.end()) > 0
            (heads if closed else inner).append(at)
        elif _opens(data, at):
            inner.append(at)
    return heads, inner


def _opens(data: bytes, at: int) -> bool:
    """Say whether a bracket starts its line for a reader that trims what stands before it."""
    start = at
    while start and data[start - 1] not in _VISIBLE:
        start -= 1
    at_line_start = start == 0 or data[start - 1] in b"\r\n"
    return at_line_start and not text(data[start:at]).strip(_BLANK)


def bracketed_names(stretch: bytes) -> set[str]:
    """Return the trimmed names in all lines of a stretch that start with a closed bracket."""
    lines = (text(line).strip(_BLANK) for line in _LINE_END.split(stretch) if b"[" in line)
    return {
        line[1 : line.index("]")].strip() for line in lines if line.startswith("[") and "]" in line
    }


def at_column_0(line: bytes) -> bytes:
    """Return a line without its indentation, which is what Python takes for white space."""
    return text(line).lstrip().encode("utf-8", "surrogateescape")


def header_name(line: str) -> str:
    """Return the section that a stripped line opens, or an empty string."""
    close = line.rfind("]")
    return line[1:close] if line.startswith("[") and close > 1 else ""


def setting(line: str) -> tuple[str, str] | None:
    """Return the key, in lower case, and the value that a stripped line sets, if it sets any."""
    delimiter = _DELIMITER.search(line)
    if delimiter is None or not delimiter.start():
        return None
    key = line[: delimiter.start()].rstrip().lower()
    return key, line[delimiter.end() :].strip()


def lines(stretch: bytes) -> Iterator[Line]:
    """Classify each line. Before the first header, every other line is `junk`."""
    headed = False
    key = ""
    level = 0
    for match in _LINE.finditer(stretch):
        line = text(match.group())
        content = line.strip()
        start, end = match.span()
        if not content:
            yield Line(start, end, "blank", key)
            continue
        if content[0] in "#;":
            yield Line(start, end, "comment", value=content)
            continue
        indent = len(line) - len(line.lstrip())
        if key and indent > level:
            yield Line(start, end, "more", key, content)
            continue
        level = indent
        name = header_name(content)
        if name:
            headed, key = True, ""
            yield Line(start, end, "header", name)
        elif headed and (said := setting(content)):
            key, value = said
            yield Line(start, end, "key", key, value)
        else:
            yield Line(start, end, "junk", value=content)


def examine(stretch: bytes) -> Reading:
    """Return what botocore would refuse in a stretch: a section, or what precedes the first."""
    if stretch.isascii() and _PLAIN.fullmatch(stretch):
        keys = [key.lower() for key in _PLAIN_KEY.findall(stretch)]
        name = text(stretch[1 : stretch.index(b"]")])
        if len(set(keys)) == len(keys) and name != DEFAULT_SECTION:
            return Reading((name,), ())
    return _Examination().of(stretch)


class _Examination:
    """The slow way: one pass over the lines, keeping the first finding of each kind."""

    def __init__(self) -> None:
        self._found: dict[Code, Finding] = {}
        self._names: dict[str, None] = {}
        self._headed = False
        self._keys: set[str] = set()
        self._leaking: set[str] = set()

    def of(self, stretch: bytes) -> Reading:
        self._encoding(stretch)
        block: list[str] = []
        opened = 0
        for number, line in enumerate(lines(stretch.removeprefix(BOM))):
            if line.kind in ("more", "blank"):
                block.append(line.value)
            elif line.kind != "comment":
                self._indented_block(opened, block)
                block, opened = [line.value], number
            if line.kind == "header":
                self._header(number, line.name)
            elif line.kind == "key":
                self._key(number, line.name)
            elif line.kind == "junk":
                self._junk(number, line.value)
        self._indented_block(opened, block)
        findings = sorted(self._found.values(), key=lambda finding: finding.line)
        return Reading(tuple(self._names), tuple(findings))

    def _add(self, line: int, code: Code, reason: str, *, fatal: bool = True) -> None:
        self._found.setdefault(code, Finding(line, code, reason, fatal))

    def _encoding(self, stretch: bytes) -> None:
        if stretch.startswith(BOM):
            self._add(0, "bom", "the file starts with a byte order mark")
        try:
            stretch.decode()
        except UnicodeDecodeError as error:
            before = sum(1 for _ in _LINE.finditer(stretch[: error.start + 1])) - 1
            self._add(before, "not_utf8", "a byte that is not UTF-8")

    def _header(self, number: int, name: str) -> None:
        self._headed = True
        if name == DEFAULT_SECTION:
            self._keys = self._leaking  # [DEFAULT] may stand twice, a key in it may not
            self._add(
                number,
                "default_section",
                "what stands in [DEFAULT] leaks into every section",
                fatal=False,
            )
            return
        if name in self._names:
            self._add(number, "duplicate_section", "a second section of the same name")
        self._names[name] = None
        self._keys = set()

    def _key(self, number: int, key: str) -> None:
        if key in self._keys:
            self._add(number, "duplicate_key", "a key that the section has already")
        self._keys.add(key)

    def _junk(self, number: int, content: str) -> None:
        if content.startswith("["):
            self._add(number, "unclosed_header", "a section header without its closing bracket")
        elif self._headed:
            self._add(number, "no_key", "neither a section, a key, a comment nor a continuation")
        else:
            self._add(number, "before_section", "text before the first section")

    def _indented_block(self, number: int, block: list[str]) -> None:
        value = "\n".join(block).rstrip()
        if value.startswith("\n") and any(
            inner.strip() and "=" not in inner for inner in value.splitlines()
        ):
            self._add(number, "nested", "an indented block with a line that holds no =")
