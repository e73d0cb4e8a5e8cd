"""The mistakes found so far, and the places where they stand."""

from __future__ import annotations

from dataclasses import field, replace
from typing import NamedTuple, Protocol

from credfresh.config.echo import Path, dotted
from credfresh.errors import ConfigError, Problem
from credfresh.values import dataclass

MOST_PROBLEMS = 200
"""Problems that are listed at most: nobody reads more."""


class Mark(Protocol):
    """A point in the file, as the parser has it: counted from 0."""

    @property
    def line(self) -> int:
        """The line."""

    @property
    def column(self) -> int:
        """The column."""


class Place(NamedTuple):
    """Where a value and its key stand (None: at the beginning), and the same for all within it."""

    mark: Mark | None
    key_mark: Mark | None
    within: dict[str | int, Place]

    @property
    def line(self) -> int:
        """The line of the value, counted from 1."""
        return self.mark.line + 1 if self.mark else 1

    @property
    def column(self) -> int:
        """The column of the value, counted from 1."""
        return self.mark.column + 1 if self.mark else 1


@dataclass(frozen=True, slots=True)
class Findings:
    """Collects the problems that each stage finds; they are reported all at once at the end."""

    source: str
    problems: list[Problem] = field(default_factory=list)
    faulty: set[Path] = field(default_factory=set)
    """Paths whose value was refused: what depends on them is not judged a second time."""

    def add(self, where: Place, path: Path, reason: str, *, hint: str | None = None) -> None:
        """Record one problem at a place of the file."""
        self.problems.append(
            Problem(self.source, where.line, where.column, dotted(path), reason, hint)
        )

    def add_at(self, root: Place, path: Path, reason: str, *, hint: str | None) -> None:
        """Record one problem at the value of `path`; if it is absent, at the key above it."""
        self.add(value_or_parent(root, path), path, reason, hint=hint)

    def hide_below(self, path: Path) -> None:
        """Leave the names below `path` out of what is recorded: they may be a secret in braces."""
        place = dotted(path)
        below = f"{place}.", f"{place}["
        self.problems[:] = [
            replace(each, path=f"{place}…") if each.path.startswith(below) else each
            for each in self.problems
        ]

    @property
    def full(self) -> bool:
        """Whether so many problems are listed that looking for more is of no use."""
        return len(self.problems) >= MOST_PROBLEMS

    def raise_if_any(self) -> None:
        """Raise ConfigError with every problem, in the order of the file.

        Raises:
            ConfigError: something was found.
        """
        if not self.problems:
            return
        ordered = sorted(self.problems, key=lambda p: (p.line, p.column, p.path, p.reason))
        if self.full:
            reason = f"these are the first {MOST_PROBLEMS} problems; mend them and look again"
            ordered = [*ordered[:MOST_PROBLEMS], Problem(self.source, 0, 0, "", reason)]
        raise ConfigError(tuple(ordered))


def find(root: Place, path: Path) -> Place | None:
    """Return the place of `path`, or None where the file has no such thing."""
    place: Place | None = root
    for part in path:
        place = place.within.get(part) if place else None
    return place


def key_of(place: Place) -> Place:
    """Return the place of a value's key."""
    return Place(place.key_mark, place.key_mark, {})


def value_or_parent(root: Place, path: Path) -> Place:
    """Return the place of a word, of a collection's key, or of the nearest key above."""
    found = find(root, path)
    if found is not None and not found.within:
        return found
    while found is None:
        path = path[:-1]
        found = find(root, path)
    return key_of(found)
