"""Swaps files so that no write of a rival, a writer that takes no lock, is lost.

`swap` puts a new file in the place of what stands, and `confirm` makes sure that what it replaced
is what was read: if not, the swap is undone, and the caller looks again. What was replaced is kept
as `Replaced` until it is certain, or has been looked at twice, that nobody wrote into it after all.
"""

from __future__ import annotations

import os
from dataclasses import replace

from credfresh.credentials_file.replaced import Replaced, Writers
from credfresh.credentials_file.standing import READ, Standing, Version, version
from credfresh.disk import atomic
from credfresh.disk.atomic import Temporary
from credfresh.disk.locks import Watch, disturbed, stands, watch
from credfresh.disk.paths import Place
from credfresh.disk.steps import Steps


class OvertakenError(Exception):
    """A rival wrote while we did. The file is as the rival left it: look again.

    `left` is what still holds a write of a rival's that the standing file lacks.
    """

    def __init__(self, left: Replaced | None = None) -> None:
        super().__init__()
        self.left = left


def swap(
    place: Place,
    temporary: Temporary,
    standing: Standing | None,
    data: bytes,
    successor: Version | None,
    *,
    steps: Steps,
) -> Replaced | None:
    """Put a finished temporary with `data` under the name; return what it replaced.

    Raises:
        OvertakenError: a rival was quicker, and nothing was done.
        PublishError: the system refused it.
    """
    with steps("swap"):
        if standing is None:
            try:
                atomic.fill(place.directory, temporary.name, place.name)
            except FileExistsError:
                raise OvertakenError from None
            temporary.named = False
            return None
        writers = _still(place, standing)
        try:
            exchanged = atomic.exchange(place.directory, temporary.name, place.name)
            if not exchanged:
                atomic.replace(place.directory, temporary.name, place.name)
        except FileNotFoundError:
            raise OvertakenError from None
    temporary.named = False
    name = temporary.name if exchanged else None
    was = version(standing.info)
    return Replaced(standing.descriptor, name, standing.data, was, data, successor, writers)


def confirm(place: Place, temporary: Temporary, replaced: Replaced | None, steps: Steps) -> None:
    """Make sure that what was replaced is what had been read; else undo the swap.

    Raises:
        OvertakenError: it was not; the swap is undone.
        PublishError: the system would not tell; the swap stands.
    """
    with steps("compare"):
        if replaced is None or replaced.name is None or _as_read(place, replaced):
            return
        atomic.exchange(place.directory, replaced.name, place.name)
        before = version(os.fstat(temporary.descriptor))
        mine = stands(temporary.descriptor, replaced.name, place.directory)
        if mine and atomic.holds(temporary.descriptor, replaced.put):
            raise OvertakenError(_undone(place, temporary, replaced, before))
        # Somebody wrote into ours in these microseconds: that is the newer, and stays.
        atomic.exchange(place.directory, replaced.name, place.name)
        left = os.open(replaced.name, READ, dir_fd=place.directory)
        raise OvertakenError(replace(replaced, descriptor=left, writers=Writers.UNKNOWN))


def _undone(
    place: Place, temporary: Temporary, replaced: Replaced, was: Version
) -> Replaced | None:
    """Return our file as one that was replaced: a rival that opened it may still write into it."""
    temporary.named = True
    if replaced.name is None:
        return None
    try:
        descriptor = os.open(replaced.name, READ, dir_fd=place.directory)
    except OSError:
        return None
    temporary.named = False
    mine = replaced.put
    return Replaced(descriptor, replaced.name, mine, was, mine, None)


def _still(place: Place, standing: Standing) -> Writers:
    """Make sure, as far as can be, that the file is as it was read; return who may write it."""
    answer = watch(standing.descriptor)
    if answer is Watch.BUSY and not standing.busy:
        raise OvertakenError
    same = stands(standing.descriptor, place.name, place.directory)
    if not same or not atomic.holds(standing.descriptor, standing.data):
        raise OvertakenError
    return Writers.WATCHED if answer is Watch.KEPT else Writers.UNKNOWN


def _as_read(place: Place, replaced: Replaced) -> bool:
    """Say whether the temporary name leads to the file, and the bytes, that were read."""
    if replaced.name is None:
        return False
    if not stands(replaced.descriptor, replaced.name, place.directory):
        return False
    if replaced.writers is Writers.WATCHED:
        return not disturbed(replaced.descriptor)
    return replaced.expected is None or atomic.holds(replaced.descriptor, replaced.expected)
