"""Turns bytes into plain data with positions. The only door to yaml.

The data is built from the parser's events with a stack of our own, not from its nodes: anchors and
tags are seen where they stand, and no depth of nesting can exhaust the stack of the parser or of
Python. Every scalar is a string, so that nothing is misread as YAML 1.1 does (there an account id
`012345670123` is octal, `1:30` is 90, `no` is false).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from credfresh.config.decoding import START, at, decode
from credfresh.config.echo import Path
from credfresh.config.findings import Findings, Place
from credfresh.config.syntax import MOST_DEPTH, TOO_DEEP, explain

Tree = dict[str, "Tree"] | list["Tree"] | str
"""What a document holds: mappings, lists and text."""

Loader = type[yaml.BaseLoader] | type[yaml.cyaml.CBaseLoader]

FASTEST: Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_LEAF: dict[str | int, Place] = {}


class _StopReadingError(Exception):
    """What follows cannot be understood; the reason is recorded."""


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a file, and where each part of it stands."""

    data: dict[str, Tree]
    place: Place


def read(data: bytes, findings: Findings, loader: Loader = FASTEST) -> Document:
    """Read one YAML document that is a mapping at its top.

    What is wrong is added to `findings`; what could be understood all the same is returned.

    Raises:
        ConfigError: nothing could be understood, or what follows the mistake could not.
    """
    text = decode(data, findings)
    builder = _Builder(findings)
    understood = _feed(builder, text, loader)
    if not understood or findings.full:
        findings.raise_if_any()
    return _whole(builder, findings)


def _feed(builder: _Builder, text: str, loader: Loader) -> bool:
    """Build to the end, or record the first thing that cannot be understood and return False."""
    try:
        for event in _events(text, loader):
            builder.feed(event)
            if builder.findings.full:
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        reason, hint = explain(error, text)
        # libyaml gives no event for a line that nests too deep; the path to its key is known.
        path = builder.path() if (reason, hint) == TOO_DEEP else ()
        builder.findings.add(at(line, column), path, reason, hint=hint)
        return False
    except _StopReadingError:
        return False
    return True


def _events(text: str, loader: Loader) -> Iterator[yaml.Event]:
    events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
    return events


def _whole(builder: _Builder, findings: Findings) -> Document:
    match builder.root:
        case dict() as data:
            return Document(data, builder.place)
        case list():
            reason = "the file must be a mapping of keys at its top (got a list)"
        case str():
            reason = "the file must be a mapping of keys at its top (got text)"
        case _:
            reason = "the file is empty"
    findings.add(builder.place, (), reason, hint="start from config/minimal.yaml")
    findings.raise_if_any()
    raise AssertionError  # pragma: no cover  # the line above has raised


@dataclass(slots=True)
class _Frame:
    """A collection that is being filled."""

    into: dict[str, Tree] | list[Tree]
    place: Place
    key: str | int | None = None
    key_place: Place = START
    attached: bool = True
    """False for the second value of a duplicate key, which is read to its end and dropped."""


@dataclass(slots=True)
class _Builder:
    """Turns events into data; refuses what has no place in a configuration."""

    findings: Findings
    root: Tree | None = None
    place: Place = START
    stack: list[_Frame] = field(default_factory=list)
    documents: int = 0

    def feed(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.CollectionStartEvent():
                self._open(event)
            case yaml.CollectionEndEvent():
                self.stack.pop()
                self._next()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._document(event)
            case _:
                pass

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            reason = "a second document begins here; the file must be one"
            self._stop(event, reason, "take the `---` away")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        where = _place(event)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is None:
            self._key(frame, event, where)
            self._refuse_marks(event, where)
            return
        self._refuse_marks(event, where)
        if not event.style and not event.tag and event.value in _NULLS:
            self._nothing(event, where)
        else:
            self._put(event.value, where)
        self._next()

    def _nothing(self, event: yaml.ScalarEvent, where: Place) -> None:
        if not self.stack:
            self.place = where
            return
        word = f" ({event.value!r} is YAML's word for nothing)" if event.value else ""
        hint = 'indent its keys below it, if it has any; else leave it out, or write ""'
        if ":" in str(self.stack[-1].key):  # {key:value}
            hint = "a space follows the `:` of each key, also in braces"
        self.findings.add(where, self.path(), f"has no value{word}", hint=hint)
        self._omit(where)

    def _key(self, frame: _Frame, event: yaml.ScalarEvent, where: Place) -> None:
        name = event.value
        frame.key, frame.key_place = name, where
        if name == "<<" and not event.style:
            hint = "write the keys out, or put what profiles share under `defaults`"
            self._stop(event, "merge keys (`<<`) are refused", hint)
        first = frame.place.within.get(name)
        frame.attached = first is None
        if first is not None:
            reason = f"is set twice; the first is at {first.key_line}:{first.key_column}"
            self.findings.add(where, self.path(), reason, hint="keep one of them")

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is None:
            self._stop(event, "a key must be text (got a collection)", None)
        if len(self.stack) >= MOST_DEPTH:
            self._stop(event, *TOO_DEEP)
        where = _place(event, {})
        self._refuse_marks(event, where)
        into: dict[str, Tree] | list[Tree] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(into, where)
        key = None if isinstance(into, dict) else 0
        self.stack.append(_Frame(into, where, key))

    def _alias(self, event: yaml.AliasEvent) -> None:
        if not self.stack or self.stack[-1].key is None:
            self._stop(event, "aliases (`*name`) are refused", None)
        where = _place(event)
        hint = "write the value out; a text that begins with `*` needs quotes"
        self.findings.add(where, self.path(), "aliases (`*name`) are refused", hint=hint)
        self._omit(where)
        self._next()

    def _refuse_marks(
        self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, where: Place
    ) -> None:
        if event.anchor:
            hint = "write the value out; a text that begins with `&` needs quotes"
            self.findings.add(where, self.path(), "anchors (`&name`) are refused", hint=hint)
        if event.tag:
            hint = "every value is read as text; a text that begins with `!` needs quotes"
            self.findings.add(where, self.path(), "tags (`!name`) are refused", hint=hint)

    def _put(self, value: Tree, where: Place) -> None:
        """Attach a value to what is being filled, with the position of its key."""
        if not self.stack:
            self.root, self.place = value, where
            return
        frame = self.stack[-1]
        if not frame.attached:
            return
        key = frame.key
        if isinstance(frame.into, list):
            frame.into.append(value)
            frame.place.within[len(frame.into) - 1] = where
        elif isinstance(key, str):
            frame.into[key] = value
            frame.place.within[key] = _keyed(where, frame.key_place)

    def _omit(self, where: Place) -> None:
        """Note a refused value as faulty, so that it is not reported as missing, too."""
        frame = self.stack[-1]
        if not frame.attached:
            return
        if isinstance(frame.key, str):
            frame.place.within[frame.key] = _keyed(where, frame.key_place)
            self.findings.faulty.add(self.path())
        else:
            self.findings.faulty.add(tuple(f.key for f in self.stack[:-1] if f.key is not None))

    def _next(self) -> None:
        """Note that a value has ended: a mapping now expects a key, a list its next item."""
        if not self.stack:
            return
        frame = self.stack[-1]
        frame.key = frame.key + 1 if isinstance(frame.key, int) else None

    def path(self) -> Path:
        return tuple(frame.key for frame in self.stack if frame.key is not None)

    def _stop(self, event: yaml.Event, reason: str, hint: str | None) -> None:
        self.findings.add(_place(event), self.path(), reason, hint=hint)
        raise _StopReadingError


def _keyed(where: Place, key: Place) -> Place:
    return Place(where.line, where.column, key.line, key.column, where.within)


def _place(event: yaml.Event, within: dict[str | int, Place] = _LEAF) -> Place:
    mark = event.start_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Place(line, column, line, column, within)
