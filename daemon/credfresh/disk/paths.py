"""Where a path leads, and whether the way there can be trusted.

Whoever may write a directory can put another file, or a link, where we write. So every component
of the path, of each link and of its target must belong to root or to us, and be writable by
nobody else. Directories with the sticky bit pass, as /tmp does: there, others can add names but
not take ours away. A link counts by its owner, as the kernel's own protection of links has it
(`fs.protected_symlinks`). An ACL that lets somebody write shows in the group's mode bits.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from credfresh.disk.steps import failure
from credfresh.errors import PublishError
from credfresh.values import dataclass

MOST_LINKS = 40
"""As many symbolic links as Linux follows in one path (path_resolution(7))."""

WRITABLE_BY_OTHERS = "writable_by_others"
FOREIGN_OWNER = "foreign_owner"
"""The codes of a path on which others could put another file in the place of ours."""

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_DIRECTORY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open directory. What is done there is relative to it, whatever is renamed."""

    directory: int
    """A descriptor, open for as long as the context of `resolved`."""
    folder: str
    name: str
    private: bool
    """Whether only root and we may add names to the directory."""

    @property
    def path(self) -> str:
        """The real path: no part of it is a link."""
        return f"{self.folder.rstrip('/')}/{self.name}"


@contextmanager
def resolved(path: str, *, any_kind: bool = False, follow_last: bool = True) -> Iterator[Place]:
    """Follow an absolute path to the directory and the name where its file is, or would be.

    A dangling link leads to where its target would be: the directory must exist, not the file.
    With `any_kind` what stands there need not be a regular file: the caller judges. Without
    `follow_last` the last name is not looked at: only the way to the directory counts.

    Raises:
        PublishError: it leads nowhere, not to a file, or past somebody who could redirect it.
    """
    try:
        with _opened(path, any_kind=any_kind, follow_last=follow_last) as walk:
            walk.go(path)
            directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=walk.at)
    except OSError as error:
        raise failure(path, "resolve", error) from error
    try:
        mode = os.fstat(directory).st_mode
        folder = "/" + "/".join(walk.trail)
        yield Place(directory, folder, walk.name, private=not mode & OTHERS_WRITE)
    finally:
        os.close(directory)


def same_place(one: Place, other: Place) -> bool:
    """Say whether two places are the same, however their paths are spelled or mounted."""
    here, there = os.fstat(one.directory), os.fstat(other.directory)
    return one.name == other.name and os.path.samestat(here, there)


def trusted_owner(uid: int, other: int | None = None) -> bool:
    """Say whether a file of this owner can be trusted: root's, ours, or that of `other`."""
    return uid in (0, os.geteuid(), other)


def trustworthy(place: Place, info: os.stat_result) -> bool:
    """Say whether only root or we can have written a file, so that what it says is believed."""
    return place.private and trusted_owner(info.st_uid) and not info.st_mode & OTHERS_WRITE


class _Walk:
    """A position in the tree, moved one component at a time."""

    def __init__(self, path: str, *, any_kind: bool, follow_last: bool) -> None:
        self.path = path
        self.any_kind = any_kind
        self.follow_last = follow_last
        self.trail: list[str] = []
        self.name = ""
        self.at = os.open("/", _DIRECTORY)

    def go(self, path: str) -> None:
        """Go to the directory of `path`, and set `name`."""
        ahead = _parts(path)
        links = 0
        self._judge(os.fstat(self.at), "/")
        while ahead:
            part = ahead.pop()
            self.name = "" if ahead else part
            target = self._enter(part, last=not ahead)
            if target is None:
                continue
            self.name = ""  # a target of no component, / or ., is a directory
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith("/"):
                self._move(os.open("/", _DIRECTORY), [])
            ahead += _parts(target)
        if self.name in ("", ".."):
            raise self._refusal("/".join(["", *self.trail]), "not_a_file", "is a directory")

    def _enter(self, part: str, *, last: bool) -> str | None:
        """Take one component; return where it points when it is a link."""
        if last and not self.follow_last:
            return None
        where = "/".join(["", *self.trail, part])
        try:
            child = os.open(part, _DIRECTORY, dir_fd=self.at)
        except FileNotFoundError:
            if last:
                return None
            raise
        info = os.fstat(child)
        if stat.S_ISDIR(info.st_mode) and not last:
            trail = self.trail[:-1] if part == ".." else [*self.trail, part]
            self._move(child, trail)
            self._judge(info, where)
            return None
        try:
            if stat.S_ISLNK(info.st_mode):
                self._judge_owner(info, where)
                return os.readlink("", dir_fd=child)
            if not last:
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not (self.any_kind or stat.S_ISREG(info.st_mode)):
                raise self._refusal(where, "not_a_file", f"is a {_kind(info.st_mode)}")
        finally:
            os.close(child)
        return None

    def _move(self, descriptor: int, trail: list[str]) -> None:
        os.close(self.at)
        self.at = descriptor
        self.trail = trail

    def _judge(self, info: os.stat_result, where: str) -> None:
        self._judge_owner(info, where)
        if info.st_mode & OTHERS_WRITE and not info.st_mode & stat.S_ISVTX:
            raise PublishError(
                f"{where}: others may write this directory (mode {stat.S_IMODE(info.st_mode):04o}),"
                " and so replace what is in it",
                path=self.path,
                step="resolve",
                code=WRITABLE_BY_OTHERS,
                hint=f"chmod go-w {where}, or keep the file in a directory of its own",
            )

    def _judge_owner(self, info: os.stat_result, where: str) -> None:
        if not trusted_owner(info.st_uid):
            raise PublishError(
                f"{where}: belongs to uid {info.st_uid}, who may replace what is in it",
                path=self.path,
                step="resolve",
                code=FOREIGN_OWNER,
                hint=f"run this as that user if the daemon does; else give it to root or to the"
                f" daemon's user (uid {os.geteuid()}), or choose a path that does not pass there",
            )

    def _refusal(self, where: str, code: str, reason: str) -> PublishError:
        return PublishError(
            f"{where or '/'}: {reason}",
            path=self.path,
            step="resolve",
            code=code,
            hint="name a regular file, or one that does not exist yet",
        )


@contextmanager
def _opened(path: str, *, any_kind: bool, follow_last: bool) -> Iterator[_Walk]:
    walk = _Walk(path, any_kind=any_kind, follow_last=follow_last)
    try:
        yield walk
    finally:
        os.close(walk.at)


def _parts(path: str) -> list[str]:
    """Return the components of a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "directory",
        stat.S_IFIFO: "named pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
    }
    return kinds.get(stat.S_IFMT(mode), "thing of another kind")
