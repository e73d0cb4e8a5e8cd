"""Clears up what an earlier run left in a directory of twins."""

from __future__ import annotations

import contextlib
import os
import stat

from credfresh import twin
from credfresh.disk import atomic, folder
from credfresh.disk.paths import Place, trusted_owner
from credfresh.disk.steps import Steps
from credfresh.errors import PublishError

_CONFIG = ".config"


def sweep(place: Place, instance: str, steps: Steps) -> frozenset[str]:
    """Remove our leftover temporaries; return the names of the twins of `instance` here.

    Raises:
        PublishError: the directory, or something in it that should be ours, cannot be read.
    """
    with steps("sweep"):
        entries = os.listdir(place.directory)  # noqa: PTH208 - pathlib takes no descriptor
        for entry in entries:
            if atomic.is_temporary(entry):
                _drop(place, entry)
    names = (entry.removesuffix(_CONFIG) for entry in entries if entry.endswith(_CONFIG))
    return frozenset(name for name in names if name and _is_ours(place, name, instance, steps))


def _drop(place: Place, entry: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        info = os.stat(entry, dir_fd=place.directory, follow_symlinks=False)
        if stat.S_ISREG(info.st_mode) and trusted_owner(info.st_uid):
            os.unlink(entry, dir_fd=place.directory)


def _is_ours(place: Place, name: str, instance: str, steps: Steps) -> bool:
    entry = folder.beside(place, f"{name}{_CONFIG}")
    with contextlib.suppress(PublishError):
        standing = folder.read(entry, steps)
        return standing is not None and twin.marked(standing.data, instance)
    return False
