"""All the credentials files of one daemon as one destination: no file suffers for another."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from credfresh.credentials_file import moves
from credfresh.credentials_file.shared import SharedCredentialsFile
from credfresh.disk.locks import Pause
from credfresh.disk.paths import FOREIGN_OWNER, WRITABLE_BY_OTHERS, resolved
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.model import Clock, Grant
from credfresh.publication import Outcome, Publication, PublishReport, Wanted
from credfresh.settings import FileTarget, Profile


def distrusted(targets: Iterable[FileTarget]) -> tuple[PublishError, ...]:
    """Return an error for each path that somebody else could redirect.

    Anything else that is wrong with a path may be mended while the daemon runs, and is told then.
    """
    errors = []
    for target in targets:
        try:
            with resolved(target.path):
                pass
        except PublishError as error:
            if error.code in (WRITABLE_BY_OTHERS, FOREIGN_OWNER):
                errors.append(error)
    return tuple(errors)


class CredentialsFiles:
    """Splits what is wanted by file. For one thread at a time.

    A file that a publication names for the first time is claimed then. One of which nothing is
    wanted any more is cleared of our sections, and let go. A profile that moves to another file
    leaves its old one once it stands in the new one; another path to the same file is no move.
    """

    def __init__(
        self,
        targets: Iterable[FileTarget],
        *,
        instance: str,
        clock: Clock,
        pause: Pause | None = None,
    ) -> None:
        self._instance = instance
        self._clock = clock
        self._pause = pause
        self._targets: dict[str, FileTarget] = {}
        self._files: dict[str, SharedCredentialsFile] = {}
        self._stood: dict[str, Wanted] = {}
        for target in targets:
            self._file(target)

    def issued(self, access_key_id: str) -> bool:
        """Say whether an access key id is one that we issued. Safe in any thread."""
        return any(file.issued(access_key_id) for file in tuple(self._files.values()))

    def claim(self) -> None:
        """Become the only daemon that keeps these files.

        A file that cannot be kept where it is stops no other: its next publish says so.

        Raises:
            AlreadyRunningError: another one keeps one of them; none is claimed then.
        """
        try:
            for file in self._files.values():
                with contextlib.suppress(PublishError):
                    file.claim()
        except AlreadyRunningError:
            self.release()
            raise

    def release(self) -> None:
        """Give the claims up."""
        for file in self._files.values():
            file.release()

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        """Return the credentials that stand in the files, by profile."""
        grants: dict[str, Grant] = {}
        for path, file in self._files.items():
            mine = {name: p for name, p in profiles.items() if p.target.path == path}
            try:
                grants.update(file.standing(mine))
            except PublishError:
                continue  # the first publish reports it
        return grants

    def recognise(self, access_key_ids: Collection[str]) -> None:
        """Know these access key ids, too, as ones that we issued."""
        for file in self._files.values():
            file.recognise(access_key_ids)

    def publish(self, wanted: Wanted) -> dict[str, Outcome]:
        """Make every file equal to what is wanted of it; return what became of each, by path."""
        shares = self._shares(wanted)
        leaving = {
            path: moves.leaving(self._stood.get(path, {}), share, wanted)
            for path, share in shares.items()
        }
        outcomes: dict[str, Outcome] = {}
        for path in sorted(shares, key=lambda path: not shares[path]):  # what is to go, last
            outcome = self._publish(path, shares[path], leaving[path])
            if not shares[path] and isinstance(outcome, PublishError) and outcome.nowhere:
                outcome, leaving[path], self._stood[path] = PublishReport(written=False), {}, {}
            outcomes[path] = outcome
        for path, left in leaving.items():
            moved = {
                name: replace(each, withdraw=True)
                for name, each in left.items()
                if not each.withdraw and moves.arrived(wanted[name], outcomes)
            }
            first = outcomes[path]
            if moved and isinstance(first, PublishReport):
                second = self._publish(path, shares[path], {**left, **moved})
                outcomes[path] = moves.together(first, second)
        for path, outcome in outcomes.items():
            if not self._stood[path] and isinstance(outcome, PublishReport):
                self._let_go(path)
        return outcomes

    def tick(self) -> bool:
        """Look after every file; True asks for a `publish`."""
        again = [file.tick() for file in self._files.values()]  # all of them, so no generator
        return any(again)

    def _shares(self, wanted: Wanted) -> dict[str, dict[str, Publication]]:
        """Return what is wanted of each file, by path; see to it that each file is kept."""
        shares: dict[str, dict[str, Publication]] = {path: {} for path in self._files}
        for name, publication in wanted.items():
            shares.setdefault(publication.profile.target.path, {})[name] = publication
        for path in [path for path, share in shares.items() if not share]:
            alias = next((to for to in shares if shares[to] and moves.same_file(path, to)), None)
            if alias is not None:
                del shares[path]
                self._hand_over(path, alias)
        for share in filter(None, shares.values()):
            self._file(next(iter(share.values())).profile.target)
        return shares

    def _hand_over(self, path: str, alias: str) -> None:
        """Keep a file by another path: our own claim would refuse a second keeper."""
        known = self._files.get(alias)
        if known is not None and known.claimed:
            self._let_go(path)
            return
        self._files[alias] = self._files[path]
        self._stood[alias] = {**self._stood.get(alias, {}), **self._stood.get(path, {})}
        # So that `_file` finds the new one to differ.
        self._targets[alias] = self._targets.pop(path)
        self._stood.pop(path, None)
        del self._files[path]

    def _let_go(self, path: str) -> None:
        self._files.pop(path).release()
        self._stood.pop(path, None)
        del self._targets[path]

    def _publish(self, path: str, share: Wanted, left: Wanted) -> Outcome:
        outcome = _published(self._files[path], path, {**share, **left})
        stood = self._stood.get(path, {})
        self._stood[path] = moves.remembered(stood, share, left, outcome)
        return outcome

    def _file(self, target: FileTarget) -> None:
        """Keep the file of a target, with the rights that it asks for."""
        path = target.path
        if path not in self._files:
            self._files[path] = SharedCredentialsFile(
                target, instance=self._instance, clock=self._clock, pause=self._pause
            )
        elif self._targets[path] != target:
            self._files[path].serve(target)
        self._targets[path] = target


def _published(file: SharedCredentialsFile, path: str, share: Wanted) -> Outcome:
    try:
        return file.publish(share)
    except PublishError as error:
        return error
    except Exception as error:  # noqa: BLE001 - what nobody foresaw stops no other file either
        return PublishError.unforeseen(path, error)
