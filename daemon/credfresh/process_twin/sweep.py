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

_CONFIG, _ENV = ".config", ".env"


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
    proofs = {entry.removesuffix(_ENV): entry for entry in entries if entry.endswith(_ENV)}
    # If somebody has removed the config of a twin, its env still says who wrote it.
    proofs |= {entry.removesuffix(_CONFIG): entry for entry in entries if entry.endswith(_CONFIG)}
    return frozenset(
        name for name, proof in proofs.items() if name and _is_ours(place, proof, instance, steps)
    )


def _drop(place: Place, entry: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        info = os.stat(entry, dir_fd=place.directory, follow_symlinks=False)
        if stat.S_ISREG(info.st_mode) and trusted_owner(info.st_uid):
            os.unlink(entry, dir_fd=place.directory)


def _is_ours(place: Place, proof: str, instance: str, steps: Steps) -> bool:
    with contextlib.suppress(PublishError):
        standing = folder.read(folder.beside(place, proof), steps)
        return standing is not None and twin.marked(standing.data, instance)
    return False
