"""Late writes: what rivals write into a file after we have replaced it is taken over."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import cast

import pytest

from credfresh.disk import atomic
from credfresh.disk.paths import resolved
from credfresh.errors import PublishError
from disk import (
    FOREIGN,
    Steps,
    Waits,
    keeper,
    needs_leases,
    publish_and_leave,
    read_by_sdk,
    settle,
    temporaries,
    unreadable,
    wanted,
    without_leases,
)

THEIRS = b"[late]\nkey = theirs\n"


class Harness:
    """A file, its keeper, and a rival that opened the file two publishes ago."""

    def __init__(self, path: Path, content: bytes = FOREIGN, mode: str = "ab") -> None:
        self.path = path
        path.write_bytes(content)
        self.steps, self.waits = Steps(), Waits()
        self.file = keeper(path, hook=self.steps, pause=self.waits)
        self.file.publish(wanted(path, "dev"))
        self.rival = cast("FileIO", path.open(mode, buffering=0))
        for serial in (1, 2):
            self.asked = wanted(path, "dev", serial=serial)
            self.file.publish(self.asked)

    def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Let the rival truncate the file and write it anew."""
        content = self.rival.read() or b""
        self.rival.seek(0)
        self.rival.truncate()
        self.rival.write(change(content))
        self.rival.close()

    def settle(self) -> bytes:
        """Tick and publish as the daemon does, and return the content of the file."""
        settle(self.file, self.path)
        return self.path.read_bytes()


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "credentials"


def test_two_rivals_in_a_row_both_keep_their_update(path: Path) -> None:
    """A second rival writes into the file that was replaced to take over the first one's write."""
    harness = Harness(path)
    second = path.open("ab", buffering=0)
    harness.rival.write(THEIRS)
    harness.rival.close()
    assert harness.file.tick()
    harness.file.publish(harness.asked)
    second.write(b"[later]\nkey = too\n")
    second.close()

    harness.settle()

    assert {"foreign", "dev", "late", "later"} == set(read_by_sdk(path))


def test_a_second_section_of_a_name_takes_none_away(path: Path) -> None:
    """A rival that appends a section of an existing name gets what it wrote: both stand."""
    harness = Harness(path)
    harness.rival.write(b"[foreign]\naws_access_key_id = AKIANEW\n")
    harness.rival.close()

    stands = harness.settle()

    assert b"AKIAFOREIGN" in stands
    assert b"AKIANEW" in stands


def test_a_section_that_stood_twice_and_is_removed_once_stands_once(path: Path) -> None:
    """If a name stood twice and the rival removes one of the two, one is left."""
    harness = Harness(path, FOREIGN + b"[x]\na = 1\n[x]\na = 2\n", "r+b")
    harness.rewrite(lambda content: content.replace(b"[x]\na = 1\n", b""))

    assert 1 == harness.settle().count(b"[x]")


def test_late_lines_before_the_first_header_stay(path: Path) -> None:
    """Lines before the first header are taken over as sections are."""
    harness = Harness(path, mode="r+b")
    harness.rewrite(lambda content: b"# a new first line\n" + content)

    assert harness.settle().startswith(b"# a new first line\n" + FOREIGN)


def test_the_order_and_comments_of_a_single_rival_are_kept(path: Path) -> None:
    """If nobody else wrote, the rival's order of sections and its comments are kept exactly."""
    path.write_bytes(FOREIGN + b"[b]\nk = 1\n")
    file = keeper(path, pause=Waits())
    file.publish(wanted(path, "dev"))
    sorted_by_hand = b"# first\n[a]\nk = 1\n[b]\nk = 1\n" + FOREIGN
    with path.open("r+b", buffering=0) as rival:
        file.publish(wanted(path, "dev", serial=1))
        rival.truncate()
        rival.write(sorted_by_hand)

    settle(file, path)

    assert path.read_bytes().startswith(sorted_by_hand)
    assert "ASIAFAKE000000000002" == read_by_sdk(path)["dev"]["aws_access_key_id"]


def test_a_comment_before_a_new_section_stays(path: Path) -> None:
    """The comment stays with the new section, below our renewed block."""
    harness = Harness(path)
    harness.rival.write(b"\n# by the vault tool\n" + THEIRS)
    harness.rival.close()

    stands = harness.settle()

    assert stands.endswith(b"\n# by the vault tool\n" + THEIRS)
    assert b"ASIAFAKE000000000002" in stands


def test_keys_that_were_pasted_into_our_section_stay(path: Path) -> None:
    """If a late write replaces our block by other keys, the section is somebody else's (I8)."""
    harness = Harness(path, mode="r+b")
    pasted = b"[dev]\naws_access_key_id = AKIALONGTERM\naws_secret_access_key = x\n"
    harness.rewrite(lambda _: FOREIGN + pasted)

    assert FOREIGN + pasted == harness.settle()


def test_a_half_written_late_write_is_not_published(path: Path) -> None:
    """While the writer is busy, sections that it has not written yet stay in the file."""
    needs_leases(path.parent)
    harness = Harness(path, FOREIGN + b"[second]\naws_access_key_id = AKIASECOND\n", "r+b")
    content = harness.rival.read() or b""
    harness.rival.seek(0)
    harness.rival.truncate()
    harness.rival.write(content[: content.index(b"[second]")])

    assert harness.file.tick()
    harness.file.publish(harness.asked)

    assert "AKIASECOND" == read_by_sdk(path)["second"]["aws_access_key_id"]
    harness.rival.close()


def test_a_late_write_counts_as_new_until_it_is_published(path: Path) -> None:
    """A late write whose publish failed (disk full) is still found after the writer rewrites it."""
    harness = Harness(path, mode="r+b")
    content = harness.rival.read() or b""
    harness.rival.write(THEIRS)

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    harness.steps.before["write"] = full
    with pytest.raises(PublishError):
        harness.file.publish(harness.asked)
    harness.rival.seek(0)
    harness.rival.truncate()
    harness.rival.write(content[:10])
    harness.file.publish(wanted(path, "dev", serial=3))
    assert "late" not in read_by_sdk(path)
    harness.rival.write(content[10:] + THEIRS)
    harness.rival.close()

    harness.settle()

    assert "late" in read_by_sdk(path)


def test_a_late_section_that_was_deleted_stays_deleted(path: Path) -> None:
    """A late section deleted by hand stays deleted; later ones of its writer are taken over."""
    needs_leases(path.parent)
    harness = Harness(path)
    harness.rival.write(THEIRS)
    assert THEIRS in harness.settle()
    path.write_bytes(path.read_bytes().replace(THEIRS, b""))
    os.utime(path, (1e9, 1e9))
    assert THEIRS not in harness.settle()
    harness.rival.write(b"[later]\nkey = too\n")
    harness.rival.close()

    stands = harness.settle()

    assert b"[later]" in stands
    assert THEIRS not in stands


def test_a_late_section_that_was_deleted_stays_deleted_if_nothing_else_changed(path: Path) -> None:
    """A late section that was deleted stays deleted, even if the file is then as before it."""
    path.write_bytes(FOREIGN)
    file = keeper(path, pause=Waits())
    file.publish(wanted(path, "dev"))
    with path.open("ab", buffering=0) as rival:
        asked = wanted(path, "dev", serial=1)
        file.publish(asked)
        stood = path.read_bytes()
        rival.write(THEIRS)
        assert file.tick()
        file.publish(asked)
        path.write_bytes(stood)
        os.utime(path, (1e9, 1e9))
        file.publish(asked)
        rival.write(b"[later]\nkey = too\n")

    settle(file, path)

    assert {"foreign", "dev", "later"} == set(read_by_sdk(path))


def test_a_late_write_outlives_a_link_that_leads_elsewhere_for_a_while(tmp_path: Path) -> None:
    """While a link leads to another daemon's file, the late write is kept until it leads back."""
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
        (directory / "credentials").write_bytes(FOREIGN)
    other = keeper(there / "credentials", instance="other")
    other.claim()
    link = tmp_path / "link"
    link.symlink_to(here / "credentials")
    file = keeper(link, pause=Waits())
    file.publish(wanted(link, "dev"))
    with link.open("ab", buffering=0) as rival:
        file.publish(wanted(link, "dev", serial=1))
        rival.write(THEIRS)
    link.unlink()
    link.symlink_to(there / "credentials")
    with pytest.raises(PublishError):
        file.publish(wanted(link, "dev", serial=2))
    link.unlink()
    link.symlink_to(here / "credentials")

    file.publish(wanted(link, "dev", serial=2))
    settle(file, link)

    assert {"foreign", "dev", "late"} == set(read_by_sdk(link))
    assert [] == temporaries(here / "credentials")
    other.release()


def test_no_temporary_stays_at_the_old_target_of_a_link(tmp_path: Path) -> None:
    """If the link was moved shortly before the end, no temporary stays at its old target."""
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
    link = tmp_path / "link"
    link.symlink_to(here / "credentials")
    file = keeper(link)
    for serial in (0, 1):
        file.publish(wanted(link, "dev", serial=serial))
    link.unlink()
    link.symlink_to(there / "credentials")

    file.release()

    assert [] == temporaries(here / "credentials")


@pytest.mark.parametrize("published", [True, False])
def test_no_temporary_stays_beside_a_link_that_took_the_place_of_the_file(
    tmp_path: Path, *, published: bool
) -> None:
    """If the file was moved and a link put in its place, no temporary stays beside the link."""
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
    path = here / "credentials"
    file = keeper(path)
    for serial in (0, 1):
        file.publish(wanted(path, "dev", serial=serial))
    path.rename(there / "credentials")
    path.symlink_to(there / "credentials")

    if published:
        file.publish(wanted(path, "dev", serial=2))
    file.release()

    assert [] == temporaries(path)
    assert "dev" in read_by_sdk(there / "credentials")


def test_an_end_where_the_directory_is_gone_holds_nothing_open(tmp_path: Path) -> None:
    """If the directory is gone at the end, descriptors of replaced files are closed anyway."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    path = tmp_path / "run" / "credentials"
    path.parent.mkdir()
    file = keeper(path)
    for serial in (0, 1):
        file.publish(wanted(path, "dev", serial=serial))
    shutil.rmtree(path.parent)

    file.release()

    assert before == len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def test_late_writes_at_the_old_target_of_a_link_do_not_go_to_the_new(tmp_path: Path) -> None:
    """When the link leads elsewhere, late writes at the old target are left to its next keeper."""
    needs_leases(tmp_path)
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
    other = b"[other]\nkey = v\n"
    (there / "credentials").write_bytes(other)
    (here / "credentials").write_bytes(FOREIGN)
    link = tmp_path / "link"
    link.symlink_to(here / "credentials")
    file = keeper(link, pause=Waits())
    file.publish(wanted(link, "dev"))
    unwritten = link.open("ab", buffering=0)
    file.publish(wanted(link, "dev", serial=1))
    with link.open("ab", buffering=0) as rival:
        file.publish(wanted(link, "dev", serial=2))
        rival.write(THEIRS)
    link.unlink()
    link.symlink_to(there / "credentials")

    settle(file, link)
    file.release()
    unwritten.close()

    assert {"other", "dev"} == set(read_by_sdk(there / "credentials"))
    assert 2 == len(temporaries(here / "credentials"))
    publish_and_leave(here / "credentials", wanted(here / "credentials", "dev", serial=3))
    assert "theirs" == read_by_sdk(here / "credentials")["late"]["key"]
    assert [] == temporaries(here / "credentials")


def test_swaps_that_are_undone_push_no_late_write_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without leases replaced files are kept for a while; one with late writes is dropped last."""
    without_leases(monkeypatch)
    path.write_bytes(FOREIGN)
    file = keeper(path, pause=Waits())
    file.publish(wanted(path, "dev"))
    file.tick()
    with path.open("ab", buffering=0) as rival:
        file.publish(wanted(path, "dev", serial=1))
        rival.write(THEIRS)
    exchange = atomic.exchange
    overtakes = iter([True, False] * 6)  # for each exchange, and for the one that undoes it

    def overtaken(directory: int, one: str, other: str) -> bool:
        if next(overtakes, False):
            new = path.with_name("new")
            new.write_bytes(path.read_bytes() + b"# more\n")
            new.replace(path)
        return exchange(directory, one, other)

    monkeypatch.setattr(atomic, "exchange", overtaken)
    file.publish(wanted(path, "dev", serial=2))
    settle(file, path)

    assert "theirs" == read_by_sdk(path)["late"]["key"]
    assert [] == temporaries(path)


@pytest.mark.parametrize("written", [True, False])
def test_a_lost_replaced_file_makes_one_publish_fail(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """A replaced file that the disk has lost makes one publish fail; the next one works."""
    without_leases(monkeypatch)
    harness = Harness(path)
    lost = os.fstat(harness.rival.fileno()).st_ino
    if written:
        harness.rival.write(THEIRS)
    unreadable(monkeypatch, lost)
    asked = wanted(path, "dev", serial=3)
    with harness.rival:  # keeps its inode number from being reused
        with pytest.raises(PublishError) as caught:
            harness.file.publish(asked)
        harness.file.publish(asked)

    assert ("splice", "EIO") == (caught.value.step, caught.value.code)
    assert "ASIAFAKE000000000003" == read_by_sdk(path)["dev"]["aws_access_key_id"]


def test_a_failed_sweep_loses_no_late_write(path: Path) -> None:
    """A failed sweep keeps the note about replaced files, so the late write is found afterwards."""
    path.write_bytes(FOREIGN)
    first = keeper(path, pause=Waits())
    first.publish(wanted(path, "dev"))
    with path.open("ab", buffering=0) as rival:
        first.publish(wanted(path, "dev", serial=1))
        first._tenure.close()  # as the end of a killed process does
        rival.write(THEIRS)
    steps = Steps()

    def refuse() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    steps.before["sweep"] = refuse
    file = keeper(path, hook=steps)
    with pytest.raises(PublishError):
        file.claim()

    file.publish(wanted(path, "dev", serial=2))
    settle(file, path)

    assert "theirs" == read_by_sdk(path)["late"]["key"]


@pytest.mark.parametrize("target", ["/", ".", "..", "//"])
def test_a_link_to_a_directory_is_refused(tmp_path: Path, target: str) -> None:
    """A link to a directory is refused; otherwise a file would be written in that directory."""
    link = tmp_path / "link"
    link.symlink_to(target)

    with pytest.raises(PublishError), resolved(str(link)):
        pytest.fail("it was taken for a file")
