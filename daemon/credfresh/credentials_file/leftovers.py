"""What a daemon that was killed left behind, and what it noted about it beforehand.

Between the swap and the second look, the replaced file lies under the temporary name: a rival's
last write may be in it. Before the swap the temporary itself lies there, worth nothing. A note
in the life lock's file, written before each swap, tells which of the two is found.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Container

from credfresh.credentials_file.rivals import READ, Replaced, Standing, read
from credfresh.disk import atomic
from credfresh.disk.atomic import Temporary
from credfresh.disk.paths import Place, trusted_owner

_NOTE = re.compile(
    r"^swap=(?P<name>\S+) new=(?P<new>\d+) old=(?P<old>\d+):(?P<size>\d+):(?P<mtime>\d+)$",
    re.MULTILINE,
)


def note(temporary: Temporary, standing: Standing | None) -> str:
    """Return the note to leave before a swap; empty when nothing is replaced."""
    if standing is None:
        return ""
    new, old = os.fstat(temporary.descriptor).st_ino, standing.info
    return f"swap={temporary.name} new={new} old={old.st_ino}:{old.st_size}:{old.st_mtime_ns}\n"


def sweep(
    place: Place, found: str, owner: int | None, spare: Container[str] = ()
) -> Replaced | None:
    """Remove our leftover temporaries; return the one that holds a rival's write, if one does.

    `found` is the note. Only regular files of ours, of root or of `owner` are touched, and not
    those that are called as in `spare`.

    Raises:
        OSError: the directory cannot be read.
    """
    kept = None
    noted = _NOTE.search(found)
    owners = () if owner is None else (owner,)
    for entry in os.listdir(place.directory):  # noqa: PTH208 - pathlib takes no descriptor
        if entry in spare or not atomic.is_temporary(entry, place.name):
            continue
        info = os.stat(entry, dir_fd=place.directory, follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode) or not trusted_owner(info.st_uid, *owners):
            continue
        if noted and noted["name"] == entry and _written_late(place, info, noted):
            kept = _keep(place, entry)
        else:
            with contextlib.suppress(OSError):  # of a read-only file system: at the next sweep
                os.unlink(entry, dir_fd=place.directory)
    return kept


def _written_late(place: Place, info: os.stat_result, noted: re.Match[str]) -> bool:
    """Say whether a leftover is a replaced file, written into, whose successor still stands."""
    if info.st_ino == int(noted["new"]):
        return False  # never swapped
    if (info.st_ino, info.st_size, info.st_mtime_ns) == tuple(
        int(noted[key]) for key in ("old", "size", "mtime")
    ):
        return False  # as we had read it
    try:
        there = os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return there.st_ino == int(noted["new"])


def _keep(place: Place, entry: str) -> Replaced:
    descriptor = os.open(entry, READ, dir_fd=place.directory)
    successor = os.open(place.name, READ, dir_fd=place.directory)
    try:
        return Replaced(descriptor, entry, expected=None, put=read(successor))
    finally:
        os.close(successor)
