"""Our own sentences for the YAML parser's errors.

The two parsers of PyYAML word the same mistake differently, and one of them quotes the file; so
what they say is recognised, never repeated.
"""

from __future__ import annotations

import re

import yaml

_SINGLE = "use single quotes"
_TAGS = "tags (`!name`) are refused"

MOST_DEPTH = 32
"""The deepest nesting; the deepest that a valid configuration needs (a policy) is about 12."""

TOO_DEEP = (f"is nested more than {MOST_DEPTH} deep", "a bracket or a dash too many?")
"""The reason and the hint, whether libyaml refuses it (at 1,000) or we do."""

_SENTENCES: tuple[tuple[str, str, str | None], ...] = (
    ("maximum nesting depth", *TOO_DEEP),
    ("tag", _TAGS, "a text that begins with `!` needs quotes"),
    (
        "mapping values are not allowed",
        "a key and its `:` cannot stand here",
        "a text with `: ` in it needs quotes; keys of one mapping stand in one column",
    ),
    ("tab character", "a tab cannot indent", "indent with spaces"),
    ("unexpected end of stream", "a quote is opened and never closed", None),
    (
        "unexpected document (indicator|separator)",
        "a quote is opened and not closed before the `---` or `...`",
        None,
    ),
    ("expected ',' or", "expected `,` or the closing bracket", None),
    ("unknown escape", "unknown escape in a text in double quotes", _SINGLE),
    (
        "hexa?decimal numbers?|Unicode character escape",
        "a `\\x`, `\\u` or `\\U` in a text in double quotes names no character",
        _SINGLE,
    ),
    (
        "node content",
        "a value or a key is missing here",
        "a text that begins with `,`, `]` or `}` needs quotes; two commas have a value between",
    ),
    (
        "sequence entries are not allowed",
        "a list cannot begin here",
        "each item has a line of its own below the key; a text that begins with `- ` needs quotes",
    ),
    ("mapping keys are not allowed", "a text cannot begin with `? ` here", "put it in quotes"),
    (
        "comment or line break|indentation indicator",
        "nothing but a line end may stand behind the `|` or `>` of a text of several lines",
        "a text that begins with `|` or `>` needs quotes",
    ),
    ("alphabetic or numeric", "a text that begins with `*` or `&` needs quotes", None),
    ("incompatible YAML document", "only YAML 1.x is read", None),
    ("directive", "directives (`%`) are refused", None),
    (
        "document start",
        "nothing may follow the end of the document",
        "the keys at the top stand in one column",
    ),
    (
        "unexpected ':'",
        "a `:` and a space must stand behind a key here",
        "a space follows the `:` of each key, also in braces",
    ),
    (
        "expected key|block end|'-' indicator",
        "the line does not continue what stands above it",
        "keys of one mapping stand in one column; so do the dashes of one list",
    ),
    (
        "could not find expected ':'",
        "expected a `:` after the key",
        "a `:` and a plain space follow each key; a text of several lines needs quotes",
    ),
)

_INI = re.compile(r"\A(?:\s*[#;].*\n|\s*\n)*\s*\[[^\[\]{},:\"']+\][ \t]*\r?\n\s*[a-z_]+ *=")
"""A header of a section, and a key of it."""

_UNMERGED = re.compile(r"^(?:<{7}|={7}|>{7})(?: |\r?$)", re.MULTILINE)

_BEHIND = (
    "nothing can stand behind the closing quote or bracket",
    "within single quotes a `'` is written twice",
)

_INSTEAD = "`credfresh init` makes a configuration of the roles in ~/.aws/config"


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[str, str | None]:
    """Return the reason and the hint for a syntax error in `text`."""
    said = error.problem or ""
    mark = error.problem_mark
    if mark and "cannot start any token" in said:
        return _cannot_start(_character(text, mark.line, mark.column))
    if _INI.search(text):
        return "is a credentials or config file of the SDK's, and not YAML", _INSTEAD
    if _UNMERGED.search(text):
        return (
            "holds the marks of a merge that was not finished",
            "look for `<<<<<<<` and `>>>>>>>`",
        )
    if (
        mark
        and re.search("expected key|block end", said)
        and _line(text, mark.line)[: mark.column].strip()
    ):
        return _BEHIND
    for pattern, reason, hint in _SENTENCES:
        if re.search(pattern, said):
            return reason + _since(error), hint
    return "is not valid YAML" + _since(error), None


def _cannot_start(character: str) -> tuple[str, str | None]:
    if character == "\t":
        return "a tab cannot indent", "indent with spaces"
    return f"a text cannot begin with `{character}`", "put it in quotes"


def _character(text: str, line: int, column: int) -> str:
    return _line(text, line)[column : column + 1] or "that"


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number] if number < len(lines) else ""


def _since(error: yaml.MarkedYAMLError) -> str:
    """Say where what was being read begins, if that is on another line."""
    start, end = error.context_mark, error.problem_mark
    if start is None or end is None or start.line == end.line:
        return ""
    return f" (in what begins at {start.line + 1}:{start.column + 1})"
