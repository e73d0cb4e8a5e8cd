"""Which attributes a file should have, whether it has them, and whose content is passed on."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from credfresh.disk import folder
from credfresh.disk.access import Access, for_readers, group_of
from credfresh.disk.paths import resolved
from credfresh.errors import PublishError
from credfresh.settings import FileTarget

ME, MINE = os.geteuid(), os.getegid()
OTHER = ME + 1


def access(mode: int = 0o640, owner: int | None = None, group: int | None = None) -> Access:
    """Return what a target asks for."""
    names = [None if number is None else str(number) for number in (owner, group)]
    return Access(FileTarget("/run/credentials", mode, *names))


def standing(
    mode: int = 0o640, owner: int = ME, group: int = MINE, links: int = 1
) -> os.stat_result:
    """Return what stat(2) says of a file."""
    return os.stat_result((0o100000 | mode, 1, 1, links, owner, group, 0, 0, 0, 0))


@pytest.fixture(name="opened")
def _opened(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o640)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("info", "fits"),
    [
        (standing(), True),
        (standing(0o644), False),
        (standing(owner=OTHER), False),
        (standing(group=MINE + 1), False),
    ],
)
def test_another_mode_owner_or_group_is_drift(info: os.stat_result, *, fits: bool) -> None:
    """A file with another mode, owner or group than was asked for counts as drifted."""
    assert fits == access(0o640, ME, MINE).fits(info)


def test_any_owner_and_group_fit_if_none_is_configured() -> None:
    """Without an owner or a group in the configuration, any owner and group will do."""
    assert access().fits(standing(owner=OTHER, group=MINE + 1))


@pytest.mark.parametrize(
    ("euid", "mode", "kept"), [(0, 0o600, True), (1000, 0o640, True), (1000, 0o600, False)]
)
def test_the_group_of_the_standing_file_is_kept_if_none_is_configured(
    opened: int, euid: int, mode: int, *, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root always keeps it; others may be unable to, and try only if the group has rights."""
    monkeypatch.setattr(os, "geteuid", lambda: euid)

    assert (MINE if kept else None) == access(mode).attributes(opened).group


def test_a_group_is_looked_up_among_the_groups() -> None:
    """A group's name resolves even where no user has that name."""
    users = {user.pw_name for user in pwd.getpwall()}
    name, number = next((g.gr_name, g.gr_gid) for g in grp.getgrall() if g.gr_name not in users)

    assert (
        number == Access(FileTarget("/run/credentials", 0o640, None, name)).attributes(None).group
    )


@pytest.mark.parametrize(
    ("info", "known", "private", "code"),
    [
        (standing(), False, False, None),
        (standing(owner=OTHER), True, True, "foreign_owner"),
        (standing(0o660), False, True, "writable_by_others"),
        (standing(0o660), True, True, None),
        (standing(links=2), False, False, "planted"),
        (standing(links=2), True, False, None),
        (standing(links=2), False, True, None),
    ],
)
def test_a_file_that_others_may_have_written_is_refused(
    info: os.stat_result, *, known: bool, private: bool, code: str | None
) -> None:
    """It passes if we know it, or if only we can have written it; a foreign owner never passes."""
    found = None
    try:
        access().judge(info, known=known, private=private)
    except PublishError as error:
        found = error.code

    assert code == found


@pytest.mark.parametrize(
    ("files", "directory"),
    [(0o600, 0o700), (0o640, 0o750), (0o660, 0o750), (0o644, 0o755), (0o641, 0o751)],
)
def test_a_directory_is_open_to_the_readers_of_its_files_and_to_no_writer(
    files: int, directory: int
) -> None:
    """Anybody who may write there could put another twin in the place of ours."""
    assert directory == folder.mode_for(files)


def test_the_group_of_a_file_counts_only_if_it_can_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that is not there, it is the group with which it would be made."""
    target = FileTarget(str(tmp_path / "credentials"))
    assert group_of(target) == MINE
    Path(target.path).touch()
    assert group_of(target) == MINE
    assert group_of(target._replace(path=str(tmp_path / "gone" / "credentials"))) is None
    assert group_of(target._replace(owner="nobody-here")) is None

    monkeypatch.setattr("credfresh.disk.access.trusted_owner", lambda *_: False)
    assert group_of(target) is None


def test_a_group_that_the_namespace_does_not_have_is_given_to_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All such groups look alike, and the kernel refuses to give them."""
    monkeypatch.setattr("os.getgroups", lambda: [65_534])
    with resolved(str(tmp_path / "token")) as place:
        rights = FileTarget(place.path, 0o640)
        assert for_readers(rights, 65_534, place) == rights._replace(mode=0o600)
        assert for_readers(rights, MINE, place) == rights._replace(group=str(MINE))
        named = rights._replace(group="4711")
        assert for_readers(named, 65_534, place) == named
