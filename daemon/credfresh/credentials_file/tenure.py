"""Our locks on one file: the one for life, and the one for our turn to write."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator, Sequence

from credfresh.credentials_file import leftovers
from credfresh.credentials_file.remarks import Remarks
from credfresh.credentials_file.rivals import Replaced
from credfresh.disk.locks import LifeLock, Pause, WriteLock
from credfresh.disk.paths import Place
from credfresh.disk.steps import Steps

PATIENCE = 10.0
"""Seconds that we wait for the write lock."""

SHORT_PATIENCE = 0.5
"""The same, while the last wait was in vain."""


class Tenure:
    """The claim of one instance to the file, wherever its path leads."""

    def __init__(self, instance: str, steps: Steps) -> None:
        self._instance = instance
        self._steps = steps
        self._life: LifeLock | None = None

    @property
    def path(self) -> str | None:
        """The file that is claimed, links resolved; None for none."""
        return None if self._life is None else self._life.path

    def covers(self, place: Place) -> bool:
        """Say whether the claim stands, and for this place."""
        return self._life is not None and self._life.covers(place)

    def begin(
        self, place: Place, owner: int | None, *, spare: Container[str]
    ) -> Sequence[Replaced]:
        """Claim a place and sweep it, but for the names in `spare`; return what to look at again.

        The claim to another place ends. Files of `owner` count as ours. What the one before noted
        stands until the next `note`.

        Raises:
            AlreadyRunningError: another one keeps it.
            PublishError: it cannot be claimed, or not swept.
        """
        life = LifeLock(place, self._instance)
        self.close()
        self._life = life
        try:
            return self._swept(place, life.found, owner, spare)
        except BaseException:
            self.close()  # so that the next one sweeps again, by the same note
            raise

    def sweep(
        self, place: Place, owner: int | None, *, spare: Container[str]
    ) -> Sequence[Replaced]:
        """Take away what failed writes could not, but for the names in `spare`.

        What we replaced and left there, as the path led elsewhere, is returned.

        Raises:
            PublishError: the directory cannot be read, or not what was replaced.
        """
        found = "" if self._life is None else self._life.noted
        return self._swept(place, found, owner, spare)

    def _swept(
        self, place: Place, found: str, owner: int | None, spare: Container[str]
    ) -> Sequence[Replaced]:
        with self._steps("sweep"):
            return leftovers.sweep(place, found, owner, spare)

    def note(self, text: str) -> None:
        """Leave a note for the next claimant."""
        if self._life is not None:
            self._life.note(text)

    def close(self) -> None:
        """Give the claim up."""
        if self._life is not None:
            self._life.close()
            self._life = None


class Turn:
    """The write lock, taken for each write, and done without when somebody keeps it for ever."""

    def __init__(self, pause: Pause, steps: Steps) -> None:
        self._pause = pause
        self._steps = steps
        self._patience = PATIENCE

    @contextlib.contextmanager
    def taken(self, place: Place, remarks: Remarks) -> Iterator[None]:
        """Hold the lock if it can be had.

        Raises:
            PublishError: its file cannot be made.
        """
        lock = WriteLock()
        with self._steps("lock"):
            blocked = lock.take(place, self._patience, self._pause)
        self._patience = PATIENCE if blocked is None else SHORT_PATIENCE
        if blocked is not None and blocked.waited:
            remarks.condition("lock_held", pid=blocked.holder or 0)
        elif blocked is not None:
            remarks.condition("lock_unusable")
        try:
            yield
        finally:
            lock.close()
