"""Makes the unix socket in private, puts it at its path by a rename, and removes it at the end.

Until it is renamed to its path nobody else can connect; from then on its mode and group say who
may. Its directory must be as trustworthy as that of the credentials file: anyone who may write
there could answer jobs in our place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from credfresh.disk import atomic
from credfresh.disk.access import number_of
from credfresh.disk.paths import Place, resolved, trusted_owner
from credfresh.disk.steps import Steps
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.settings import ControlSettings

BACKLOG = 4096
"""Connections that may wait for accept; the kernel's own limit is net.core.somaxconn, 4096."""

_UNCHANGED = -1  # to chown(2)
_ELSEWHERE = "or give control.socket another path"


class ListeningSocket:
    """A listening socket at a path of the file system."""

    def __init__(self, settings: ControlSettings) -> None:
        self._settings = settings
        self._path = settings.socket
        self._steps = Steps(settings.socket)
        self._ours: os.stat_result | None = None

    def open(self) -> socket.socket:
        """Return a listening, non-blocking socket; it replaces what a dead daemon left at the path.

        Raises:
            AlreadyRunningError: another daemon listens at the path.
            PublishError: the socket cannot be made, or something else is at the path.
        """
        group = self._group()
        with resolved(self._path, any_kind=True) as place, self._steps("listen"):
            atomic.sweep(place.directory, place.name, kind=stat.S_IFSOCK)  # bound, not renamed
            self._judge_standing(place)
            listener = socket.socket(
                socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            )
            try:
                self._put(listener, place, group)
            except BaseException:
                listener.close()
                raise
        return listener

    def stands(self) -> bool:
        """Say whether the socket at the path is still ours."""
        with contextlib.suppress(OSError):
            return self._is_ours(os.stat(self._path))  # noqa: PTH116 - its errors are wanted
        return False

    def close(self) -> None:
        """Remove the socket, if it is still ours."""
        if self._ours is None:
            return
        with contextlib.suppress(OSError, PublishError), resolved(self._path, any_kind=True) as at:
            if self._is_ours(_look(at, at.name)):
                os.unlink(at.name, dir_fd=at.directory)
        self._ours = None

    def _is_ours(self, info: os.stat_result) -> bool:
        return self._ours is not None and os.path.samestat(info, self._ours)

    def _put(self, listener: socket.socket, place: Place, group: int | None) -> None:
        # When a socket is bound, its file gets the descriptor's mode (less the umask): so nobody
        # else can connect to it before it has its group.
        os.fchmod(listener.fileno(), 0o600)
        temporary = atomic.temporary_name(place.name)
        # Through /proc, since the path may be longer than the name of a socket can be.
        listener.bind(f"/proc/self/fd/{place.directory}/{temporary}")
        try:
            if group is not None:
                at = place.directory
                with self._steps("attributes"):
                    os.chown(temporary, _UNCHANGED, group, dir_fd=at, follow_symlinks=False)
            os.chmod(temporary, self._settings.mode, dir_fd=place.directory)
            listener.listen(BACKLOG)
            info = _look(place, temporary)
            atomic.replace(place.directory, temporary, place.name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=place.directory)
            raise
        self._ours = info

    def _judge_standing(self, place: Place) -> None:
        """Refuse to replace what is at the path, unless it is a socket that a dead daemon left."""
        try:
            info = _look(place, place.name)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(info.st_mode):
            raise self._refusal(
                "in_the_way", "is there already, and is no socket", f"move it away, {_ELSEWHERE}"
            )
        if not trusted_owner(info.st_uid):
            raise self._refusal(
                "foreign_owner",
                f"is a socket of uid {info.st_uid}",
                f"find out who listens there, {_ELSEWHERE}",
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            reached = probe.connect_ex(f"/proc/self/fd/{place.directory}/{place.name}")
        if reached in (0, errno.EAGAIN):  # EAGAIN: it listens, and others wait to be let in
            raise AlreadyRunningError(
                self._path,
                holder="it answers there",
                keeps="listens on this socket",
                key="control.socket",
            )

    def _group(self) -> int | None:
        try:
            return number_of("group", self._settings.group)
        except KeyError:
            raise self._refusal(
                "unknown_group",
                f"no group is called {self._settings.group}",
                "create it, or correct control.group",
            ) from None

    def _refusal(self, code: str, reason: str, hint: str) -> PublishError:
        return PublishError(
            f"{self._path}: {reason}",
            path=self._path,
            step="listen",
            code=code,
            hint=hint,
        )


def _look(place: Place, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=place.directory, follow_symlinks=False)
