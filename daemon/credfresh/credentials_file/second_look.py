"""Looks once more at files that we have replaced, for what rivals wrote into them late."""

from __future__ import annotations

import os
from collections.abc import Callable

from credfresh.credentials_file import leftovers
from credfresh.credentials_file.reconcile import carry_over
from credfresh.credentials_file.replaced import Replaced
from credfresh.credentials_file.standing import Patience, read, version
from credfresh.disk.locks import Pause
from credfresh.disk.paths import Place
from credfresh.splice.holding import Document

MOST = 4
"""Files that are kept at the same time; the oldest goes first, of those without a late write."""

MOST_WRITTEN = 16
"""The same, where rivals have written into all of them."""


class SecondLook:
    """A few replaced files, each kept until nobody can write into it any more.

    Leases tell when that is; without them, the next look is the last. A file that a writer has open
    stays, and is looked at again, until there are too many.
    """

    def __init__(self, pause: Pause, note: Callable[[str], None]) -> None:
        """`note` leaves a text for the daemon that keeps the file after us."""
        self._pause = pause
        self._note = note
        self._late: list[Replaced] = []

    @property
    def pending(self) -> bool:
        """Whether there is something to look at."""
        return bool(self._late)

    @property
    def names(self) -> frozenset[str]:
        """The temporary names under which they lie."""
        return frozenset(late.name for late in self._late if late.name is not None)

    def note(self, coming: str = "") -> None:
        """Note which files are kept, and what is about to be replaced."""
        self._note(leftovers.note(self._late) + coming)

    def keep(self, place: Place, *replaced: Replaced) -> None:
        """Keep these as well."""
        self._late += replaced
        if len(self._late) > MOST:
            at_once = Patience(self._pause, 0.0)
            bare = [late for late in self._late[:-1] if not late.altered(at_once)]
            for late in bare[: len(self._late) - MOST]:
                self._drop(place, late)
        for late in self._late[:-MOST_WRITTEN]:
            self._drop(place, late)
        self.note()

    def leave(self, place: Place | None) -> None:
        """Let all go. Those with a rival's write, or a writer, stay on disk for the next daemon."""
        for late in list(self._late):
            if place is None or late.altered(Patience(self._pause, 0.0)) or late.busy:
                self._late.remove(late)
                os.close(late.descriptor)
            else:
                self._drop(place, late)

    def take(self, place: Place) -> bool:
        """Look at all of them; True, which asks for a publish, if somebody wrote into one."""
        altered = [late for late in self._late if late.altered(Patience(self._pause, 0.0))]
        for late in list(self._late):
            if late not in altered and not late.busy:
                self._drop(place, late)
        return bool(altered)

    def altered(self) -> bool:
        """Say whether somebody wrote into one; a writer that is at it may finish first."""
        patience = Patience(self._pause)
        return any(late.altered(patience) for late in self._late)

    def basis(self, place: Place, document: Document) -> Document | bytes:
        """Return what to splice from: the document, and what rivals wrote into replaced files.

        Raises:
            OSError: one cannot be read.
        """
        patience = Patience(self._pause)
        merged: Document | bytes = document
        for late in list(self._late):
            waits = Patience(self._pause, 0.0) if late.busy else patience  # wait in vain only once
            try:
                if not late.altered(waits):
                    if late.final:
                        self._drop(place, late)
                    continue
                theirs = self._read(place, late)
            except OSError:
                self._drop(place, late)  # told once, and in the way of nothing after that
                raise
            if theirs is not None:
                data = merged if isinstance(merged, bytes) else merged.data
                whole = late.differs_by_ours(data)
                merged = theirs if whole else carry_over(late.base, theirs, data)
        return merged

    def taken_over(self, place: Place, *replaced: Replaced) -> None:
        """What `basis` returned last stands on disk now, in the place of `replaced`."""
        for late in list(self._late):
            late.taken_over()
            if late.final:
                self._drop(place, late)
        self.keep(place, *replaced)

    def _read(self, place: Place, late: Replaced) -> bytes | None:
        seen = version(os.fstat(late.descriptor))
        altered = read(late.descriptor)
        if late.busy and len(altered) < late.was.size:
            late.seen = None
            return None  # half of it may be missing yet
        if altered:
            late.seen = altered, seen
            return altered
        if not late.busy:  # whoever truncated it has died
            self._drop(place, late)
        return None

    def _drop(self, place: Place, late: Replaced) -> None:
        self._late.remove(late)
        late.drop(place.directory)
