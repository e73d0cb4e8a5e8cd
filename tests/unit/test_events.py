"""The list of events is complete, and the same in code and documentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import credfresh
from configs import TOP, accepted
from credfresh.errors import _CLOSED
from credfresh.events import EVENTS, undeclared
from credfresh.settings import Notice

PACKAGE = Path(credfresh.__file__).parent
PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")

TELLERS = {"emit", "_emit", "event", "once", "condition", "log", "_log"}
"""Names of the functions that tell an event: its name comes first, its fields as keywords."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the page says of one event."""

    name: str
    level: str
    fields: frozenset[str]
    meaning: str
    what_to_do: str


ENTRY = re.compile(
    r"^### `(?P<name>\w+)` \((?P<level>\w+)\)\n\n"
    r"Fields: (?P<fields>[^\n]+)\.\n\n"
    r"(?P<meaning>.+?)\n\n"
    r"What to do: (?P<what_to_do>.+?)\n(?=\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


def entries() -> list[Entry]:
    """Return the entries of the page."""
    return [
        Entry(
            name=found["name"],
            level=found["level"],
            fields=frozenset(re.findall(r"`(\w+)`", found["fields"])),
            meaning=found["meaning"],
            what_to_do=found["what_to_do"],
        )
        for found in ENTRY.finditer(PAGE)
    ]


@dataclass(frozen=True, slots=True)
class Telling:
    """A call in the package that tells an event by a literal name."""

    where: str
    name: str
    fields: frozenset[str]


def tellings() -> Iterator[Telling]:
    """Find every call that tells an event by name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=called) | ast.Name(id=called),
                    args=[ast.Constant(value=str(name)), *_],
                    keywords=words,
                ) if called in TELLERS:
                    fields = frozenset(word.arg for word in words if word.arg)
                    yield Telling(f"{path.name}:{node.lineno}", name, fields)
                case _:
                    pass


def composed_names() -> Iterator[str]:
    """Find every call that composes an event's name: a search for the name would not find it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=called) | ast.Name(id=called),
                    args=[ast.JoinedStr() | ast.BinOp(), *_],
                ) if called in TELLERS:
                    yield f"{path.name}:{node.lineno}"
                case _:
                    pass


def test_every_event_that_the_code_emits_is_declared() -> None:
    """No call tells an event, or a field of one, that is not in the list."""
    found = list(tellings())
    assert len(found) > 20
    assert [] == [telling for telling in found if undeclared(telling.name, telling.fields)]


def test_names_of_events_stand_in_the_code_as_a_whole() -> None:
    """A search for a name from the log finds where it is told."""
    assert [] == list(composed_names())


def test_every_declared_event_is_emitted() -> None:
    """No event is left over in the list after the code that told it is gone."""
    elsewhere = [path for path in PACKAGE.rglob("*.py") if path.name != "events.py"]
    source = "".join(path.read_text(encoding="utf-8") for path in elsewhere)
    assert [] == [name for name in EVENTS if f'"{name}"' not in source]


def test_every_event_has_its_entry_and_no_other() -> None:
    """Name, level and fields on the page are those of the code."""
    page = {entry.name: (entry.level, entry.fields) for entry in entries()}
    assert len(page) == PAGE.count("\n### ")
    assert {name: (event.level, event.fields) for name, event in EVENTS.items()} == page


def test_every_entry_says_what_it_means_and_what_to_do() -> None:
    """What to do about an error is never "nothing"."""
    for entry in entries():
        assert len(entry.meaning) > 20, entry.name
        assert not (entry.level == "error" and entry.what_to_do.startswith("nothing")), entry.name


def test_every_code_of_a_publish_that_failed_is_listed() -> None:
    """An operator searches for the code; only names of errors of the system are left out."""
    said = {f"unknown_{what}" for what in ("owner", "group")} | {
        code for code in _CLOSED if code.islower()
    }
    for path in sorted(
        {*PACKAGE.rglob("*.py")} - {*PACKAGE.glob("control/*"), *PACKAGE.glob("metrics/*")}
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="PublishError" | "cls"), keywords=words):
                    values = [word.value for word in words if word.arg == "code"]
                    said |= {str(v.value) for v in values if isinstance(v, ast.Constant)}
                case _:
                    pass
    assert said >= {"contended", "garbled", "planted", "unforeseen"}
    [entry] = [entry for entry in entries() if entry.name == "publish_failed"]
    assert said == set(re.findall(r"`([a-z_]+)`", entry.meaning)) - entry.fields


def test_every_code_of_a_source_that_failed_is_listed() -> None:
    """All codes of ours are listed; AWS's are without end."""
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("sts/*.py"))
    [entry] = [entry for entry in entries() if entry.name == "source_failed"]
    said = set(re.findall(r'"(source_[a-z_]+)"', source)) - {"source_profile"}  # a key of AWS's
    assert said == set(re.findall(r"`(source_[a-z_]+)`", entry.meaning))


def test_every_field_is_explained_once() -> None:
    """The table at the end has each field, and no other."""
    table = re.findall(r"^\| (`.+?) \|", PAGE.partition("\n## Fields\n")[2], re.MULTILINE)
    explained = [name for cell in table for name in re.findall(r"`(\w+)`", cell)]
    assert len(set(explained)) == len(explained)
    assert set(explained) == {name for event in EVENTS.values() for name in event.fields}


def test_notices_of_a_configuration_are_declared() -> None:
    """The list has each notice about a configuration that is accepted."""
    settings = accepted(
        TOP.replace("}", ", mode: '0664'}")
        + "sts: {calls_per_second: 0.1}\n"
        + "defaults: {region: eu-west-1}\nprofiles:\n"
        + _profile("a b", "duration: 15m")
        + _profile("b", "renew_before: 1m")
        + _profile("c", "duration: 1h, renew_before: 59m")
        + "".join(_profile(f"d{n}", "duration: 15m, renew_before: 80%") for n in range(6))
    )
    assert {
        "calls_per_second_low",
        "credentials_file_readable_by_all",
        "credentials_file_writable_by_group",
        "renew_before_clamped",
        "short_guarantee",
        "short_session",
        "unusual_section_name",
    } == {notice.event for notice in settings.notices}
    assert not [notice for notice in settings.notices if _undeclared(notice)]


def _profile(name: str, more: str) -> str:
    return f"  {name}: {{role_arn: 'arn:aws:iam::111111111111:role/x', {more}}}\n"


def _undeclared(notice: Notice) -> bool:
    return undeclared(notice.event, frozenset(dict(notice.fields)))
