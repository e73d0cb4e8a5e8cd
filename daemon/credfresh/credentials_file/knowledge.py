"""Remembers what the file held, so that it is read and scanned only when it has changed."""

from __future__ import annotations

import os
from collections.abc import Iterable

from credfresh.credentials_file.standing import Patience, Standing, look
from credfresh.disk import atomic
from credfresh.disk.locks import Pause
from credfresh.disk.paths import Place
from credfresh.model import Clock
from credfresh.regular import Identity, identity
from credfresh.splice import ownership
from credfresh.splice.holding import Document

YOUNG = 1.0
"""Seconds since its last change in which a file that got shorter may be half written."""

GRAIN = 0.05
"""Seconds after which another write is sure to show in a file's times (their clock ticks at least
every 10 ms)."""

_NOWHERE: Identity = (0, 0, 0, 0, 0)


class Knowledge:
    """The bytes and sections of the file as last read or written, for one instance."""

    def __init__(self, instance: str, *, clock: Clock, pause: Pause) -> None:
        self._instance = instance
        self._clock = clock
        self._pause = pause
        self._document: Document | None = None
        self._identity = _NOWHERE
        self._proven = False
        self._looked = 0.0
        """Wall second just before the last look began."""

    def look(self, place: Place) -> Standing | None:
        """Read the file, but not while somebody is between truncating and writing it.

        Raises:
            OSError: it cannot be read.
        """
        patience = Patience(self._pause)
        shorter: Identity | None = None
        while True:
            standing = self._read(place, self._known(), patience)
            if standing is None or not self._young(standing):
                return standing
            seen = identity(standing.info)
            if seen != shorter and not self._shorter(standing):
                return standing
            shorter = seen
            if not patience.step():
                return standing
            standing.close()

    def confirms(self, place: Place, now: os.stat_result) -> bool:
        """Say whether the file is as we know it. It is read only if its times prove nothing.

        Raises:
            OSError: it cannot be read.
        """
        if self._proven and identity(now) == self._identity:
            return True
        standing = self._read(place, self._known(), Patience(self._pause))
        if standing is None:
            return False
        try:
            if not (self.holds(standing) and _compared(standing)):
                self.distrust()  # else the publish that follows takes it for what we know
                return False
        finally:
            standing.close()
        self.saw(standing, self.document(standing))
        return True

    def distrust(self) -> None:
        """Read the file next time, whatever it looks like."""
        self._identity = _NOWHERE

    def wrote(self, document: Document, now: os.stat_result | None = None) -> None:
        """Remember what we wrote. Its times prove nothing yet: a rival may have been as quick."""
        self._proven = False
        self._remember(document, now)

    def saw(self, standing: Standing, document: Document) -> None:
        """Remember what the last look found there."""
        if standing.was_read:
            self._proven = self._looked - standing.info.st_ctime > GRAIN
        self._remember(document, standing.info)

    def holds(self, standing: Standing) -> bool:
        """Say whether a file holds the bytes that we know."""
        return self._document is not None and standing.data == self._document.data

    def document(self, standing: Standing | None) -> Document:
        """Return the file, scanned; an empty document if there is none."""
        data = standing.data if standing is not None else b""
        if self._document is not None and data == self._document.data:
            return self._document
        return ownership.read(data)

    def taken_from(self, document: Document, wanted: Iterable[str]) -> list[str]:
        """Return the sections of `wanted` that stood there as ours, and no longer stand."""
        before = self._document
        if before is None or before is document:
            return []
        return [
            name
            for name in wanted
            if name not in document.named
            and any(self._is_ours(before, place) for place in before.named.get(name, ()))
        ]

    def _is_ours(self, document: Document, place: int) -> bool:
        held = document.sections[place].label
        return held is not None and held.block.instance == self._instance

    def _known(self) -> tuple[Identity, bytes] | None:
        return None if self._document is None else (self._identity, self._document.data)

    def _remember(self, document: Document, info: os.stat_result | None) -> None:
        """Know the file again by `info`, unless somebody wrote between the bytes and `info`."""
        self._document = document
        same = info is not None and info.st_size == len(document.data)
        self._identity = identity(info) if info is not None and same else _NOWHERE

    def _read(
        self, place: Place, known: tuple[Identity, bytes] | None, patience: Patience
    ) -> Standing | None:
        self._looked = self._clock().wall  # what is written after it was read need not show
        return look(place, known, patience)

    def _young(self, standing: Standing) -> bool:
        """Say whether it changed a moment ago. Who shortened it longer ago meant to."""
        return standing.was_read and self._clock().wall - standing.info.st_mtime < YOUNG

    def _shorter(self, standing: Standing) -> bool:
        """Say whether fewer bytes that are not ours stand than before."""
        if self._document is None:
            return not standing.data
        if standing.data == self._document.data:
            return False
        left = ownership.foreign_size(ownership.read(standing.data), self._instance)
        return left < ownership.foreign_size(self._document, self._instance)


def _compared(standing: Standing) -> bool:
    """Say whether its bytes are those of the file: compare them if they were not read.

    Comparing takes a tenth of reading a file of ten thousand sections into new memory.
    """
    if standing.was_read:
        return True
    same = atomic.holds(standing.descriptor, standing.data)
    now = os.fstat(standing.descriptor)
    standing.was_read = same and identity(now) == identity(standing.info)
    return standing.was_read
