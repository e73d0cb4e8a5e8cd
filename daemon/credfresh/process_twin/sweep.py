"""Clears up what an earlier run left in a directory of twins."""

from __future__ import annotations

import contextlib
import os

from credfresh import twin
from credfresh.disk import atomic, folder
from credfresh.disk.paths import Place
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
        atomic.sweep(place.directory)
    proofs = {entry.removesuffix(_ENV): entry for entry in entries if entry.endswith(_ENV)}
    # If somebody has removed the config of a twin, its env still says who wrote it.
    proofs |= {entry.removesuffix(_CONFIG): entry for entry in entries if entry.endswith(_CONFIG)}
    return frozenset(
        name for name, proof in proofs.items() if name and _is_ours(place, proof, instance, steps)
    )


def _is_ours(place: Place, proof: str, instance: str, steps: Steps) -> bool:
    with contextlib.suppress(PublishError):
        standing = folder.read(folder.beside(place, proof), steps)
        return standing is not None and twin.marked(standing.data, instance)
    return False
