"""Opens the configuration, and refuses a file that others may write."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from credfresh import collector
from credfresh.config.decoding import MOST_BYTES
from credfresh.config.parse import parse
from credfresh.errors import ConfigError, Problem
from credfresh.regular import Identity, identity
from credfresh.settings import Settings

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_NOTHING_THERE = "name the file with --config, or in CREDFRESH_CONFIG"
_HINTS = {
    errno.ENOENT: _NOTHING_THERE,
    errno.ENOTDIR: _NOTHING_THERE,
    errno.EACCES: "use sudo; if it is the daemon that cannot: chgrp credfresh and chmod 0640",
    errno.ELOOP: "it is a symbolic link that leads to itself",
}


def load(
    path: str | os.PathLike[str],
    *,
    environment: Mapping[str, str] | None = None,
    hostname: str | None = None,
) -> Settings:
    """Read and parse the configuration at `path`.

    `environment` and `hostname` are those of this process and host unless given.

    A file that others may write is refused: commands are run from it. File and directory must
    belong to root or to this user and be writable by neither group nor others (a sticky
    directory passes).

    Raises:
        ConfigError: it cannot be read, is not to be trusted, or has problems.
    """
    name = os.fspath(path)
    with collector.paused():
        content, seen = _read(name)
        settings = parse(
            content,
            name,
            environment=os.environ if environment is None else environment,
            hostname=socket.gethostname() if hostname is None else hostname,
        )
        return replace(settings, identity=seen)


def _read(path: str) -> tuple[bytes, Identity]:
    """Return what the file holds, and its identity from before it was read."""
    try:
        # Not blocking: a fifo would hold us for ever before fstat can say what it is.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    try:
        found = os.fstat(descriptor)
        _judge(path, found)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MOST_BYTES + 1), identity(found)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(descriptor)


def _judge(path: str, status: os.stat_result) -> None:
    """Raise ConfigError unless this is a file that only root and we may write."""
    if stat.S_ISDIR(status.st_mode):
        raise _refused(path, "is a directory", "name the file in it")
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "is not a regular file")
    _refuse_untrusted(path, path, status, "the file")
    # The directory of the path, and that of the file to which links lead.
    for directory in dict.fromkeys([Path(path).parent, Path(path).resolve().parent]):
        _refuse_untrusted(path, str(directory), directory.stat(), "its directory")


def _refuse_untrusted(config: str, path: str, status: os.stat_result, what: str) -> None:
    if status.st_uid not in (0, os.geteuid()):
        reason = f"{what} belongs to user {status.st_uid}; it must be root's or ours"
        raise _refused(config, reason, f"chown root {path}")
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & _WRITABLE_BY_OTHERS and not sticky:
        mode = stat.S_IMODE(status.st_mode)
        reason = f"others may write {what} (mode {mode:04o}), and so decide what is run"
        raise _refused(config, reason, f"chmod go-w {path}")


def _unreadable(path: str, error: OSError | ValueError) -> ConfigError:
    if not isinstance(error, OSError):  # a NUL in the path
        return _refused(path, "is not a path")
    reason = f"cannot be read: {os.strerror(error.errno or 0).lower()}"
    return _refused(path, reason, _HINTS.get(error.errno or 0))


def _refused(path: str, reason: str, hint: str | None = None) -> ConfigError:
    return ConfigError((Problem(path, 0, 0, "", reason, hint),))
