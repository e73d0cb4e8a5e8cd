"""Late writes into replaced files, when the daemon was killed before it had a second look."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO
from pathlib import Path

import pytest

from credfresh.credentials_file import SharedCredentialsFile
from credfresh.disk import atomic
from credfresh.errors import PublishError
from credfresh.publication import Publication
from disk import (
    FOREIGN,
    Steps,
    Waits,
    keeper,
    key_of,
    needs_fine_times,
    needs_leases,
    needs_root,
    open_files,
    publish_and_leave,
    read_by_sdk,
    temporaries,
    unreadable,
    wanted,
)

THEIRS = b"[late]\nkey = theirs\n"
OTHERS = b"[other]\nkey = too\n"


class Harness:
    """A file, its keepers one after the other, and rivals that keep their descriptors open."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.steps = Steps()
        self.serial = 0
        self._stack = stack
        path.write_bytes(FOREIGN)
        self.file = self.started()
        self.publish()
        self.file.tick()

    def started(self) -> SharedCredentialsFile:
        """Return the keeper of a newly started daemon."""
        self.steps.before.clear()
        self.file = keeper(self.path, hook=self.steps, pause=Waits())
        self._stack.callback(self.file.release)
        return self.file

    def killed(self) -> None:
        """Leave everything as a killed process does: its locks are free, all else stays."""
        self.file._tenure.close()

    def opened(self) -> FileIO:
        """Return a rival's descriptor of the current file."""
        return self._stack.enter_context(self.path.open("ab", buffering=0))

    def publish(self) -> None:
        """Publish a renewal."""
        self.serial += 1
        self.file.publish(wanted(self.path, "dev", serial=self.serial))

    def published_late(self, what: bytes = THEIRS) -> FileIO:
        """Publish, and let a rival write into the replaced file."""
        rival = self.opened()
        self.publish()
        rival.write(what)
        return rival

    def published_late_twice(self) -> tuple[FileIO, FileIO]:
        """Publish twice, and let a rival write into each of the replaced files."""
        first = self.opened()
        self.publish()
        second = self.opened()
        self.publish()
        first.write(THEIRS)
        second.write(OTHERS)
        return first, second

    def die_at(self, step: str) -> None:
        """Publish, and be killed before a step."""

        def die() -> None:
            self.killed()
            raise KeyboardInterrupt

        self.steps.before[step] = die
        with pytest.raises(KeyboardInterrupt):
            self.publish()

    def settle(self) -> set[str]:
        """Start the next daemon, let it publish and rest, and return the sections of the file."""
        self.started()
        self.file.claim()
        self.publish()
        return self.rest()

    def rest(self) -> set[str]:
        """Tick and publish until no tick asks for more; return the sections of the file."""
        for _ in range(5):
            if not self.file.tick():
                break
            self.publish()
        assert f"ASIAFAKE{self.serial:012d}" == key_of(self.path, "dev")
        return set(read_by_sdk(self.path))


@pytest.fixture(name="harness")
def _harness(tmp_path: Path) -> Iterator[Harness]:
    with ExitStack() as stack:
        yield Harness(tmp_path / "credentials", stack)


def test_a_late_write_into_an_older_replaced_file_is_found(harness: Harness) -> None:
    """A late write into the file before the last one is found as well."""
    rival = harness.opened()
    harness.publish()
    harness.publish()
    rival.write(THEIRS)
    rival.close()
    harness.killed()

    assert {"foreign", "dev", "late"} == harness.settle()
    assert [] == temporaries(harness.path)


def test_late_writes_into_several_replaced_files_are_all_found(harness: Harness) -> None:
    """Late writes into two different replaced files are both taken over."""
    first, second = harness.published_late_twice()
    harness.killed()
    first.close()
    second.close()

    assert {"foreign", "dev", "late", "other"} == harness.settle()
    assert [] == temporaries(harness.path)


@pytest.mark.parametrize("step", ["swap", "compare", "stamp", "sync_directory"])
def test_a_late_write_outlives_a_second_death(harness: Harness, step: str) -> None:
    """The next daemon finds the late write, and is killed before that is published."""
    harness.published_late().close()
    harness.killed()
    harness.started()
    harness.file.claim()
    harness.die_at(step)

    assert {"foreign", "dev", "late"} == harness.settle()
    assert [] == temporaries(harness.path)


@pytest.mark.parametrize("step", ["swap", "compare", "stamp", "sync_directory"])
def test_a_late_write_outlives_the_publish_that_takes_it_over(harness: Harness, step: str) -> None:
    """The daemon finds the late write, and is killed while it publishes it."""
    rival = harness.published_late()
    assert harness.file.tick()
    harness.die_at(step)
    rival.close()

    assert {"foreign", "dev", "late"} == harness.settle()
    assert [] == temporaries(harness.path)


def test_a_write_into_the_new_file_stands_beside_a_late_write(harness: Harness) -> None:
    """One rival wrote into the replaced file, another into the new one: both writes stand."""
    harness.published_late().close()
    harness.opened().write(OTHERS)
    harness.killed()

    assert {"foreign", "dev", "late", "other"} == harness.settle()


def test_a_write_into_the_new_file_before_its_time_is_set_stands_too(harness: Harness) -> None:
    """A rival's change of the new file before we note its state stands, as does a late write."""
    rival = harness.opened()
    harness.steps.before["stamp"] = lambda: harness.opened().write(OTHERS)
    harness.publish()
    rival.write(THEIRS)
    rival.close()
    harness.killed()

    assert {"foreign", "dev", "late", "other"} == harness.settle()


def test_a_late_write_that_was_taken_over_is_not_undone_by_another(harness: Harness) -> None:
    """A late write was taken over, and another came into the file then replaced: both stand."""
    first = harness.opened()
    harness.publish()
    first.write(THEIRS)
    first.close()
    second = harness.opened()
    harness.publish()
    second.write(OTHERS)
    second.close()
    harness.killed()

    assert {"foreign", "dev", "late", "other"} == harness.settle()


def test_a_late_change_within_a_section_is_taken_over(harness: Harness) -> None:
    """If nobody changed the current file, a late change within a section is applied to it."""
    needs_fine_times(harness.path.parent)
    content = harness.path.read_bytes()
    rival = harness.opened()
    harness.publish()
    rival.truncate(0)
    rival.write(content.replace(b"AKIAFOREIGN", b"AKIACHANGED"))
    rival.close()
    harness.killed()
    before = len(open_files())

    harness.settle()

    assert "AKIACHANGED" == key_of(harness.path, "foreign")
    harness.file.release()
    assert before == len(open_files())


@pytest.mark.parametrize("step", ["compare", "stamp", "sync_directory"])
def test_a_late_change_within_a_section_is_taken_over_whenever_we_die(
    harness: Harness, step: str
) -> None:
    """A late change within a section is applied even if we die before the swap is durable."""
    needs_fine_times(harness.path.parent)
    content = harness.path.read_bytes()
    rival = harness.opened()
    harness.die_at(step)
    rival.truncate(0)
    rival.write(content.replace(b"AKIAFOREIGN", b"AKIACHANGED"))
    rival.close()

    harness.settle()

    assert "AKIACHANGED" == key_of(harness.path, "foreign")


def test_no_section_of_ours_gives_way_to_an_older_one(harness: Harness) -> None:
    """If the next daemon believes no mark, it has nothing in hand, and our sections still stay."""
    rival = harness.opened()
    harness.file.publish(wanted(harness.path, "dev", "prod", serial=7))
    rival.write(THEIRS)
    rival.close()
    harness.killed()
    harness.started().claim()
    asked = wanted(harness.path, "dev", "prod").items()

    harness.file.publish({name: Publication(each.profile) for name, each in asked})

    assert {"foreign", "dev", "prod", "late"} == set(read_by_sdk(harness.path))
    assert "ASIAFAKE000000000007" == key_of(harness.path, "dev")


@pytest.fixture(name="locked_up")
def _locked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of names that cannot be opened, as when the last daemon was another user."""
    names: list[str] = []
    real = os.open

    def opened(path: str, *arguments: int, dir_fd: int | None = None) -> int:
        if path in names:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)
    return names


def test_an_unreadable_replaced_file_without_late_writes_stops_nothing(
    harness: Harness, locked_up: list[str]
) -> None:
    """A replaced file without late writes is removed even if only its former owner may read it."""
    harness.opened()
    harness.publish()
    harness.killed()
    locked_up += temporaries(harness.path)

    assert {"foreign", "dev"} == harness.settle()
    assert [] == temporaries(harness.path)


def test_a_lost_replaced_file_without_late_writes_stops_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk lost a replaced file without late writes in a power cut, the claim succeeds."""
    reader = harness.path.open("rb")  # keeps its inode number from being reused
    lost = harness.path.stat().st_ino
    harness.publish()
    harness.killed()
    assert [lost] == [
        (harness.path.parent / name).stat().st_ino for name in temporaries(harness.path)
    ]
    unreadable(monkeypatch, lost)

    with reader:
        assert {"foreign", "dev"} == harness.settle()
    assert [] == temporaries(harness.path)


def test_a_failed_claim_holds_no_replaced_file_open(harness: Harness, locked_up: list[str]) -> None:
    """The claim is retried until it succeeds, so a failed one must not leave files open."""
    harness.published_late_twice()
    harness.killed()
    *_, last = (entry for entry in os.listdir(harness.path.parent) if entry.endswith(".tmp"))  # noqa: PTH208 - its order
    locked_up.append(last)
    harness.started()
    before = len(open_files())

    with pytest.raises(PublishError, match=r"cannot clear up"):
        harness.file.claim()

    assert before == len(open_files())
    assert 2 == len(temporaries(harness.path))


def test_a_temporary_that_was_never_swapped_restores_nothing(harness: Harness) -> None:
    """A temporary from before the swap does not restore a section deleted by hand since."""
    harness.path.write_bytes(harness.path.read_bytes() + OTHERS)
    os.utime(harness.path, (1e9, 1e9))
    harness.rest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic.Temporary, "drop", lambda self: os.close(self.descriptor))
        harness.die_at("swap")
    assert 1 == len(temporaries(harness.path))
    harness.path.write_bytes(harness.path.read_bytes().replace(OTHERS, b""))
    os.utime(harness.path, (1e9, 1e9))

    assert {"foreign", "dev"} == harness.settle()
    assert [] == temporaries(harness.path)


@pytest.mark.parametrize(("late", "left"), [(b"", 0), (THEIRS, 1)])
def test_where_a_link_takes_the_place_of_the_file_only_late_writes_stay_beside_it(
    harness: Harness, late: bytes, left: int
) -> None:
    """The file was moved elsewhere after the kill: what was replaced is cleared up all the same."""
    harness.published_late(late).close()
    harness.killed()
    elsewhere = harness.path.with_name("elsewhere")
    elsewhere.mkdir()
    harness.path.rename(elsewhere / "credentials")
    harness.path.symlink_to(elsewhere / "credentials")

    assert {"foreign", "dev"} == harness.settle()

    assert left == len(temporaries(harness.path))
    assert [] == temporaries(elsewhere / "credentials")


def test_a_link_in_the_place_of_another_daemon_s_file_takes_nothing_from_it(
    harness: Harness,
) -> None:
    """While another daemon still keeps what stood there, its replaced files are its own."""
    harness.published_late(b"").close()
    other = harness.file
    elsewhere = harness.path.with_name("elsewhere")
    elsewhere.mkdir()
    harness.path.rename(elsewhere / "credentials")
    harness.path.symlink_to(elsewhere / "credentials")

    harness.settle()

    assert 1 == len(temporaries(harness.path))
    other.release()


@needs_root
@pytest.mark.parametrize(("owner", "swept"), [(65_534, False), (0, True)])
def test_only_temporaries_of_ours_are_swept(harness: Harness, owner: int, *, swept: bool) -> None:
    """In a directory where others may add names, a temporary may be somebody else's."""
    name = harness.path.with_name(".credentials.credfresh-01234567.tmp")
    name.touch()
    os.chown(name, owner, -1)
    harness.killed()

    harness.settle()

    assert swept != name.exists()


def test_a_rename_over_the_new_file_stands_beside_a_late_write(harness: Harness) -> None:
    """A rival wrote into the replaced file, another renamed a copy over the new one: both stand."""
    copy = harness.path.read_bytes()
    harness.published_late().close()
    new = harness.path.with_name("new")
    new.write_bytes(copy + OTHERS)
    new.replace(harness.path)
    harness.killed()

    assert {"foreign", "dev", "late", "other"} == harness.settle()
    assert [] == temporaries(harness.path)


def test_the_next_daemon_waits_for_a_writer_of_a_replaced_file(harness: Harness) -> None:
    """A rival that writes only after the next daemon has started loses nothing."""
    needs_leases(harness.path.parent)
    rival = harness.opened()
    harness.publish()
    harness.killed()
    harness.settle()
    rival.write(THEIRS)
    rival.close()

    assert {"foreign", "dev", "late"} == harness.rest()
    assert [] == temporaries(harness.path)


def test_the_next_daemon_waits_for_a_half_written_late_write(harness: Harness) -> None:
    """A half-written late write is waited for, even if another rival's file is in place by then."""
    needs_leases(harness.path.parent)
    copy = harness.path.read_bytes()
    rival = harness.opened()
    harness.publish()
    harness.killed()
    new = harness.path.with_name("new")
    new.write_bytes(copy + OTHERS)
    new.replace(harness.path)
    rival.truncate(0)
    rival.write(b"[late]\nkey")

    assert {"foreign", "dev", "other"} == harness.settle()
    rival.write(b" = theirs\n" + FOREIGN)
    rival.truncate(len(copy) + 1)
    rival.close()

    assert {"foreign", "dev", "other", "late"} == harness.rest()
    assert [] == temporaries(harness.path)


@pytest.mark.parametrize("published", [True, False])
def test_a_writer_that_is_still_there_at_the_end_is_left_to_the_next_daemon(
    harness: Harness, *, published: bool
) -> None:
    """An orderly end waits at most two seconds for a writer; the next daemon finds its write."""
    needs_leases(harness.path.parent)
    rival = harness.opened()
    harness.publish()
    if not published:
        harness.killed()
        harness.started().claim()
    harness.file.release()
    rival.write(THEIRS)
    rival.close()

    assert {"foreign", "dev", "late"} == harness.settle()
    assert [] == temporaries(harness.path)


def test_an_orderly_end_publishes_late_writes(harness: Harness) -> None:
    """A late write is published before the end: the next daemon may not start for a long time."""
    harness.published_late().close()

    harness.file.release()

    assert {"foreign", "dev", "late"} == set(read_by_sdk(harness.path))
    assert [] == temporaries(harness.path)


def test_an_end_with_a_full_disk_leaves_all_late_writes(harness: Harness) -> None:
    """Late writes in two files both survive an end at which nothing can be published."""
    first, second = harness.published_late_twice()
    first.close()
    second.close()

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    harness.steps.before["write"] = full
    before = len(open_files())
    harness.file.release()
    assert before - 3 == len(open_files())  # two files, our lock

    assert {"foreign", "dev", "late", "other"} == harness.settle()
    assert [] == temporaries(harness.path)


def test_a_late_section_deleted_after_it_was_taken_over_stays_deleted(harness: Harness) -> None:
    """A section taken over and then deleted by hand stays deleted; its writer may add another."""
    needs_leases(harness.path.parent)
    rival = harness.published_late()
    harness.rest()
    assert THEIRS in harness.path.read_bytes()
    harness.path.write_bytes(harness.path.read_bytes().replace(THEIRS, b""))
    os.utime(harness.path, (1e9, 1e9))
    harness.rest()
    harness.killed()

    assert {"foreign", "dev"} == harness.settle()
    rival.write(OTHERS)
    rival.close()

    assert {"foreign", "dev", "other"} == harness.rest()
    assert [] == temporaries(harness.path)


def test_a_late_section_that_stood_already_and_was_deleted_stays_deleted(harness: Harness) -> None:
    """A late section that already stood, and was deleted by hand, is not restored after a kill."""
    rival = harness.opened()
    harness.serial += 1
    asked = wanted(harness.path, "dev", serial=harness.serial)
    harness.file.publish(asked)
    rival.write(THEIRS)
    with harness.path.open("ab") as other:
        other.write(THEIRS)
    assert harness.file.tick()
    assert not harness.file.publish(asked).written
    harness.path.write_bytes(harness.path.read_bytes().replace(THEIRS, b""))
    os.utime(harness.path, (1e9, 1e9))
    harness.killed()

    assert {"foreign", "dev"} == harness.settle()


def test_a_late_write_outlives_a_claim_that_was_removed(harness: Harness) -> None:
    """A late write survives the removal of our lock file, which holds the note, and a kill."""
    rival = harness.opened()
    harness.publish()
    harness.path.with_name("credentials.credfresh").unlink()
    harness.publish()
    rival.write(THEIRS)
    rival.close()
    harness.killed()

    assert {"foreign", "dev", "late"} == harness.settle()


def test_a_late_write_outlives_a_publish_that_gave_up(harness: Harness) -> None:
    """A late write survives a publish that gave up because of a busy rival, and a kill."""
    rival = harness.opened()
    harness.publish()

    def again() -> None:
        harness.path.write_bytes(harness.path.read_bytes() + b"# more\n")
        harness.steps.before["swap"] = again

    harness.steps.before["swap"] = again
    with pytest.raises(PublishError):
        harness.publish()
    rival.write(THEIRS)
    rival.close()
    harness.killed()

    assert {"foreign", "dev", "late"} == harness.settle()
    assert [] == temporaries(harness.path)


@pytest.mark.parametrize("name", ["my credentials", "crédentials"])
def test_late_writes_are_found_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    """The note of the replaced file works for names with spaces or other letters."""
    with ExitStack() as stack:
        harness = Harness(tmp_path / name, stack)
        harness.published_late().close()
        harness.killed()

        assert {"foreign", "dev", "late"} == harness.settle()
        assert [] == temporaries(harness.path)


def test_a_removed_file_gets_no_late_write_back(harness: Harness) -> None:
    """If somebody removed the file, its earlier content and late writes are not restored."""
    harness.published_late().close()
    harness.killed()
    harness.path.unlink()

    publish_and_leave(harness.path, wanted(harness.path, "dev", serial=9))

    assert {"dev"} == set(read_by_sdk(harness.path))
    assert [] == temporaries(harness.path)
