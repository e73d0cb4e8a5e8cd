"""Temporaries: their attributes, what they hold, how they come into place."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from credfresh.disk import atomic
from credfresh.disk.atomic import Attributes
from disk import needs_root

OWNER, NAMED, GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY = 0xFFFFFFFF


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Return an ACL as the kernel takes it: tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


READER = acl(
    (OWNER, 6, NOBODY), (NAMED, 4, 1234), (GROUP, 0, NOBODY), (MASK, 4, NOBODY), (OTHERS, 0, NOBODY)
)


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def mode(descriptor: int) -> int:
    """Return the permission bits of an open file."""
    return stat.S_IMODE(os.fstat(descriptor).st_mode)


def test_a_temporary_is_hidden_and_closed_to_all(directory: int, tmp_path: Path) -> None:
    """Whatever the umask, it is dot-named, 0600 and empty, and is known by its name."""
    before = os.umask(0)
    try:
        temporary = atomic.create(directory, "credentials")
    finally:
        os.umask(before)

    assert [temporary.name] == [entry.name for entry in tmp_path.iterdir()]
    assert atomic.is_temporary(temporary.name, "credentials")
    assert 0o600 == mode(temporary.descriptor)
    temporary.drop()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "entry",
    [
        "credentials",
        ".credentials.tmp",
        ".credentials.credfresh-0123456.tmp",
        ".credentials.credfresh-0123456g.tmp",
        ".credentials.credfresh-01234567.tmp.bak",
        ".other.credfresh-01234567.tmp",
        "x.credentials.credfresh-01234567.tmp",
        ".credentialsXcredfresh-01234567.tmp",
    ],
)
def test_no_other_name_is_taken_for_a_temporary(entry: str) -> None:
    """The sweep removes what has such a name: nothing but ours may match."""
    assert not atomic.is_temporary(entry, "credentials")


@pytest.mark.parametrize("asked", [0o600, 0o640, 0o644, 0o440, 0o660])
def test_the_mode_is_exactly_what_was_asked(directory: int, asked: int) -> None:
    """The umask takes nothing away and the birth mode adds nothing."""
    before = os.umask(0o777)
    try:
        temporary = atomic.create(directory, "credentials")
        atomic.set_attributes(temporary.descriptor, Attributes(asked))
    finally:
        os.umask(before)

    assert asked == mode(temporary.descriptor)
    temporary.drop()


@needs_root
def test_root_can_set_any_owner_and_group(directory: int) -> None:
    """Root can give a file to anybody."""
    temporary = atomic.create(directory, "credentials")

    atomic.set_attributes(temporary.descriptor, Attributes(0o640, owner=1234, group=4321))

    info = os.fstat(temporary.descriptor)
    assert (1234, 4321, 0o640) == (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode))
    temporary.drop()


@needs_root
def test_a_new_file_gets_the_group_of_a_setgid_directory(directory: int) -> None:
    """Where no group is asked for, a new file gets the group of its directory."""
    os.fchown(directory, 0, 4321)
    os.fchmod(directory, 0o2700)
    temporary = atomic.create(directory, "credentials")

    atomic.set_attributes(temporary.descriptor, Attributes(0o640))

    assert 4321 == os.fstat(temporary.descriptor).st_gid
    temporary.drop()


def test_named_readers_of_a_default_acl_can_read(directory: int) -> None:
    """They can read as soon as the mode gives rights to the group class: the mask follows it."""
    os.setxattr(directory, "system.posix_acl_default", READER)
    temporary = atomic.create(directory, "credentials")
    born = atomic.acl_of(temporary.descriptor)

    atomic.set_attributes(temporary.descriptor, Attributes(0o640))

    assert born is not None
    assert (MASK, 0, NOBODY) in struct.iter_unpack("<HHI", born[4:])
    assert READER == atomic.acl_of(temporary.descriptor)
    temporary.drop()


def test_an_acl_is_carried_over_within_the_mode(directory: int) -> None:
    """Named readers of the old file read the new one; owner, mask and others are the mode's."""
    wide = acl(
        (OWNER, 7, NOBODY),
        (NAMED, 6, 1234),
        (GROUP, 6, NOBODY),
        (MASK, 6, NOBODY),
        (OTHERS, 4, NOBODY),
    )
    temporary = atomic.create(directory, "credentials")

    atomic.set_attributes(temporary.descriptor, Attributes(0o640, acl=wide))

    found = atomic.acl_of(temporary.descriptor)
    assert 0o640 == mode(temporary.descriptor)
    assert found == acl(
        (OWNER, 6, NOBODY),
        (NAMED, 6, 1234),
        (GROUP, 6, NOBODY),
        (MASK, 4, NOBODY),
        (OTHERS, 0, NOBODY),
    )
    temporary.drop()


def test_mode_0600_shuts_named_readers_out(directory: int) -> None:
    """The group bits are the mask of an ACL, so nobody gets more than was asked for."""
    temporary = atomic.create(directory, "credentials")

    atomic.set_attributes(temporary.descriptor, Attributes(0o600, acl=READER))

    found = atomic.acl_of(temporary.descriptor) or b""
    assert (MASK, 0, NOBODY) in struct.iter_unpack("<HHI", found[4:])
    assert 0o600 == mode(temporary.descriptor)
    temporary.drop()


def test_holds_tells_every_difference(directory: int) -> None:
    """Data that is shorter, longer, or differs in one byte at either end of a chunk is noticed."""
    data = bytes(range(256)) * 600
    temporary = atomic.create(directory, "credentials")
    temporary.write(data)

    assert atomic.holds(temporary.descriptor, data)
    for other in (data[:-1], data + b"x", b"", b"x" + data[1:], data[:-1] + b"x"):
        assert not atomic.holds(temporary.descriptor, other)
    for at in (65_535, 65_536):
        assert not atomic.holds(temporary.descriptor, data[:at] + b"?" + data[at + 1 :])
    temporary.drop()


def test_exchange_swaps_two_names(directory: int, tmp_path: Path) -> None:
    """The two files change places, and neither name is gone at any time."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")

    assert atomic.exchange(directory, "a", "b")

    assert ("b", "a") == ((tmp_path / "a").read_text(), (tmp_path / "b").read_text())


def test_exchange_fails_if_either_name_is_gone(directory: int, tmp_path: Path) -> None:
    """A name that is gone raises FileNotFoundError."""
    (tmp_path / "a").write_text("a")

    with pytest.raises(FileNotFoundError):
        atomic.exchange(directory, "a", "b")


@pytest.mark.parametrize("how", ["renameat2", "link"])
def test_fill_never_overwrites(
    directory: int,
    tmp_path: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that has the name by now stays, with RENAME_NOREPLACE and with link(2)."""
    if how == "link":
        monkeypatch.setattr(atomic, "_renameat2", None)
    (tmp_path / "new").write_text("new")
    atomic.fill(directory, "new", "name")
    assert ["name"] == [entry.name for entry in tmp_path.iterdir()]

    (tmp_path / "second").write_text("second")
    with pytest.raises(FileExistsError):
        atomic.fill(directory, "second", "name")
    assert "new" == (tmp_path / "name").read_text()


def test_exchange_returns_false_if_the_file_system_cannot(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`exchange` returns False, and the caller renames plainly."""

    def refuses(*_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1

    monkeypatch.setattr(atomic, "_renameat2", refuses)

    assert not atomic.exchange(directory, "a", "b")
