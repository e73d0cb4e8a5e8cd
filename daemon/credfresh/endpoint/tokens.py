"""The tokens, each in a file that its readers may read, for ever the same.

A token is made once and then read back at each start, so that whoever was given it keeps it over
restarts and upgrades. To replace one, remove its file and restart. There is no line end in the
file: eight of ten SDKs would send it along.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from credfresh.disk import folder
from credfresh.disk.access import Access
from credfresh.disk.locks import LifeLock
from credfresh.disk.paths import Place
from credfresh.disk.steps import Steps
from credfresh.errors import PublishError
from credfresh.settings import FileTarget, TokenFile

LOCK = "tokens"
"""The life lock of the directory is that of a file of this name."""

RANDOM = 32
"""Bytes of chance in a token."""

Entropy = Callable[[int], bytes]
"""Returns that many random bytes, fit for secrets."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A token as we left it."""

    token: str = field(repr=False)
    target: FileTarget
    file: folder.Identity | None


class Tokens:
    """Keeps the tokens of one instance in one directory. For one thread at a time."""

    def __init__(self, instance: str, entropy: Entropy) -> None:
        self._instance = instance
        self._entropy = entropy
        digest = hashlib.sha256(instance.encode()).hexdigest()[:8]
        self._prefix = f"credfresh.{digest}."
        self._kept: dict[str, _Kept] = {}
        self._changed = False
        self._life: LifeLock | None = None
        self.problems: tuple[PublishError, ...] = ()
        """What kept single tokens from being brought about, the last time."""

    def bring(self, where: FileTarget, wanted: Iterable[TokenFile]) -> dict[str, frozenset[str]]:
        """Bring the directory to what is wanted; return the profiles that each token opens.

        Tokens that nobody wants any more are removed. A token whose file cannot be kept opens
        nothing.

        Raises:
            AlreadyRunningError: another daemon keeps the directory.
            PublishError: it cannot be kept where it is.
        """
        steps = Steps(where.path)
        opened: dict[str, frozenset[str]] = {}
        problems: list[PublishError] = []
        names = set()
        with steps("read"), folder.entered(where, LOCK, steps) as place:
            self._keep_claim(place)
            for token in wanted:
                name = os.path.basename(token.target.path)  # noqa: PTH119 - a string
                names.add(name)
                try:
                    opened[self._bring(folder.beside(place, name), token.target)] = token.profiles
                except PublishError as error:
                    problems.append(error)
            self._remove_others(place, names, steps)
            if self._changed:
                with steps("sync_directory"):
                    os.fsync(place.directory)
                self._changed = False
        self.problems = tuple(problems)
        return opened

    def release(self) -> None:
        """Let another daemon have the directory; the tokens stay."""
        if self._life is not None:
            self._life.close()
            self._life = None

    def _keep_claim(self, place: Place) -> None:
        if self._life is None or not self._life.covers(place):
            life = LifeLock(place, self._instance, directory_key="endpoint.token_dir")
            self.release()
            self._life = life
            self._kept.clear()

    def _bring(self, place: Place, target: FileTarget) -> str:
        kept = self._kept.get(place.name)
        if kept is not None and kept.target == target and kept.file == folder.identity(place):
            return kept.token
        steps = Steps(place.path)
        found = folder.read(place, steps)
        standing = found.data.decode("ascii", "replace") if found is not None else ""
        access = Access(target)
        # A token that somebody else has put there is one that somebody else knows.
        sure = kept is not None or found is None or access.trusts(found.info)
        if standing and not (self._ours(standing) and sure):
            raise PublishError(
                f"{place.path}: not a token of ours",
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
        self._kept[place.name] = _Kept(token, target, folder.identity(place))
        return token

    def _make(self) -> str:
        chance = base64.urlsafe_b64encode(self._entropy(RANDOM)).decode().rstrip("=")
        return f"{self._prefix}{chance}"

    def _ours(self, text: str) -> bool:
        return re.fullmatch(rf"{re.escape(self._prefix)}[A-Za-z0-9_-]{{43}}", text) is not None

    def _remove_others(self, place: Place, names: set[str], steps: Steps) -> None:
        with steps("sweep"):
            entries = os.listdir(place.directory)  # noqa: PTH208 - pathlib takes no descriptor
        for entry in sorted(set(entries) - names):
            other = folder.beside(place, entry)
            try:
                found = folder.read(other, Steps(other.path))
                if found is not None and self._ours(found.data.decode("ascii", "replace")):
                    folder.remove(other, Steps(other.path))
                    self._kept.pop(entry, None)
                    self._changed = True
            except PublishError:
                continue  # not a file of ours, whatever it is
