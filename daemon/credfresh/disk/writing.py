"""The steps of a write before and after the swap."""

from __future__ import annotations

import os

from credfresh.disk import atomic
from credfresh.disk.atomic import Attributes, Temporary
from credfresh.disk.paths import Place
from credfresh.disk.steps import Steps
from credfresh.errors import PublishError
from credfresh.model import Clock


def prepare(
    place: Place, data: bytes, attributes: Attributes, steps: Steps, *, durable: bool = True
) -> Temporary:
    """Write a temporary that is complete, verified, and durable if asked.

    Raises:
        PublishError: it could not be written; nothing is left of it.
    """
    with steps("create"):
        temporary = atomic.create(place.directory, place.name)
    try:
        with steps("attributes"):
            atomic.set_attributes(temporary.descriptor, attributes)
        with steps("write"):
            temporary.write(data)
        if durable:
            with steps("sync"):
                os.fsync(temporary.descriptor)
        with steps("verify"):
            _verify(temporary, data, steps)
    except BaseException:
        temporary.drop()
        raise
    return temporary


def stamp(temporary: Temporary, steps: Steps, clock: Clock) -> os.stat_result:
    """Give the file that was swapped in a modification time that readers take for new.

    A reader that loaded the old file just before compares it with the time of its load (the SDKs
    for Java 2 and .NET). So it is set after the swap, and from the clock: the kernel's own "now"
    lags by up to a tick of 10 ms. It is the next full millisecond: some readers see no finer.

    Raises:
        PublishError: it could not be done; the new file stands all the same.
    """
    with steps("stamp"):
        now = (int(clock().wall * 1000) + 1) * 1_000_000
        os.utime(temporary.descriptor, ns=(now, now))
        return os.fstat(temporary.descriptor)


def _verify(temporary: Temporary, data: bytes, steps: Steps) -> None:
    if not atomic.holds(temporary.descriptor, data):
        raise PublishError(
            f"{steps.path}: what was written is not what was read back",
            path=steps.path,
            step="verify",
            code="garbled",
            hint="the disk or its driver is faulty: look at the kernel's log",
        )
