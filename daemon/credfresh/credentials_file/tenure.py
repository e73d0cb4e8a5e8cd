"""Our locks on one file: the one for life, and the one for our turn to write."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from credfresh.credentials_file import leftovers
from credfresh.credentials_file.remarks import Remarks
from credfresh.credentials_file.second_look import SecondLook
from credfresh.disk import atomic
from credfresh.disk.locks import LifeLock, Pause, WriteLock
from credfresh.disk.paths import Place, resolved, same_place
from credfresh.disk.steps import Steps
from credfresh.errors import AlreadyRunningError, PublishError

PATIENCE = 10.0
"""Seconds that we wait for the write lock."""

SHORT_PATIENCE = 0.5
"""The same, while the last wait was in vain."""


class Tenure:
    """The claim of one instance to a file, wherever its path leads, and what it replaced there.

    Files of the `owner` that the methods name count as ours.
    """

    def __init__(self, instance: str, steps: Steps, pause: Pause) -> None:
        self._instance = instance
        self._steps = steps
        self._pause = pause
        self._life: LifeLock | None = None
        self.second_look = SecondLook(pause, self._note)

    @property
    def path(self) -> str | None:
        """The file that is claimed, links resolved; None for none."""
        return None if self._life is None else self._life.path

    def covers(self, place: Place) -> bool:
        """Say whether the claim stands, and for this place."""
        return self._life is not None and self._life.covers(place)

    def keep(self, place: Place, owner: int | None) -> None:
        """Claim a place and sweep it, unless it is claimed already.

        It is claimed anew if the path leads elsewhere, where the old claim ends, or if somebody
        removed the lock's file. What the one before us noted stands until the next note.

        Raises:
            AlreadyRunningError: another one keeps it.
            PublishError: it cannot be claimed, or not swept.
        """
        if self.covers(place):
            return
        if self.path is not None and self.path != place.path:
            self._leave(self.path)
        life = LifeLock(place, self._instance)
        self.close()
        self._life = life
        try:
            self._sweep(place, life.found, owner)
        except BaseException:
            self.close()  # so that the next one sweeps again, by the same note
            raise
        self._clear_beside(place, owner)

    def sweep(self, place: Place, owner: int | None) -> None:
        """Remove what failed writes left behind.

        What we replaced and left there while the path led elsewhere gets its second look after all.

        Raises:
            PublishError: the directory cannot be read, or not what was replaced.
        """
        self._sweep(place, "" if self._life is None else self._life.noted, owner)

    def end(self, path: str) -> None:
        """Give up the claim, and what was replaced there, or at `path` if nothing is claimed.

        Replaced files with a rival's write, or a writer, stay for the next daemon.
        """
        self._leave(self.path or path)
        self.close()

    def close(self) -> None:
        """Give up the claim, and leave what was replaced to the next one."""
        if self._life is not None:
            self._life.close()
            self._life = None

    def _clear_beside(self, place: Place, owner: int | None) -> None:
        """Clear up where the path itself is, if a link has been put in the place of a file of ours.

        Late writes of rivals stay there: the file to which they would go is gone.
        """
        with (
            contextlib.suppress(AlreadyRunningError, PublishError, OSError),
            resolved(self._steps.path, follow_last=False) as link,
        ):
            if not same_place(link, place) and any(
                atomic.leftovers(link.directory, link.name, owner=owner)
            ):
                before = Tenure(self._instance, self._steps, self._pause)
                before.keep(link, owner)
                before.end(link.path)

    def _sweep(self, place: Place, found: str, owner: int | None) -> None:
        with self._steps("sweep"):
            late = leftovers.sweep(place, found, owner, self.second_look.names)
        self.second_look.keep(place, *late)

    def _leave(self, path: str) -> None:
        """Let go of what was replaced there; see `SecondLook.leave`.

        A claimed path is real: a link that stands there now leads elsewhere.
        """
        real = path == self.path
        with (
            contextlib.suppress(PublishError, OSError),
            resolved(path, follow_last=not real) as place,
        ):
            self.second_look.leave(place)
        self.second_look.leave(None)

    def _note(self, text: str) -> None:
        """Leave a note for the next claimant."""
        if self._life is not None:
            self._life.note(text)


class Turn:
    """The write lock, taken for each write; if somebody holds it for ever we go without."""

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
