"""All the credentials files of one daemon as one destination: no file suffers for another."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

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


@dataclass(slots=True)
class _Kept:
    """A file that we keep, by one path."""

    target: FileTarget
    file: SharedCredentialsFile
    stood: Wanted = field(default_factory=dict)
    """What may stand in it, by profile: what a profile that is gone from here has left."""


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
        self._kept: dict[str, _Kept] = {}
        """By path, as the configuration spells it."""
        for target in targets:
            self._keep(target)

    def issued(self, access_key_id: str) -> bool:
        """Say whether an access key id is one that we issued. Safe in any thread."""
        return any(kept.file.issued(access_key_id) for kept in tuple(self._kept.values()))

    def claim(self) -> None:
        """Become the only daemon that keeps these files.

        A file that cannot be kept where it is stops no other: its next publish says so.

        Raises:
            AlreadyRunningError: another one keeps one of them; none is claimed then.
        """
        try:
            for kept in self._kept.values():
                with contextlib.suppress(PublishError):
                    kept.file.claim()
        except AlreadyRunningError:
            self.release()
            raise

    def release(self) -> None:
        """Give the claims up."""
        for kept in self._kept.values():
            kept.file.release()

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        """Return the credentials that stand in the files, by profile."""
        grants: dict[str, Grant] = {}
        for path, kept in self._kept.items():
            mine = {name: p for name, p in profiles.items() if p.target.path == path}
            try:
                grants.update(kept.file.standing(mine))
            except PublishError:
                continue  # the first publish reports it
        return grants

    def recognise(self, access_key_ids: Collection[str]) -> None:
        """Know these access key ids, too, as ones that we issued."""
        for kept in self._kept.values():
            kept.file.recognise(access_key_ids)

    def publish(self, wanted: Wanted) -> dict[str, Outcome]:
        """Make every file equal to what is wanted of it; return what became of each, by path."""
        shares = self._shares(wanted)
        leaving = {
            path: moves.leaving(self._kept[path].stood, share, wanted)
            for path, share in shares.items()
        }
        outcomes: dict[str, Outcome] = {}
        for path in sorted(shares, key=lambda path: not shares[path]):  # what is to go, last
            outcome = self._publish(path, shares[path], leaving[path])
            if not shares[path] and isinstance(outcome, PublishError) and outcome.nowhere:
                outcome, leaving[path] = PublishReport(written=False), {}
                self._kept[path].stood = {}
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
            if not self._kept[path].stood and isinstance(outcome, PublishReport):
                self._let_go(path)
        return outcomes

    def tick(self) -> bool:
        """Look after every file; True asks for a `publish`."""
        again = [kept.file.tick() for kept in self._kept.values()]  # all of them, so no generator
        return any(again)

    def _shares(self, wanted: Wanted) -> dict[str, dict[str, Publication]]:
        """Return what is wanted of each file, by path; see to it that each file is kept."""
        shares: dict[str, dict[str, Publication]] = {path: {} for path in self._kept}
        for name, publication in wanted.items():
            shares.setdefault(publication.profile.target.path, {})[name] = publication
        for path in [path for path, share in shares.items() if not share]:
            alias = next((to for to in shares if shares[to] and moves.same_file(path, to)), None)
            if alias is not None:
                del shares[path]
                self._hand_over(path, alias)
        for share in filter(None, shares.values()):
            self._keep(next(iter(share.values())).profile.target)
        return shares

    def _hand_over(self, path: str, alias: str) -> None:
        """Keep a file by another path: our own claim would refuse a second keeper."""
        known = self._kept.get(alias)
        if known is not None and known.file.claimed:
            self._let_go(path)
            return
        kept = self._kept[alias] = self._kept.pop(path)
        if known is not None:
            kept.stood = {**known.stood, **kept.stood}

    def _let_go(self, path: str) -> None:
        self._kept.pop(path).file.release()

    def _publish(self, path: str, share: Wanted, left: Wanted) -> Outcome:
        kept = self._kept[path]
        outcome = _published(kept.file, path, {**share, **left})
        kept.stood = moves.remembered(kept.stood, share, left, outcome)
        return outcome

    def _keep(self, target: FileTarget) -> None:
        """Keep the file of a target, with the rights that it asks for."""
        kept = self._kept.get(target.path)
        if kept is None:
            file = SharedCredentialsFile(
                target, instance=self._instance, clock=self._clock, pause=self._pause
            )
            self._kept[target.path] = _Kept(target, file)
        elif kept.target != target:
            kept.target = target
            kept.file.serve(target)


def _published(file: SharedCredentialsFile, path: str, share: Wanted) -> Outcome:
    try:
        return file.publish(share)
    except PublishError as error:
        return error
    except Exception as error:  # noqa: BLE001 - what nobody foresaw stops no other file either
        return PublishError.unforeseen(path, error)
