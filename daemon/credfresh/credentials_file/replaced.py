"""A file that we have replaced, kept until nobody can write into it any more."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field

from credfresh.credentials_file.standing import Patience, Version
from credfresh.disk import atomic
from credfresh.disk.locks import Watch, disturbed, unwatch, watch


@dataclass(slots=True, eq=False)
class Replaced:
    """A file that we replaced."""

    descriptor: int
    name: str | None
    """Its temporary name; None where it has none any more."""
    expected: bytes | None = field(repr=False)
    """What was in it when we replaced it; None: not known, but not what is in it now."""
    put: bytes = field(repr=False)
    """What we put in its place; empty if that is not known any more."""
    was: Version
    """How it was when `expected` was in it."""
    successor: Version
    """How what we put in its place was then; of size 0 if that differs by more than is ours."""
    watched: bool = False
    busy: bool = False
    """Somebody had it open for writing when we last looked."""
    certain: bool = False
    """Nobody had, and nobody can any more: what was read then is final."""
    seen: tuple[bytes, Version] | None = field(default=None, repr=False)
    """What a rival has made of it, not yet taken over."""

    @property
    def base(self) -> bytes:
        """What a rival started from."""
        return self.put if self.expected is None else self.expected

    def altered(self, patience: Patience) -> bool:
        """Say whether somebody wrote into it; a writer that is at it may finish first."""
        if self.watched and not disturbed(self.descriptor):
            self.certain = True
            return False
        unwatch(self.descriptor)
        while (answer := watch(self.descriptor)) is Watch.BUSY and patience.step():
            pass
        self.busy = answer is Watch.BUSY
        self.certain = answer is Watch.KEPT
        same = self.expected is not None and atomic.holds(self.descriptor, self.expected)
        self.watched = same and self.certain
        return not same

    def taken_over(self) -> None:
        """What was seen in it stands on disk now."""
        if self.seen is not None:
            self.expected, self.was = self.seen
            self.seen, self.successor = None, Version()

    def drop(self, directory: int) -> None:
        """Take it away for good."""
        os.close(self.descriptor)
        if self.name is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.name, dir_fd=directory)
