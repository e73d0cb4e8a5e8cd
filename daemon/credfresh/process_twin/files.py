"""The files of single twins: written where they differ, never over somebody else's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from credfresh import twin
from credfresh.disk import folder
from credfresh.disk.access import Access, for_readers, group_of
from credfresh.disk.folder import Found
from credfresh.disk.paths import Place, trustworthy
from credfresh.disk.steps import StepHook, Steps
from credfresh.errors import PublishError
from credfresh.model import Clock, Grant, rfc3339
from credfresh.publication import Publication
from credfresh.regular import Identity, identity
from credfresh.settings import FileTarget, Twin
from credfresh.values import dataclass

SUFFIXES = ("json", "env", "config")
"""The files of one twin, in the order of their removal: the last one proves the others ours."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One profile's files as we left them."""

    publication: Publication
    files: Mapping[str, Identity | None]
    """By name in the directory; None where nothing stood."""

    def stands(self, place: Place) -> bool:
        """Say whether they still are as we left them."""
        return same(place, self.files)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in the directory, and what was found under it."""

    place: Place
    steps: Steps
    found: Found | None


def same(place: Place, files: Mapping[str, Identity | None]) -> bool:
    """Say whether each of these files is what it was."""
    return all(folder.identity_at(folder.beside(place, name)) == was for name, was in files.items())


class Files:
    """Writes the files of one instance in one directory, and counts what it did.

    `written` is the number of bytes written since `begin`. `changed` is set when a name comes, goes
    or is replaced; the caller resets it once that is durable.
    """

    def __init__(self, instance: str, clock: Clock, hook: StepHook | None) -> None:
        self._instance = instance
        self._clock = clock
        self._hook = hook
        self._accesses: dict[tuple[int, str | None, str | None], Access] = {}
        self._groups: dict[str, int | None] = {}
        self._met: set[str] = set()
        self.changed = False
        self.begin()

    def forget(self) -> None:
        """Judge anew whatever stands: others may have written while we had no claim."""
        self._met.clear()

    def begin(self) -> None:
        """Count anew, and look anew which group each credentials file has."""
        self.written = 0
        self._groups.clear()

    def issued(self, place: Place, name: str) -> str | None:
        """Return the access key id in a twin, if nobody but us can have written it."""
        with contextlib.suppress(PublishError):  # the first publish meets the same, and reports it
            config = self._entry(place, f"{name}.config").found
            credentials = self._entry(place, f"{name}.json").found
            if config is None or credentials is None or not self._ours(config.data):
                return None
            if trustworthy(place, config.info) and trustworthy(place, credentials.info):
                return twin.access_key_id_of(credentials.data)
        return None

    def bring(self, place: Place, publication: Publication, where: Twin) -> Kept:
        """Make one profile's files equal to what is wanted.

        NAME.config comes first: it proves the others ours after a crash.

        Raises:
            PublishError: one could not be written, or is not ours.
        """
        profile, grant = publication.profile, publication.grant
        config, env, credentials = (
            self._entry(place, f"{where.name}.{suffix}") for suffix in ("config", "env", "json")
        )
        rights = for_readers(
            profile.target._replace(path=where.path), self._group_of(profile.target), place
        )
        if where.name not in self._met:
            self._judge(config, credentials, rights)
        if publication.withdraw:  # before anything that a full disk, or an env, could refuse
            self._remove(credentials)
        if where.name not in self._met and self._unmarked(env):
            raise _foreign(env.place)
        kept: dict[str, Identity | None] = {
            config.place.name: self._bring(config, twin.config([profile], self._instance), rights)
        }
        newer = grant is not None and self._newer(where.name, grant, credentials.found, rights)
        if grant is None or newer:
            kept[credentials.place.name] = folder.identity_at(credentials.place)
        else:
            data = twin.credentials_json(profile, grant.credentials)
            kept[credentials.place.name] = self._bring(credentials, data, rights, durable=True)
        kept[env.place.name] = self._bring(env, twin.env(where, self._instance), rights)
        self._met.add(where.name)
        return Kept(publication, kept)

    def withdraw(self, place: Place, name: str) -> bool:
        """Take the credentials of a twin away, if they are ours; say whether there were any.

        Raises:
            PublishError: they stay.
        """
        config, credentials = (self._entry(place, f"{name}.{each}") for each in ("config", "json"))
        proven = self._marked(config)
        if credentials.found is None or not (proven or name in self._met):
            return False
        self._remove(credentials)
        return True

    def bring_common(self, place: Place, data: bytes, rights: FileTarget) -> Identity:
        """Write a file that all profiles share, if it differs.

        Raises:
            PublishError: it could not be written, or is not ours.
        """
        entry = self._entry(place, place.name)
        if self._unmarked(entry):
            raise _foreign(place)
        return self._bring(entry, data, rights)

    def remove(self, place: Place, name: str) -> bool:
        """Take the files of a twin away, if they are ours; say whether there were any.

        If somebody has removed the config that proves it, so does having met the twin, or the mark
        in its env: then the credentials must have our form.

        Raises:
            PublishError: one stays.
        """
        entries = {suffix: self._entry(place, f"{name}.{suffix}") for suffix in SUFFIXES}
        if self._unmarked(entries["config"]):
            return False
        proven = self._marked(entries["config"]) or name in self._met
        if not (proven or self._marked(entries["env"])):
            return False
        if self._unmarked(entries["env"]):
            del entries["env"]
        if not (proven or _has_our_form(entries["json"].found)):
            del entries["json"]
        for entry in entries.values():
            self._remove(entry)
        self._met.discard(name)
        return any(entry.found is not None for entry in entries.values())

    def remove_common(self, place: Place) -> None:
        """Take a file that all profiles shared away, if it is ours.

        Raises:
            PublishError: it stays.
        """
        entry = self._entry(place, place.name)
        if entry.found is not None and (not entry.found.data or self._ours(entry.found.data)):
            self._remove(entry)

    def _entry(self, place: Place, name: str) -> _Entry:
        where = folder.beside(place, name)
        steps = Steps(where.path, self._hook)
        return _Entry(where, steps, folder.read(where, steps))

    def _judge(self, config: _Entry, credentials: _Entry, rights: FileTarget) -> None:
        """Refuse a twin if something that is not ours stands under its name.

        A config proves the credentials beside it ours, but not an empty one (a power cut can leave
        that of ours, but so can anybody), nor one that others can have written. Without that proof
        the credentials must have our form.
        """
        proof, standing = config.found, credentials.found
        if self._unmarked(config):
            raise _foreign(config.place)
        if standing is None or _has_our_form(standing):
            return  # before the owner is looked up: that may fail, and stop no withdrawal
        if proof is None or not proof.data or not self._access(rights).trusts(proof.info):
            raise _foreign(credentials.place)

    def _newer(self, name: str, grant: Grant, found: Found | None, rights: FileTarget) -> bool:
        """Say whether a twin that we find at start was written after `grant` and lives longer.

        That happens if the twin could be written and the section could not: what a restart
        believes, the section, is then the older of the two. Only a twin that nobody else can have
        written is believed: in a directory with the sticky bit others can add names, and their keys
        would be served as ours.
        """
        if name in self._met or found is None or found.info.st_mtime <= grant.sent_at.wall:
            return False
        if not self._access(rights).trusts(found.info):
            return False
        expiration = twin.expiration_of(found.data)
        least = max(grant.credentials.expiration, self._clock().wall)
        return expiration is not None and expiration > rfc3339(least)

    def _bring(
        self, entry: _Entry, data: bytes, rights: FileTarget, *, durable: bool = False
    ) -> Identity:
        """Write a file if its content or its rights differ.

        A file of another owner is written anew even if equal: its owner may change it at any time.
        """
        access, found = self._access(rights), entry.found
        right = found.info if found is not None and found.data == data else None
        if right is not None and access.fits(right) and access.trusts(right):
            return identity(right)
        with entry.steps("attributes"):
            attributes = access.attributes(None)
        info = folder.put(entry.place, data, attributes, entry.steps, durable=durable)
        self.changed = True
        self.written += len(data)
        return identity(info)

    def _remove(self, entry: _Entry) -> None:
        if folder.remove(entry.place, entry.steps):
            self.changed = True

    def _unmarked(self, entry: _Entry) -> bool:
        """Say whether a file that should bear our mark says something else."""
        found = entry.found
        return found is not None and bool(found.data) and not self._ours(found.data)

    def _marked(self, entry: _Entry) -> bool:
        """Say whether a file bears our mark."""
        return entry.found is not None and self._ours(entry.found.data)

    def _ours(self, data: bytes) -> bool:
        return twin.marked(data, self._instance)

    def _group_of(self, target: FileTarget) -> int | None:
        """Return the group of a credentials file, looked up once for all its profiles."""
        if target.path not in self._groups:
            self._groups[target.path] = group_of(target)
        return self._groups[target.path]

    def _access(self, rights: FileTarget) -> Access:
        """Return the `Access` for these rights; accounts are looked up once for all files."""
        key = (rights.mode, rights.owner, rights.group)
        if key not in self._accesses:
            self._accesses[key] = Access(rights)
        return self._accesses[key]


def _has_our_form(credentials: Found | None) -> bool:
    """Say whether we can have written these credentials."""
    return credentials is not None and twin.expiration_of(credentials.data) is not None


def _foreign(place: Place) -> PublishError:
    return PublishError(
        f"{place.path}: not written by us, or by another instance",
        path=place.path,
        step="read",
        code="foreign",
        hint="remove it, or give this daemon a process_dir of its own",
    )
