"""Keeps the tokens, which never change, each in a file that its readers may read.

A token is made once and then read back at each start, so that it stays valid over restarts and
upgrades. To replace one, remove its file and restart. There is no line end in the file: eight of
ten SDKs would send it along.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import field

from credfresh.disk import atomic, folder
from credfresh.disk.access import Access, for_readers, group_of
from credfresh.disk.locks import LifeLock
from credfresh.disk.paths import Place
from credfresh.disk.steps import Steps
from credfresh.errors import PublishError
from credfresh.regular import Identity
from credfresh.settings import FileTarget, TokenFile
from credfresh.values import dataclass

LOCK = "tokens"
"""The name of the file whose life lock is that of the directory."""

RANDOM, CHARACTERS = 32, 43
"""Random bytes in a token, and the number of characters that encode them."""

Entropy = Callable[[int], bytes]
"""Returns that many random bytes, fit for secrets."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A token that we keep, and its file as we left it."""

    token: str = field(repr=False)
    target: FileTarget
    rights: FileTarget
    """Those of the target, closed to a group that is not its readers'."""
    file: Identity | None


class Tokens:
    """Keeps the tokens of one instance in one directory. For one thread at a time."""

    def __init__(self, instance: str, entropy: Entropy) -> None:
        self._instance = instance
        self._entropy = entropy
        digest = hashlib.sha256(instance.encode()).hexdigest()[:8]
        self._prefix = f"credfresh.{digest}."
        self._size = len(self._prefix) + CHARACTERS
        self._kept: dict[str, _Kept] = {}
        self._changed = False
        self._life: LifeLock | None = None
        self.problems: tuple[PublishError, ...] = ()
        """Why single tokens could not be kept, or removed, the last time."""

    def bring(self, where: FileTarget, wanted: Iterable[TokenFile]) -> dict[str, frozenset[str]]:
        """Make the directory hold the wanted tokens; return the profiles that each token opens.

        Other tokens of ours are removed. A token whose file cannot be made opens nothing. One whose
        file was lost and cannot be restored still opens its profiles: clients have it.

        Raises:
            AlreadyRunningError: another daemon keeps the directory.
            PublishError: the directory cannot be kept.
        """
        steps = Steps(where.path)
        opened: dict[str, frozenset[str]] = {}
        problems: list[PublishError] = []
        names = {_name(token): token for token in wanted}
        taken = {self._kept[name].token for name in names.keys() & self._kept.keys()}
        with steps("read"), folder.entered(where, LOCK, steps) as place:
            self._keep_claim(place)
            files = {file for token in names.values() for file in token.files}
            groups = {file: group_of(file) for file in files}
            for name, token in names.items():
                rights = _rights(token, groups, place)
                try:
                    held = self._bring(folder.beside(place, name), token.target, rights, taken)
                except PublishError as error:
                    problems.append(error)
                    opened |= self.known([token])
                else:
                    opened[held] = token.profiles
                    taken.add(held)
            problems += self._remove_others(place, names, steps)
            if self._changed:
                with steps("sync_directory"):
                    os.fsync(place.directory)
                self._changed = False
        self.problems = tuple(problems)
        return opened

    def known(self, wanted: Iterable[TokenFile]) -> dict[str, frozenset[str]]:
        """Return the profiles that the tokens we know of open, of those wanted.

        For when a file, or the directory, cannot be kept: clients that have a token go on.
        """
        opened = {}
        for token in wanted:
            kept = self._kept.get(_name(token))
            if kept is not None and kept.target == token.target:
                opened[kept.token] = token.profiles
        return opened

    def release(self) -> None:
        """Give up the claim on the directory; the tokens stay, but we forget them."""
        if self._life is not None:
            self._life.close()
            self._life = None
        self._kept.clear()

    def _keep_claim(self, place: Place) -> None:
        if self._life is None or not self._life.covers(place):
            life = LifeLock(place, self._instance, directory_key="endpoint.token_dir")
            if self._life is not None:
                self._life.close()
            self._life = life
            atomic.sweep(place.directory)

    def _bring(
        self, place: Place, target: FileTarget, rights: FileTarget, taken: Container[str]
    ) -> str:
        kept = self._kept.get(place.name)
        if kept is not None and kept.rights == rights and kept.file == folder.identity_at(place):
            return kept.token
        steps = Steps(place.path)
        found = folder.read(place, steps, most=self._size)
        standing = found.data.decode("ascii", "replace") if found is not None else ""
        access = Access(rights)
        # If somebody else has put a token there, or it stands in another file too, somebody else
        # knows it.
        private = found is None or (access.trusts(found.info) and standing not in taken)
        if standing and not (self._ours(standing) and (kept is not None or private)):
            raise PublishError(
                f"{place.path}: not a token of ours, or that of another file",
                path=target.path,
                step="read",
                code="foreign",
                hint="remove it, or give this daemon a token_dir of its own",
            )
        token = (kept.token if kept is not None else standing) or self._make()
        if found is None or standing != token or not access.fits(found.info):
            with steps("attributes"):
                attributes = access.attributes(None)
            folder.put(place, token.encode(), attributes, steps, durable=False)
            self._changed = True
        self._kept[place.name] = _Kept(token, target, rights, folder.identity_at(place))
        return token

    def _make(self) -> str:
        chance = base64.urlsafe_b64encode(self._entropy(RANDOM)).decode().rstrip("=")
        return f"{self._prefix}{chance}"

    def _ours(self, text: str) -> bool:
        chance = rf"[A-Za-z0-9_-]{{{CHARACTERS}}}"
        return re.fullmatch(re.escape(self._prefix) + chance, text) is not None

    def _remove_others(
        self, place: Place, names: Container[str], steps: Steps
    ) -> Iterator[PublishError]:
        """Remove our tokens of other names; yield an error for each that cannot be removed."""
        with steps("sweep"):
            entries = os.listdir(place.directory)  # noqa: PTH208 - pathlib takes no descriptor
        for entry in sorted(entry for entry in entries if entry not in names):
            other = folder.beside(place, entry)
            try:
                found = folder.read(other, Steps(other.path), most=self._size)
            except PublishError:
                continue  # it is no file of ours
            if found is not None and self._ours(found.data.decode("ascii", "replace")):
                try:
                    folder.remove(other, Steps(other.path))
                except PublishError as error:
                    yield error
                    continue
                self._kept.pop(entry, None)
                self._changed = True


def _rights(token: TokenFile, groups: Mapping[FileTarget, int | None], place: Place) -> FileTarget:
    """Return the rights of a token: it opens all of its profiles to whoever may read it.

    So it is closed to groups if its profiles' files have several.
    """
    read_by = {groups[file] for file in token.files}
    return for_readers(token.target, read_by.pop() if len(read_by) == 1 else None, place)


def _name(token: TokenFile) -> str:
    return os.path.basename(token.target.path)  # noqa: PTH119 - a string
