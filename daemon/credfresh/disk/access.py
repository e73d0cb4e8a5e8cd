"""Owner, group and mode of a file: what they should be, whether they are, whom to trust."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Literal

from credfresh.disk import atomic
from credfresh.disk.atomic import Attributes
from credfresh.disk.paths import (
    FOREIGN_OWNER,
    OTHERS_WRITE,
    WRITABLE_BY_OTHERS,
    Place,
    resolved,
    trusted_owner,
)
from credfresh.errors import PublishError
from credfresh.settings import FileTarget

_GROUP_BITS = 0o070
_UNMAPPED = 65534
"""The number under which a user namespace shows all groups that it does not have (Linux's default
of kernel.overflowgid)."""


Account = Literal["owner", "group"]


class Access:
    """Owner, group and mode of the file of one target.

    If the configuration names no owner, a new file belongs to the daemon's user, and only files of
    that user or of root are taken over. If it names no group, the standing file's group is kept,
    and a new file has the one that the system gives it.
    """

    def __init__(self, target: FileTarget) -> None:
        self._target = target
        self._ids: tuple[int | None, int | None] | None = None

    @property
    def owner(self) -> int | None:
        """The owner that the configuration names, by number.

        Raises:
            PublishError: there is none of that name.
        """
        return self._configured()[0]

    def attributes(self, descriptor: int | None) -> Attributes:
        """Return the attributes of the successor of an open file (None: there was no file).

        Raises:
            PublishError: the configuration names an owner or group that does not exist.
            OSError: the file cannot be examined.
        """
        owner, group = self._configured()
        mode = self._target.mode
        if descriptor is None:
            return Attributes(mode, owner, group)
        info = os.fstat(descriptor)
        if group is None and (os.geteuid() == 0 or mode & _GROUP_BITS):
            group = info.st_gid
        label = atomic.label_of(descriptor)
        return Attributes(mode, owner, group, atomic.acl_of(descriptor), label)

    def fits(self, info: os.stat_result) -> bool:
        """Say whether a file has the owner, group and mode that the configuration asks for.

        Raises:
            PublishError: it names an owner or group that does not exist.
        """
        owner, group = self._configured()
        return (
            stat.S_IMODE(info.st_mode) == self._target.mode
            and owner in (None, info.st_uid)
            and group in (None, info.st_gid)
        )

    def trusts(self, info: os.stat_result) -> bool:
        """Say whether only those whom the configuration lets write can have written a file.

        Raises:
            PublishError: the configuration names an owner or group that does not exist.
        """
        return self._owned(info) and not self._written_by_others(info)

    def judge(self, info: os.stat_result, *, known: bool, private: bool) -> None:
        """Refuse a file that others may have written or put there, unless we know its content.

        `private`: nobody else may add names to its directory. Elsewhere a second name may be a
        trick, to have us copy a file that only we can read to where others can.

        Raises:
            PublishError: it is refused.
        """
        path = self._target.path
        if not self._owned(info):
            raise PublishError(
                f"{path}: belongs to uid {info.st_uid}, whose content we would pass on",
                path=path,
                step="read",
                code=FOREIGN_OWNER,
                hint=f"give it to the daemon's user (uid {os.geteuid()}), or name its owner in"
                " credentials_file.owner",
            )
        if self._written_by_others(info) and not known:
            raise PublishError(
                f"{path}: others may write it (mode {stat.S_IMODE(info.st_mode):04o}), and we would"
                " pass on what they wrote",
                path=path,
                step="read",
                code=WRITABLE_BY_OTHERS,
                hint=f"look through it, then chmod go-w {path}",
            )

        if info.st_nlink > 1 and not private and not known:
            raise PublishError(
                f"{path}: has {info.st_nlink} names, and others may have given it this one",
                path=path,
                step="read",
                code="planted",
                hint="remove this name, and keep the file where nobody else may create files",
            )

    def _owned(self, info: os.stat_result) -> bool:
        return trusted_owner(info.st_uid, self.owner)

    def _written_by_others(self, info: os.stat_result) -> bool:
        return bool(info.st_mode & OTHERS_WRITE & ~self._target.mode)

    def _configured(self) -> tuple[int | None, int | None]:
        if self._ids is None:
            self._ids = (
                self._look_up("owner", self._target.owner),
                self._look_up("group", self._target.group),
            )
        return self._ids

    def _look_up(self, what: Account, name: str | None) -> int | None:
        """Return the number of an account; once, since a directory service may be slow."""
        try:
            return number_of(what, name)
        except KeyError:
            raise PublishError(
                f"{self._target.path}: no {what} is called {name}",
                path=self._target.path,
                step="attributes",
                code=f"unknown_{what}",
                hint=f"create it, or correct credentials_file.{what}",
            ) from None


def number_of(what: Account, name: str | None) -> int | None:
    """Return the number of an account that the configuration names, perhaps by its number.

    Raises:
        KeyError: there is none of that name.
    """
    if name is None or name.isdecimal():
        return None if name is None else int(name)
    return pwd.getpwnam(name).pw_uid if what == "owner" else grp.getgrnam(name).gr_gid


def group_of(target: FileTarget) -> int | None:
    """Return the group that a file has, or would be made with; None if it is not to be trusted."""
    try:
        with resolved(target.path) as place:
            try:
                info = os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)
            except FileNotFoundError:
                return _birth_group(place)
            return info.st_gid if trusted_owner(info.st_uid, Access(target).owner) else None
    except (PublishError, OSError):
        return None


def for_readers(rights: FileTarget, group: int | None, place: Place) -> FileTarget:
    """Return the rights of a file at `place` that only the readers of another file may read.

    If the configuration names no group, `group` is that of the other file (None: it is not known),
    which another directory may have chosen. If we cannot give it to a file here, the group that it
    gets has other members: they may do no more than everybody.
    """
    closed = rights.mode & ~_GROUP_BITS | (rights.mode & 0o007) << 3
    if rights.group is not None or not rights.mode & ~closed:
        return rights
    if group is not None and (group == _birth_group(place) or _may_give(group)):
        return rights._replace(group=str(group))
    return rights._replace(mode=closed)


def _birth_group(place: Place) -> int:
    """Return the group with which a file is made there."""
    info = os.fstat(place.directory)
    return info.st_gid if info.st_mode & stat.S_ISGID else os.getegid()


def _may_give(group: int) -> bool:
    member = group in (os.getegid(), *os.getgroups())
    return group != _UNMAPPED and (os.geteuid() == 0 or member)
