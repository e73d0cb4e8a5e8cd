"""Turns bytes into plain data with positions. The only door to yaml.

The data is built from the parser's events with a stack of our own, not from its nodes: anchors and
tags are seen where they stand, and no depth of nesting can exhaust the stack of the parser or of
Python. Every scalar is a string, so that nothing is misread as YAML 1.1 does (there an account id
`012345670123` is octal, `1:30` is 90, `no` is false).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

import yaml

from credfresh.config.decoding import START, decode
from credfresh.config.echo import Path
from credfresh.config.findings import Findings, Mark, Place, key_of
from credfresh.config.syntax import MOST_DEPTH, TOO_DEEP, explain
from credfresh.values import dataclass

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
    problems = builder.findings.problems
    try:
        for event in _events(text, loader):
            builder.feed(event)
            if problems and builder.findings.full:  # asked for each event: there are none as a rule
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason, hint = explain(error, text)
        # libyaml gives no event for a line that nests too deep; the path to its key is known.
        path = builder.path() if (reason, hint) == TOO_DEEP else ()
        builder.findings.add(Place(mark, mark, {}), path, reason, hint=hint)
        return False
    except _StopReadingError:
        return False
    return True


def _events(text: str, loader: Loader) -> Iterator[yaml.Event]:
    return iter(loader(text).get_event, None)  # yaml.parse asks twice for each


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
    """A collection that is being filled, and the places of what is in it."""

    into: dict[str, Tree] | list[Tree]
    within: dict[str | int, Place]
    key: str | int | None
    key_mark: Mark | None = None
    """Where the key stands; None in a list, where it is a number."""
    attached: bool = True
    """False for the second value of a duplicate key, which is read to its end and dropped."""

    def attach(self, value: Tree, mark: Mark | None, within: dict[str | int, Place]) -> None:
        """Attach a value, with its position and that of its key."""
        if not self.attached or self.key is None:
            return
        self.within[self.key] = Place(mark, self.key_mark or mark, within)
        if isinstance(self.into, list):
            self.into.append(value)
        elif isinstance(self.key, str):
            self.into[self.key] = value

    def next(self) -> None:
        """Note that a value has ended: a mapping now expects a key, a list its next item."""
        self.key = self.key + 1 if isinstance(self.key, int) else None


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
                if self.stack:
                    self.stack[-1].next()
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
        if not self.stack:
            self._refuse_marks(event)
            self.root, self.place = None if _is_nothing(event) else event.value, _place(event)
            return
        frame = self.stack[-1]
        if frame.key is None:
            self._key(frame, event)
            self._refuse_marks(event)
            return
        self._refuse_marks(event)
        if _is_nothing(event):
            self._nothing(frame, event)
        else:
            frame.attach(event.value, event.start_mark, _LEAF)
        frame.next()

    def _nothing(self, frame: _Frame, event: yaml.ScalarEvent) -> None:
        word = f" ({event.value!r} is YAML's word for nothing)" if event.value else ""
        hint = 'indent its keys below it, if it has any; else leave it out, or write ""'
        if ":" in str(frame.key):  # {key:value}
            hint = "a space follows the `:` of each key, also in braces"
        self.findings.add(_place(event), self.path(), f"has no value{word}", hint=hint)
        self._omit(frame, event)

    def _key(self, frame: _Frame, event: yaml.ScalarEvent) -> None:
        name = frame.key = event.value
        frame.key_mark = event.start_mark
        if name == "<<" and not event.style:
            hint = "write the keys out, or put what profiles share under `defaults`"
            self._stop(event, "merge keys (`<<`) are refused", hint)
        first = frame.within.get(name)
        frame.attached = first is None
        if first is not None:
            key = key_of(first)
            reason = f"is set twice; the first is at {key.line}:{key.column}"
            self.findings.add(_place(event), self.path(), reason, hint="keep one of them")

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is None:
            hint = "a text that begins with `{` or `[` needs quotes; templates are not filled in"
            self._stop(event, "a key must be text (got a collection)", hint)
        if len(self.stack) >= MOST_DEPTH:
            self._stop(event, *TOO_DEEP)
        self._refuse_marks(event)
        into: dict[str, Tree] | list[Tree] = {} if isinstance(event, yaml.MappingStartEvent) else []
        within: dict[str | int, Place] = {}
        if frame is None:
            self.root, self.place = into, _place(event, within)
        else:
            frame.attach(into, event.start_mark, within)
        self.stack.append(_Frame(into, within, None if isinstance(into, dict) else 0))

    def _alias(self, event: yaml.AliasEvent) -> None:
        if not self.stack or self.stack[-1].key is None:
            self._stop(event, "aliases (`*name`) are refused", None)
        hint = "write the value out; a text that begins with `*` needs quotes"
        self.findings.add(_place(event), self.path(), "aliases (`*name`) are refused", hint=hint)
        self._omit(self.stack[-1], event)
        self.stack[-1].next()

    def _refuse_marks(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor:
            hint = "write the value out; a text that begins with `&` needs quotes"
            self.findings.add(
                _place(event), self.path(), "anchors (`&name`) are refused", hint=hint
            )
        if event.tag:
            hint = "every value is read as text; a text that begins with `!` needs quotes"
            self.findings.add(_place(event), self.path(), "tags (`!name`) are refused", hint=hint)

    def _omit(self, frame: _Frame, event: yaml.Event) -> None:
        """Note a refused value as faulty, so that it is not reported as missing, too."""
        if not frame.attached:
            return
        if isinstance(frame.key, str):
            frame.within[frame.key] = Place(event.start_mark, frame.key_mark, _LEAF)
            self.findings.faulty.add(self.path())
        else:
            self.findings.faulty.add(tuple(f.key for f in self.stack[:-1] if f.key is not None))

    def path(self) -> Path:
        return tuple(frame.key for frame in self.stack if frame.key is not None)

    def _stop(self, event: yaml.Event, reason: str, hint: str | None) -> None:
        self.findings.add(_place(event), self.path(), reason, hint=hint)
        raise _StopReadingError


def _is_nothing(event: yaml.ScalarEvent) -> bool:
    return event.value in _NULLS and not (event.style or event.tag)


def _place(event: yaml.Event, within: dict[str | int, Place] = _LEAF) -> Place:
    return Place(event.start_mark, event.start_mark, within)
