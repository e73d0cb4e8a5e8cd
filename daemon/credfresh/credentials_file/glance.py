"""Tells by two calls of stat(2) whether a file can have changed since a thorough look.

A daemon at rest looks after its files all day long. Walking their paths and judging every
directory each time was most of its work.
"""

from __future__ import annotations

import os

from credfresh.model import Clock, Instant
from credfresh.values import dataclass

GOOD_FOR = 60.0
"""Seconds after which a thorough look is due whatever a glance says: directories further up, which
no glance sees, may have been given to others."""

SETTLED = 2.0
"""Seconds after a change in which another one may not show: some file systems keep times that
coarsely."""

_Seen = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """How a file and its directory were before a thorough look at them."""

    paths: tuple[str, str]
    seen: _Seen
    at: Instant


class Glance:
    """Remembers the last thorough look that found everything as it should be."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._good: Look | None = None

    def unchanged(self) -> bool:
        """Say whether all is as it was, as far as a glance can tell."""
        good = self._good
        if good is None or self._clock().boot >= good.at.boot + GOOD_FOR:
            return False
        return _seen(good.paths) == good.seen

    def look(self, path: str, folder: str) -> Look:
        """Record the state of `path`, wherever it leads, and of its directory `folder`.

        Raises:
            OSError: one of them cannot be seen.
        """
        at = self._clock()
        paths = path, folder
        return Look(paths, _seen(paths), at)

    def good(self, look: Look) -> None:
        """Remember `look`: a thorough look after it found everything as it should be."""
        newest = max(changed for *_, changed in look.seen) / 1e9
        self._good = look if look.at.wall - newest > SETTLED else None

    def forget(self) -> None:
        """Make the next look a thorough one."""
        self._good = None


def _seen(paths: tuple[str, str]) -> _Seen:
    """Return all of stat(2) that changes with a file, its change time last."""
    return tuple((*info[:7], info.st_mtime_ns, info.st_ctime_ns) for info in map(os.stat, paths))
