"""What a killed daemon left behind, and the note that it made about it beforehand.

Between the swap and the second look, the replaced file lies under the temporary name: a rival's
last write may be in it, or still to come. Before the swap the temporary itself lies there, which
is worth nothing. A note in the life lock's file has one line for each swap. It tells which of the
two is found, and what is new in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Container, Iterable, Sequence

from credfresh.credentials_file.replaced import Replaced
from credfresh.credentials_file.standing import READ, Patience, Standing, Version, read, version
from credfresh.disk import atomic
from credfresh.disk.atomic import Temporary
from credfresh.disk.paths import Place

_LINE = re.compile(r"^swap=([0-9a-f]{8}) new=(\d+:\d+:\d+) old=(\d+:\d+:\d+)$", re.MULTILINE)

_AT_ONCE = Patience(lambda _: None, 0.0)


def note(kept: Iterable[Replaced]) -> str:
    """Return the note about files that were replaced and are kept."""
    return "".join(
        _line(late.name, late.successor or Version(), late.was)
        for late in kept
        if late.name is not None
    )


def before(temporary: Temporary, standing: Standing | None, new: Version, *, alone: bool) -> str:
    """Return the line to add to the note before a swap; empty when nothing is replaced.

    `alone`: what is to stand differs from what stands by what is ours alone.
    """
    if standing is None:
        return ""
    told = new if alone else Version(new.inode)  # its inode shows that a swap never came about
    return _line(temporary.name, told, version(standing.info))


def sweep(place: Place, found: str, owner: int | None, spare: Container[str]) -> Sequence[Replaced]:
    """Remove our leftover temporaries; return those that hold a rival's write, or may yet.

    The oldest comes first. `found` is the note. Only regular files of ours, of root or of `owner`
    are touched, and none whose name is in `spare`.

    Raises:
        OSError: the directory cannot be read, or not what was replaced.
    """
    kept: dict[str, Replaced] = {}
    noted = {serial: (_version(new), _version(old)) for serial, new, old in _LINE.findall(found)}
    with contextlib.ExitStack() as opened:
        for entry, info in atomic.leftovers(place.directory, place.name, owner=owner):
            if entry in spare:
                continue
            serial = atomic.serial(entry)
            late = _replaced(place, entry, info, *noted[serial]) if serial in noted else None
            if late is not None and (late.altered(_AT_ONCE) or late.busy):
                kept[serial] = late
                opened.callback(os.close, late.descriptor)
            elif late is not None:
                late.drop(place.directory)
            else:
                with contextlib.suppress(OSError):  # of a read-only file system: at the next sweep
                    os.unlink(entry, dir_fd=place.directory)
        opened.pop_all()
    return [kept[serial] for serial in noted if serial in kept]


def _replaced(
    place: Place, entry: str, info: os.stat_result, new: Version, old: Version
) -> Replaced | None:
    """Open what was replaced; None if nothing can be lost with it.

    That is so if the swap never came about, if no file stands that late writes could go to, and if
    it cannot be read and nobody wrote into it.

    If what was put in its place stands as we left it, and differs by what is ours alone, a rival's
    write is taken to start from that. Otherwise what is new in either of the two is kept: which of
    them lost something cannot be known.
    """
    if info.st_ino == new.inode:
        return None
    try:
        successor = os.open(place.name, READ, dir_fd=place.directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:  # O_NOFOLLOW: a link
            raise
        put = b""
    else:
        try:
            put = read(successor) if version(os.fstat(successor)) == new else b""
        finally:
            os.close(successor)
    try:
        descriptor = os.open(entry, READ, dir_fd=place.directory)
    except PermissionError:  # the daemon before us was another user
        if version(info) == old:
            return None
        raise
    try:
        expected = read(descriptor) if version(os.fstat(descriptor)) == old else None
    except OSError:  # the disk has lost what nobody wrote into
        os.close(descriptor)
        return None
    return Replaced(descriptor, entry, expected, old, put, new if new.size else None)


def _line(name: str, new: Version, old: Version) -> str:
    return f"swap={atomic.serial(name)} new={_text(new)} old={_text(old)}\n"


def _text(version: Version) -> str:
    return ":".join(map(str, version))


def _version(text: str) -> Version:
    return Version(*map(int, text.split(":")))
