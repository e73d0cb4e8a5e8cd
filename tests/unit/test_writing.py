"""A file is complete, durable and verified before it can be put in place."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from credfresh.disk import atomic, writing
from credfresh.disk.atomic import Attributes
from credfresh.disk.paths import Place, resolved
from credfresh.disk.steps import Steps
from credfresh.errors import PublishError
from disk import needs_fine_times, open_files
from fakes import FakeClock

DATA = bytes(range(256)) * 40


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Iterator[Place]:
    with resolved(f"{tmp_path}/credentials") as place:
        yield place


def test_a_temporary_is_whole_and_synced_when_it_is_handed_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is synced after all bytes are in it, and before anybody can have it."""
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)

    temporary = writing.prepare(place, DATA, Attributes(0o640), Steps(place.path))

    assert [len(DATA)] == synced
    assert atomic.holds(temporary.descriptor, DATA)
    assert 0o640 == stat.S_IMODE(os.fstat(temporary.descriptor).st_mode)
    temporary.drop()


def test_short_writes_are_continued(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """write(2) may take less than it is given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda to, data: write(to, data[:1000]))

    temporary = writing.prepare(place, DATA, Attributes(0o600), Steps(place.path))

    assert atomic.holds(temporary.descriptor, DATA)
    temporary.drop()


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.truncate(len(DATA) - 1),
        lambda file: file.write(b"?"),
        lambda file: file.truncate(len(DATA) + 1),
    ],
)
def test_bytes_that_differ_from_what_was_meant_are_never_handed_over(
    place: Place, tmp_path: Path, harm: Callable[[object], None]
) -> None:
    """A faulty disk or a disturbed write is found before the swap, and leaves nothing behind."""

    def disturb(step: str) -> None:
        if step == "verify":
            (entry,) = tmp_path.iterdir()
            with entry.open("r+b") as file:
                harm(file)

    with pytest.raises(PublishError) as caught:
        writing.prepare(place, DATA, Attributes(0o600), Steps(place.path, disturb))

    assert ("verify", "garbled") == (caught.value.step, caught.value.code)
    assert caught.value.hint
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["create", "attributes", "write", "sync", "verify"])
def test_a_failed_write_leaves_nothing_behind(place: Place, tmp_path: Path, step: str) -> None:
    """Whichever step fails, neither a name nor an open file is left."""

    def refuse(now: str) -> None:
        if now == step:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = open_files()

    with pytest.raises(PublishError) as caught:
        writing.prepare(place, DATA, Attributes(0o600), Steps(place.path, refuse))

    assert step == caught.value.step
    assert [] == list(tmp_path.iterdir())
    assert before == open_files()


def test_the_time_that_is_set_is_the_next_full_millisecond(place: Place) -> None:
    """Some readers see no finer time, and take a file that is not newer than their last for old."""
    needs_fine_times(Path(place.path).parent)
    clock = FakeClock()
    clock.now += 0.0123
    temporary = writing.prepare(place, DATA, Attributes(0o600), Steps(place.path))

    info = writing.stamp(temporary, Steps(place.path), clock)

    stamped = int(clock.now.wall * 1000) * 1_000_000 + 1_000_000
    assert stamped == info.st_mtime_ns
    temporary.drop()
