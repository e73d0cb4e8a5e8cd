"""Who may write, who keeps the file, and who has it open."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from credfresh.disk.locks import Blocked, LifeLock, Watch, WriteLock, disturbed, unwatch, watch
from credfresh.disk.paths import Place, resolved
from credfresh.errors import AlreadyRunningError, PublishError
from disk import Waits, needs_leases, needs_root, open_files


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Iterator[Place]:
    with resolved(f"{tmp_path}/credentials") as place:
        yield place


def test_the_write_lock_excludes_a_second_one(place: Place) -> None:
    """While one is held, another waits out its patience and learns the holder's pid."""
    first, waits = WriteLock(), Waits()
    assert first.take(place, 0.0, waits) is None

    blocked = WriteLock().take(place, 10.0, waits)

    assert isinstance(blocked, Blocked)
    assert os.getpid() == blocked.holder
    assert 10.0 == pytest.approx(waits.waited, abs=0.02)
    first.close()
    second = WriteLock()
    assert second.take(place, 0.0, waits) is None
    second.close()


def test_the_write_lock_is_that_of_flock_1(place: Place) -> None:
    """A script that runs `flock <file>.lock` keeps us out, and we keep it out."""
    path = f"{place.path}.lock"
    ours = WriteLock()
    assert ours.take(place, 0.0, Waits()) is None
    assert 1 == subprocess.run(["flock", "--nonblock", path, "true"], check=False).returncode
    ours.close()

    with subprocess.Popen(
        ["flock", path, "sh", "-c", "echo held; read _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as theirs:
        assert theirs.stdout is not None
        assert theirs.stdin is not None
        theirs.stdout.readline()
        assert isinstance(WriteLock().take(place, 0.0, Waits()), Blocked)
        theirs.stdin.close()


def test_a_lock_file_removed_while_we_waited_does_not_count(place: Place) -> None:
    """The lock counts only on the file that has the name: a removed one excludes nobody."""
    first, second, waits = WriteLock(), WriteLock(), Waits()
    assert first.take(place, 0.0, waits) is None

    def remove() -> None:
        Path(f"{place.path}.lock").unlink()
        first.close()

    waits.then[3] = remove
    before = open_files()
    assert second.take(place, 10.0, waits) is None
    assert len(before) == len(open_files())  # the removed one is closed
    assert isinstance(WriteLock().take(place, 0.0, waits), Blocked)
    second.close()


@pytest.mark.parametrize("plant", ["link", "directory", "pipe"])
def test_a_planted_lock_is_not_followed(place: Place, tmp_path: Path, plant: str) -> None:
    """What cannot be locked is reported at once, and nothing behind it is touched."""
    lock, target = tmp_path / "credentials.lock", tmp_path / "target"
    match plant:
        case "link":
            lock.symlink_to(target)
        case "directory":
            lock.mkdir()
        case "pipe":
            os.mkfifo(lock)

    assert Blocked(0.0, None) == WriteLock().take(place, 10.0, Waits())
    assert not target.exists()


def test_lock_files_can_be_opened_by_nobody_else(place: Place, tmp_path: Path) -> None:
    """A lock that nobody else can open cannot be held by anybody else."""
    lock = WriteLock()
    before = os.umask(0)
    try:
        lock.take(place, 0.0, Waits())
        life = LifeLock(place, "one")
    finally:
        os.umask(before)
    for name in ("credentials.lock", "credentials.credfresh"):
        assert 0o100600 == (tmp_path / name).stat().st_mode
    lock.close()
    life.close()


def test_the_life_lock_excludes_a_second_daemon_and_names_the_first(place: Place) -> None:
    """A refused daemon learns who keeps the file; afterwards the file is free again."""
    life = LifeLock(place, "one")
    life.note("swap=…")

    with pytest.raises(AlreadyRunningError) as caught:
        LifeLock(place, "two")

    assert f"(pid={os.getpid()} instance=one)" in caught.value.message
    assert f"{place.path}: another credfresh keeps this file" in caught.value.message
    assert "another credentials_file" in str(caught.value.hint)
    life.close()
    LifeLock(place, "two").close()


def test_a_lock_that_cannot_be_had_leaks_no_descriptor(place: Place, tmp_path: Path) -> None:
    """A daemon that is refused, or waits in vain, tries again for weeks and leaks no descriptor."""
    life, lock = LifeLock(place, "one"), WriteLock()
    assert lock.take(place, 0.0, Waits()) is None
    before = open_files()
    for _ in range(2):
        with pytest.raises(AlreadyRunningError):
            LifeLock(place, "two")
        assert isinstance(WriteLock().take(place, 0.0, Waits()), Blocked)

    assert before == open_files()
    life.close()
    lock.close()
    for name in ("credentials.credfresh", "credentials.lock"):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
    before = open_files()
    for _ in range(2):
        with pytest.raises(PublishError):
            LifeLock(place, "two")
        assert isinstance(WriteLock().take(place, 0.0, Waits()), Blocked)

    assert before == open_files()


def test_the_life_lock_leaves_a_note(place: Place) -> None:
    """The next claimant finds the last note, and nothing of a longer one before it."""
    life = LifeLock(place, "one")
    life.note("a long note\n")
    life.note("short\n")
    life.close()

    heir = LifeLock(place, "two")

    assert f"pid={os.getpid()} instance=one\nshort\n" == heir.found
    heir.close()


def test_a_claim_says_at_once_whose_it_is_and_keeps_the_note(place: Place) -> None:
    """A refused daemon is told; one that ends before it notes anything leaves the note it found."""
    life = LifeLock(place, "one")
    life.note("swap=1\n")
    life.close()
    heir = LifeLock(place, "heir")

    with pytest.raises(AlreadyRunningError) as caught:
        LifeLock(place, "late")

    assert f"(pid={os.getpid()} instance=heir)" in caught.value.message
    heir.close()
    last = LifeLock(place, "last")
    assert "swap=1\n" == last.found.partition("\n")[2]
    last.close()


def test_a_removed_life_lock_covers_nothing(place: Place) -> None:
    """With its lock file gone another daemon could claim the file: we have to claim it anew."""
    life = LifeLock(place, "one")
    assert life.covers(place)

    Path(f"{place.path}.credfresh").unlink()

    assert not life.covers(place)
    life.close()


def test_a_life_lock_covers_no_other_file_of_the_directory(place: Place) -> None:
    """A link may come to lead to another file, which another daemon may keep."""
    life = LifeLock(place, "one")

    assert not life.covers(replace(place, name="other"))
    life.close()


def test_a_life_lock_behind_a_link_is_refused(place: Place, tmp_path: Path) -> None:
    """A planted link is neither followed nor written through."""
    (tmp_path / "credentials.credfresh").symlink_to(tmp_path / "target")

    with pytest.raises(PublishError) as caught:
        LifeLock(place, "one")

    assert ("claim", "ELOOP") == (caught.value.step, caught.value.code)
    assert not (tmp_path / "target").exists()


@needs_root
def test_a_life_lock_of_somebody_else_is_refused(place: Place, tmp_path: Path) -> None:
    """Its owner could keep us out for ever."""
    (tmp_path / "credentials.credfresh").touch()
    os.chown(tmp_path / "credentials.credfresh", 65_534, 65_534)

    with pytest.raises(PublishError) as caught:
        LifeLock(place, "one")

    assert "planted" == caught.value.code


def descriptors() -> int:
    """Return how many descriptors are open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def test_a_file_system_without_locks_costs_no_descriptor(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS without its lock daemon, publishing is tried for weeks: no descriptor may leak."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = descriptors()

    with pytest.raises(PublishError, match="claim"):
        LifeLock(place, "one")
    with pytest.raises(OSError, match="locks"):
        WriteLock().take(place, 0.0, Waits())

    assert before == descriptors()


def test_a_claim_whose_note_cannot_be_read_keeps_nobody_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds no lock, so we ourselves can claim the file when the disk has recovered."""

    def refuse(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", refuse)
        with pytest.raises(PublishError) as caught:
            LifeLock(place, "one")

    assert ("claim", "EIO") == (caught.value.step, caught.value.code)
    LifeLock(place, "one").close()


@pytest.fixture(name="opened")
def _opened(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(b"old")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_watch_is_refused_while_somebody_writes(opened: int, tmp_path: Path) -> None:
    """An open writer is seen, even before it writes anything; an open reader does not matter."""
    needs_leases(tmp_path)
    with (tmp_path / "file").open("rb"):
        with (tmp_path / "file").open("r+b"):
            assert Watch.BUSY is watch(opened)
        assert Watch.KEPT is watch(opened)


def test_a_watch_makes_a_writer_wait_and_be_seen(opened: int, tmp_path: Path) -> None:
    """The writer truncates and writes only once the watch is over, and we learn that it came."""
    needs_leases(tmp_path)
    assert Watch.KEPT is watch(opened)
    assert not disturbed(opened)
    writer = threading.Thread(target=(tmp_path / "file").write_bytes, args=(b"new",))
    writer.start()
    pause = threading.Event()
    while not disturbed(opened):
        pause.wait(0.001)

    assert b"old" == os.pread(opened, 9, 0)
    unwatch(opened)
    writer.join()
    assert b"new" == os.pread(opened, 9, 0)


def test_unwatching_what_was_not_watched_does_nothing(opened: int, tmp_path: Path) -> None:
    """Error paths call it without knowing whether there was a watch."""
    needs_leases(tmp_path)
    unwatch(opened)

    assert Watch.KEPT is watch(opened)


def test_a_pipe_cannot_be_watched() -> None:
    """Where there are no leases the answer is BLIND, and nothing fails."""
    reading, writing = os.pipe()

    assert Watch.BLIND is watch(reading)

    os.close(reading)
    os.close(writing)
