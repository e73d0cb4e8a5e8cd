"""A file that we have replaced, kept until nobody can write into it any more.

A rival that opened it before the swap may write into it afterwards. Each look (`altered`) finds out
what is in it, and who may still write. `SecondLook` acts upon the two:

    in it is             BUSY                  UNKNOWN                 NOBODY
    what was before      keep                  keep until next tick    drop
    something else       take over, keep       take over, keep         take over, drop
    less than before     keep: half-written?   take over, keep         take over, drop
    nothing              keep: half-written?   drop: a writer died     drop: a writer died

A publish takes over. Once that stands on disk, it counts as what was in the file before. A file
that is still WATCHED has not been looked at: its first look finds NOBODY, unless somebody has come.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from enum import Enum

from credfresh.credentials_file.standing import Patience, Version
from credfresh.disk import atomic
from credfresh.disk.locks import Watch, disturbed, unwatch, watch


class Writers(Enum):
    """Who may still write into a replaced file, by the last look."""

    UNKNOWN = "unknown"  # not looked at yet; or without leases it cannot be known
    WATCHED = "watched"  # nobody had it open when we replaced it; a lease tells who comes
    BUSY = "busy"  # somebody has it open
    NOBODY = "nobody"  # nobody has, and nobody can any more: what is in it is final


_ANSWERS = {
    Watch.KEPT: Writers.NOBODY,
    Watch.BUSY: Writers.BUSY,
    Watch.BLIND: Writers.UNKNOWN,
}


@dataclass(slots=True, eq=False)
class Replaced:
    """A file that we replaced."""

    descriptor: int
    name: str | None
    """Its temporary name; None where it has none any more."""
    expected: bytes | None = field(repr=False)
    """What was in it before; None: that is not known, but a rival has changed it."""
    was: Version
    """How it was then."""
    put: bytes = field(repr=False)
    """What we put in its place; empty if that is not known any more."""
    successor: Version | None
    """How that was; None if it differs by more than is ours, or did not come to stand."""
    writers: Writers = Writers.UNKNOWN
    seen: tuple[bytes, Version] | None = field(default=None, repr=False)
    """What a rival has made of it, not yet taken over."""

    @property
    def base(self) -> bytes:
        """What a rival started from."""
        return self.put if self.expected is None else self.expected

    @property
    def busy(self) -> bool:
        """Whether somebody had it open for writing when we last looked."""
        return self.writers is Writers.BUSY

    @property
    def final(self) -> bool:
        """Whether nobody can change it after the last look."""
        return self.writers is Writers.NOBODY

    def differs_by_ours(self, stands: bytes) -> bool:
        """Say whether what `stands` now differs from what was in it before by what is ours alone.

        Then nobody else's change is lost if a rival's version of it is taken as a whole.
        """
        return self.expected is not None and self.successor is not None and stands == self.put

    def altered(self, patience: Patience) -> bool:
        """Say whether somebody wrote into it; a writer that is at it may finish first."""
        if self.writers is Writers.WATCHED and not disturbed(self.descriptor):
            self.writers = Writers.NOBODY
            return False
        unwatch(self.descriptor)
        while (answer := watch(self.descriptor)) is Watch.BUSY and patience.step():
            pass
        self.writers = _ANSWERS[answer]
        return self.expected is None or not atomic.holds(self.descriptor, self.expected)

    def taken_over(self) -> None:
        """What was seen in it stands on disk now."""
        if self.seen is not None:
            self.expected, self.was = self.seen
            self.seen, self.successor = None, None

    def drop(self, directory: int) -> None:
        """Take it away for good."""
        os.close(self.descriptor)
        if self.name is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.name, dir_fd=directory)
