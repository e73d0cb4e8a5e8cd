"""What we replaced last, kept until it is certain that nobody wrote into it after all."""

from __future__ import annotations

from credfresh.credentials_file import rivals
from credfresh.credentials_file.reconcile import carry_over
from credfresh.credentials_file.rivals import Patience, Replaced
from credfresh.disk.locks import Pause
from credfresh.disk.paths import Place
from credfresh.splice.holding import Document


class SecondLook:
    """One replaced file at a time, dropped at the second look.

    Unless a writer has it open even then: that one is looked at again until the next write.
    """

    def __init__(self, pause: Pause) -> None:
        self._pause = pause
        self._late: Replaced | None = None

    @property
    def pending(self) -> bool:
        """Whether there is something to look at."""
        return self._late is not None

    @property
    def name(self) -> str | None:
        """The temporary name under which it lies."""
        return self._late.name if self._late is not None else None

    def keep(self, place: Place, replaced: Replaced | None) -> None:
        """Keep another one from now on, or none."""
        if self._late is not None and self._late is not replaced:
            self._late.drop(place.directory)
        self._late = replaced

    def take(self, place: Place) -> bool:
        """Look; True when somebody wrote into it, which asks for a publish."""
        if self._late is None:
            return False
        if self._late.altered(Patience(self._pause, 0.0)):
            return True
        self.done(place)
        return False

    def done(self, place: Place) -> None:
        """What was to be seen has been seen."""
        if self._late is not None and not self._late.busy:
            self.keep(place, None)

    def altered(self) -> bool:
        """Look once more; whoever is at it may finish first."""
        return self._late is not None and self._late.altered(Patience(self._pause))

    def basis(self, place: Place, document: Document) -> Document | bytes:
        """Return what to splice from: the document, and what a rival wrote into the replaced file.

        Raises:
            OSError: it cannot be read.
        """
        late = self._late
        if late is None:
            return document
        if not late.altered(Patience(self._pause)):
            self.done(place)
            return document
        try:
            altered = rivals.read(late.descriptor)
        except OSError:
            self.keep(place, None)  # told once, and in the way of nothing after that
            raise
        if not altered:  # whoever truncated it has died
            self.keep(place, None)
            return document
        if document.data == late.put:
            return altered
        base = late.put if late.expected is None else late.expected
        return carry_over(base, altered, document.data)
