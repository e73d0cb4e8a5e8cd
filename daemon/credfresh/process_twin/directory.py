"""One directory of twins: claimed for life, made equal to what is wanted, looked after."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from credfresh import twin
from credfresh.disk import folder
from credfresh.disk.locks import LifeLock
from credfresh.disk.paths import Place
from credfresh.disk.steps import StepHook, Steps, claimed
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.model import Clock
from credfresh.process_twin.files import Files, Kept, same
from credfresh.process_twin.sweep import sweep
from credfresh.publication import Outcome, Publication, PublishReport, Remark, Wanted
from credfresh.regular import Identity
from credfresh.settings import FileTarget, Profile

LOOKED_AT = 1000
"""Profiles whose files are looked at in one tick while the directory itself is as it was."""

WHOLE = frozenset({"ENOSPC", "EDQUOT", "EROFS", "EIO", "EMFILE", "ENFILE", "ENOENT"})
"""Errors that meet every file alike: with one of them the whole directory fails."""


class ProcessDirectory:
    """Keeps the twins of one instance in one directory. For one thread at a time.

    `hook` is called before each step of a write (for tests).
    """

    def __init__(
        self, shared: FileTarget, *, instance: str, clock: Clock, hook: StepHook | None = None
    ) -> None:
        self._shared = shared
        self._instance = instance
        self._steps = Steps(shared.path, hook)
        self._files = Files(instance, clock, hook)
        self._life: LifeLock | None = None
        self._kept: dict[str, Kept] = {}
        self._names: frozenset[str] | None = None
        """The names of the twins here; None until the directory has been swept."""
        self._profiles: tuple[Profile, ...] | None = None
        self._common: dict[str, Identity | None] = {}
        self._failed: dict[str, PublishError] = {}
        self._seen: tuple[int, int] | None = None
        self._to_look_at: list[str] = []

    def share(self, shared: FileTarget) -> None:
        """Change the rights of the files that all profiles share; the path stays the same."""
        if shared != self._shared:
            self._shared = shared
            self._profiles = None

    def claim(self) -> None:
        """Become the only daemon that keeps the directory.

        Raises:
            AlreadyRunningError: another one does.
            PublishError: it cannot be kept where it is.
        """
        with folder.entered(self._shared, twin.CONFIG, self._steps) as place:
            self._keep_claim(place)

    def release(self) -> None:
        """Let another one have it."""
        if self._life is not None:
            self._life.close()
            self._life = None

    def issued(self, names: Iterable[str]) -> set[str]:
        """Return the access key ids in the twins of these names that we provably issued."""
        try:
            with self._entered() as place:
                return set(filter(None, (self._files.issued(place, name) for name in names)))
        except PublishError:
            return set()  # the first publish meets the same, and reports it

    def publish(self, wanted: Wanted) -> dict[str, Outcome]:
        """Make the directory equal to what is wanted; report on it, and on each failing twin."""
        before, self._failed = self._failed, {}
        try:
            with self._entered() as place:
                known = _times(place) == self._seen
                report = self._bring(place, wanted)
                self._seen = _times(place) if known else None  # what others did is looked at
        except PublishError as error:
            self._failed = before
            return {self._shared.path: error}
        mended = dict.fromkeys(before.keys() - self._failed.keys(), PublishReport(written=False))
        return {self._shared.path: report, **self._failed, **mended}

    def withdraw(self, wanted: Wanted) -> dict[str, Outcome]:
        """Take away the credentials of profiles that `wanted` withdraws; leave all else."""
        gone = {name: p.profile.twin for name, p in wanted.items() if p.withdraw and p.profile.twin}
        if not gone:
            return {}
        try:
            with self._entered() as place:
                for name, where in gone.items():
                    if self._files.withdraw(place, where.name):
                        self._kept.pop(name, None)
                self._make_durable(place)
        except PublishError as error:
            return {self._shared.path: error}
        return {}

    def tick(self) -> bool:
        """Look after what was published; True asks for a `publish`."""
        if self._names is None:
            return False  # never published, or it failed: that is tried again anyway
        try:
            with folder.entered(self._shared, twin.CONFIG, self._steps) as place:
                if self._life is None or not self._life.covers(place):
                    return True
                return self._drifted(place)
        except PublishError:
            return True  # a publish meets the same, and reports it

    @contextmanager
    def _entered(self) -> Iterator[Place]:
        with folder.entered(self._shared, twin.CONFIG, self._steps) as place:
            try:
                self._keep_claim(place)
            except AlreadyRunningError as error:
                raise claimed(self._shared.path, error) from error
            yield place

    def _keep_claim(self, place: Place) -> None:
        if self._life is None or not self._life.covers(place):
            life = LifeLock(place, self._instance, directory_key="process_dir")
            self.release()
            self._life = life
            self._names = None
            self._files.forget()

    def _bring(self, place: Place, wanted: Wanted) -> PublishReport:
        self._files.begin()
        present = self._names
        if present is None:
            present = sweep(place, self._instance, self._steps)
            self._kept.clear()
            self._profiles = None
        self._names = None  # unknown until all has gone well
        names = frozenset(p.profile.twin.name for p in wanted.values() if p.profile.twin)
        # Removals come first: a full disk must not prevent them.
        removed = [name for name in sorted(present - names) if self._files.remove(place, name)]
        changed = [name for name, each in wanted.items() if self._differs(name, each)]
        for name in sorted(changed, key=lambda name: not wanted[name].withdraw):
            self._bring_one(place, name, wanted[name])
        for name in self._kept.keys() - wanted.keys():
            del self._kept[name]
        self._bring_common(place, tuple(each.profile for each in wanted.values()))
        self._make_durable(place)
        self._names = names
        path = ("path", self._shared.path)
        return PublishReport(
            written=self._files.written > 0,
            size=self._files.written,
            remarks=tuple(Remark("twin_removed", (path, ("twin", name))) for name in removed),
        )

    def _make_durable(self, place: Place) -> None:
        if self._files.changed:
            with self._steps("sync_directory"):
                os.fsync(place.directory)
            self._files.changed = False

    def _differs(self, name: str, publication: Publication) -> bool:
        kept = self._kept.get(name)
        return kept is None or kept.publication is not publication

    def _bring_one(self, place: Place, name: str, publication: Publication) -> None:
        """Make one profile's files equal to what is wanted; a failure stops no other profile."""
        where = publication.profile.twin
        if where is None:
            return
        try:
            self._kept[name] = self._files.bring(place, publication, where)
        except PublishError as error:
            if error.code in WHOLE:
                raise
            self._kept.pop(name, None)
            self._failed[where.path] = error

    def _bring_common(self, place: Place, profiles: tuple[Profile, ...]) -> None:
        """Make the files that all profiles share what they should be."""
        if profiles == self._profiles:
            return
        self._profiles = profiles
        self._common.clear()
        if not profiles:
            for name in (twin.CONFIG, twin.EMPTY):
                self._files.remove_common(folder.beside(place, name))
            return
        rights = self._shared._replace(mode=self._shared.mode & 0o666)
        self._put_common(place, twin.EMPTY, b"", rights._replace(mode=0o644))
        self._put_common(place, twin.CONFIG, twin.config(profiles, self._instance), rights)

    def _put_common(self, place: Place, name: str, data: bytes, rights: FileTarget) -> None:
        path = f"{self._shared.path}/{name}"
        try:
            self._common[name] = self._files.bring_common(folder.beside(place, name), data, rights)
        except PublishError as error:
            if error.code in WHOLE:
                raise
            self._profiles = None
            self._failed[path] = error

    def _drifted(self, place: Place) -> bool:
        """Look at all files if a name came or went, otherwise at some of them in turn."""
        times = _times(place)
        if times != self._seen or not self._to_look_at:
            self._to_look_at = list(self._kept)
        if times == self._seen:
            names, self._to_look_at = self._to_look_at[:LOOKED_AT], self._to_look_at[LOOKED_AT:]
        else:
            names, self._to_look_at = self._to_look_at, []
        self._seen = times
        drifted = [n for n in names if n in self._kept and not self._kept[n].stands(place)]
        for name in drifted:
            del self._kept[name]
        common = same(place, self._common)
        if not common:
            self._profiles = None
        return bool(drifted) or not common


def _times(place: Place) -> tuple[int, int]:
    """Return what changes when a name in a directory comes, goes or is replaced."""
    info = os.fstat(place.directory)
    return info.st_mtime_ns, info.st_ctime_ns
