"""The steps of a write, by name, and what to do about a failure of each."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from credfresh.errors import AlreadyRunningError, PublishError

StepHook = Callable[[str], None]
"""Called with the name of each step before it is taken, so that tests can come in between."""

_HINTS = {
    errno.EBUSY: "the file itself is a mount point, which cannot be replaced: mount its directory",
    errno.EXDEV: "file and directory lie on different file systems: mount the whole directory",
    errno.EROFS: "the file system is read-only here: remount it, or name the directory in the"
    " unit's ReadWritePaths=",
    errno.ENOSPC: "the file system is full: make room for a second copy of the file",
    errno.EDQUOT: "the disk quota is used up: make room for a second copy of the file",
    errno.ENOENT: "create the missing directory, writable by the daemon's user alone",
    errno.ENOTDIR: "a part of the path is not a directory: correct the path",
    errno.ELOOP: "the symbolic links lead in a circle: correct them",
    errno.ENAMETOOLONG: "choose a shorter path: side files add up to 24 characters to the name",
    errno.EFBIG: "the daemon may write no file as large as this: raise LimitFSIZE= (ulimit -f)",
    errno.EMFILE: "the daemon is out of file descriptors: raise LimitNOFILE=",
    errno.ENFILE: "the host is out of file descriptors: raise fs.file-max",
    errno.EIO: "the disk reports errors: look at the kernel's log",
}
_READING = ("read", "splice", "sweep")
"""The steps that take in whole files."""
_PHRASES = {
    "resolve": "reach its directory",
    "splice": "put our sections into it",
    "stamp": "set its time",
    "claim": "claim the file",
    "create": "create a temporary file beside it",
    "attributes": "give the new file its owner and mode",
    "sync": "make the new file durable",
    "swap": "put the new file in its place",
    "remove": "take the file away",
    "compare": "read what was replaced",
    "sync_directory": "make the swap durable",
    "sweep": "clear up what was left there",
}
_IMMUTABLE = "the file or its directory is immutable or append-only: see lsattr, then chattr -i -a"
_FILLED = "the file is larger than anything that credfresh keeps: look at who filled it"
_CHOWN = (
    "only root may set another owner, and only a member a group: put the daemon's user into the"
    " group, or let a setgid directory give new files its own"
)


class Steps:
    """Names each step of one write, and turns what the system refuses into a PublishError."""

    def __init__(self, path: str, hook: StepHook | None = None) -> None:
        self.path = path
        self._hook = hook

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Take one step.

        Raises:
            PublishError: the system refused it.
        """
        try:
            if self._hook is not None:
                self._hook(step)
            yield
        except OSError as error:
            raise failure(self.path, step, error) from error


def failure(path: str, step: str, error: OSError) -> PublishError:
    """Return the PublishError for what the system refused, with what to do about it."""
    number = error.errno or 0
    code = errno.errorcode.get(number, "unknown")
    return PublishError(
        f"{path}: cannot {_PHRASES.get(step, step)}: {os.strerror(number)}",
        path=path,
        step=step,
        code=code,
        hint=_hint(number, step),
    )


def claimed(path: str, error: AlreadyRunningError) -> PublishError:
    """Return the failure to publish to `path` because another daemon keeps it."""
    return PublishError(error.message, path=path, step="claim", code="claimed", hint=error.hint)


def _hint(number: int, step: str) -> str | None:
    if number == errno.EPERM:
        return _CHOWN if step == "attributes" else _IMMUTABLE
    if number == errno.EACCES:
        what = "read the file" if step == "read" else "read, write and search its directory"
        return f"let the daemon's user (uid {os.geteuid()}) {what}"
    if number == errno.EFBIG and step in _READING:
        return _FILLED
    return _HINTS.get(number)
