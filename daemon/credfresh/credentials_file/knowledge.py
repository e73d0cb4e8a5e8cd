"""What the file held when we last looked: so that it is read, and scanned, only when it changed."""

from __future__ import annotations

from credfresh import ownership
from credfresh.credentials_file.rivals import Identity, Standing, identity
from credfresh.holding import Document

YOUNG = 1.0
"""Seconds since its last change in which a file that got shorter may be half written."""

GRAIN = 0.05
"""Seconds after which a further write is sure to show in a file's times (their clock ticks every
10 ms at the slowest)."""

_NOWHERE: Identity = (0, 0, 0, 0, 0)


class Knowledge:
    """The bytes and sections of the file as last read or written, for one instance."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._document: Document | None = None
        self._identity = _NOWHERE
        self._proven = False

    @property
    def hint(self) -> tuple[Identity, bytes] | None:
        """What the file most likely holds, if it still looks like this."""
        return None if self._document is None else (self._identity, self._document.data)

    def distrust(self) -> None:
        """Read the file next time, whatever it looks like."""
        self._identity = _NOWHERE
        self._proven = False

    def wrote(self, document: Document, now: Identity = _NOWHERE) -> None:
        """Remember what we put there. It proves nothing yet: somebody may have been as quick."""
        self._document, self._identity, self._proven = document, now, False

    def saw(self, standing: Standing, document: Document, now: float) -> None:
        """Remember what we found there at wall second `now`."""
        if standing.was_read:
            self._proven = now - standing.info.st_ctime > GRAIN
        self._document, self._identity = document, identity(standing.info)

    def proves(self, now: Identity) -> bool:
        """Say whether a file that looks like this must hold what we know."""
        return self._proven and now == self._identity

    def holds(self, standing: Standing) -> bool:
        """Say whether a file holds the bytes that we know."""
        return self._document is not None and standing.data == self._document.data

    def document(self, standing: Standing | None) -> Document:
        """Return the file scanned; nothing when there is none."""
        data = standing.data if standing is not None else b""
        if self._document is not None and data == self._document.data:
            return self._document
        return ownership.read(data)

    def half_written(self, standing: Standing, now: float) -> bool:
        """Say whether somebody may be between truncating the file and writing it.

        That is so if what is not ours got shorter less than a second before wall second `now`;
        an older one is somebody's decision.
        """
        if not standing.was_read or now - standing.info.st_mtime >= YOUNG:
            return False
        if self._document is None:
            return not standing.data
        if standing.data == self._document.data:
            return False
        left = ownership.foreign_size(ownership.read(standing.data), self._instance)
        return left < ownership.foreign_size(self._document, self._instance)
