"""All the directories of twins of one daemon as one destination."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping

from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.model import Clock
from credfresh.process_twin.directory import ProcessDirectory
from credfresh.publication import Outcome, Publication, PublishReport, Wanted
from credfresh.settings import FileTarget, Profile


class ProcessTwins:
    """Splits what is wanted by directory: one, or two after a reload has named another.

    `shared` are the directories that the configuration names at the start. For one thread at a
    time.
    """

    def __init__(self, shared: Iterable[FileTarget], *, instance: str, clock: Clock) -> None:
        self._instance = instance
        self._clock = clock
        self._directories: dict[str, ProcessDirectory] = {}
        for target in shared:
            self._directory(target)

    def claim(self) -> None:
        """Become the only daemon that keeps these directories.

        Raises:
            AlreadyRunningError: another one keeps one of them; none is claimed then.
        """
        try:
            for directory in self._directories.values():
                with contextlib.suppress(PublishError):
                    directory.claim()
        except AlreadyRunningError:
            self.release()
            raise

    def release(self) -> None:
        """Give the claims up."""
        for directory in self._directories.values():
            directory.release()

    def issued_to(self, profiles: Mapping[str, Profile]) -> set[str]:
        """Return the access key ids in the twins of `profiles` that we provably issued."""
        names: dict[str, list[str]] = {path: [] for path in self._directories}
        for profile in profiles.values():
            if profile.twin is not None and profile.twin.directory in names:
                names[profile.twin.directory].append(profile.twin.name)
        return {each for path in names for each in self._directories[path].issued(names[path])}

    def publish(self, wanted: Wanted) -> dict[str, Outcome]:
        """Make every directory equal to what is wanted of it; see `publication.Outcomes`."""
        shares: dict[str, dict[str, Publication]] = {path: {} for path in self._directories}
        shared: dict[str, FileTarget] = {}
        for name, publication in wanted.items():
            twin = publication.profile.twin
            if twin is not None:
                shares.setdefault(twin.directory, {})[name] = publication
                shared[twin.directory] = twin.shared
        for target in shared.values():
            self._directory(target)
        outcomes: dict[str, Outcome] = {}
        # Twins that move stand in the new directory before they leave the old one. If they cannot
        # be put there, readers keep what they have, except what is to be withdrawn.
        for path, share in sorted(shares.items(), key=lambda each: not each[1]):
            failed = any(isinstance(outcome, PublishError) for outcome in outcomes.values())
            waits = failed and not share
            act = self._directories[path].withdraw if waits else self._directories[path].publish
            done = _outcomes(act, path, wanted if waits else share)
            error = done.get(path)
            if not share and isinstance(error, PublishError) and error.nowhere:
                done = {path: PublishReport(written=False)}
            outcomes.update(done)
            if not (share or waits) and all(isinstance(o, PublishReport) for o in done.values()):
                self._directories.pop(path).release()
        return outcomes

    def tick(self) -> bool:
        """Look after every directory; True asks for a `publish`."""
        again = [each.tick() for each in self._directories.values()]  # all of them: no generator
        return any(again)

    def _directory(self, shared: FileTarget) -> None:
        known = self._directories.get(shared.path)
        if known is None:
            self._directories[shared.path] = ProcessDirectory(
                shared, instance=self._instance, clock=self._clock
            )
        else:
            known.share(shared)


def _outcomes(
    act: Callable[[Wanted], dict[str, Outcome]], path: str, wanted: Wanted
) -> dict[str, Outcome]:
    try:
        return act(wanted)
    except Exception as error:  # noqa: BLE001 - what nobody foresaw stops nothing else
        return {path: PublishError.unforeseen(path, error)}
