"""Twins and tokens are read by those who may read the credentials file, and by nobody else.

Under the systemd unit no group is configured: each directory gives its own to what is made in it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from credfresh.cli.clock import clock
from credfresh.credentials_file import CredentialsFiles
from credfresh.endpoint.tokens import Tokens
from credfresh.in_order import InOrder
from credfresh.process_twin import ProcessTwins
from credfresh.publication import PublishReport
from credfresh.settings import FileTarget, Profile, TokenFile
from disk import needs_root
from twins import granted, with_twin

DAEMON, BUILD, REPORTS = 4000, 4711, 4712

pytestmark = needs_root


@contextlib.contextmanager
def as_daemon() -> Iterator[None]:
    """Run as a daemon in the group `BUILD` alone within the context."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(BUILD)
    os.seteuid(DAEMON)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture(name="root")
def _root() -> Iterator[Path]:
    """Return a directory with one for each group; that of `reports` gives its group to files."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        root = Path(name)
        root.chmod(0o755)
        for group, gid, mode in (("build", BUILD, 0o750), ("reports", REPORTS, 0o2750)):
            (root / group).mkdir()
            os.chown(root / group, DAEMON, gid)
            (root / group).chmod(mode)
        yield root


def profile_of(root: Path, group: str, mode: int = 0o640) -> Profile:
    """Return a profile that publishes for a group, and keeps its twin with all the others."""
    one = with_twin(root / "build" / "process", f"for-{group}", mode=mode)
    assert one.twin is not None
    return replace(
        one,
        target=FileTarget(str(root / group / "credentials"), mode),
        twin=replace(one.twin, shared=one.twin.shared._replace(mode=mode | 0o001)),
    )


def publish(*profiles: Profile) -> None:
    """Publish in the files, then in the twins."""
    files = CredentialsFiles([one.target for one in profiles], instance="test", clock=clock)
    shared = [one.twin.shared for one in profiles if one.twin]
    places = InOrder(files, ProcessTwins(shared, instance="test", clock=clock))
    outcomes = places.publish({one.name: granted(one) for one in profiles})
    places.release()
    assert all(isinstance(outcome, PublishReport) for outcome in outcomes.values()), outcomes


def rights(path: Path) -> tuple[int, int]:
    """Return mode and group of a file."""
    info = path.stat()
    return stat.S_IMODE(info.st_mode), info.st_gid


def test_a_twin_is_read_by_nobody_who_may_not_read_the_file(root: Path) -> None:
    """A group that the daemon cannot give leaves the twin to the daemon alone."""
    with as_daemon():
        publish(profile_of(root, "build"), profile_of(root, "reports"))

    assert (0o640, REPORTS) == rights(root / "reports" / "credentials")
    process = root / "build" / "process"
    for suffix in ("json", "config", "env"):
        assert (0o640, BUILD) == rights(process / f"for-build.{suffix}")
        assert (0o600, BUILD) == rights(process / f"for-reports.{suffix}")


def test_a_twin_that_others_could_read_is_closed_to_them(root: Path) -> None:
    """It is written anew although its content is right."""
    one = profile_of(root, "reports")
    with as_daemon():
        publish(one)
        (root / "build" / "process" / "for-reports.json").chmod(0o640)
        publish(one)

    assert (0o600, BUILD) == rights(root / "build" / "process" / "for-reports.json")


def test_a_twin_has_the_group_of_the_file_where_the_daemon_can_give_it(root: Path) -> None:
    """Root can give any: the readers of the file read the twin."""
    os.chown(root / "reports", 0, REPORTS)
    os.chown(root / "build", 0, BUILD)
    publish(profile_of(root, "build"), profile_of(root, "reports"))

    assert (0o640, REPORTS) == rights(root / "build" / "process" / "for-reports.json")


def test_a_file_that_everybody_may_read_is_closed_to_no_group(root: Path) -> None:
    """With mode 0644 it does not matter which group a twin has."""
    with as_daemon():
        publish(profile_of(root, "reports", 0o644))

    assert (0o644, BUILD) == rights(root / "build" / "process" / "for-reports.json")


def test_a_directory_gives_its_files_the_group_that_the_one_above_gives(root: Path) -> None:
    """Readers of what is made in a setgid directory also read what is made below it."""
    (root / "reports").chmod(0o2755)
    os.chown(root / "reports", 0, REPORTS)
    one = with_twin(root / "reports" / "process", mode=0o640)
    publish(one)

    process = root / "reports" / "process"
    assert (0o2750, REPORTS) == rights(process)
    assert {REPORTS} == {path.stat().st_gid for path in process.glob("[!.]*[!h]")}


def bring(root: Path, *groups: str) -> Path:
    """Make one token for the profiles of these groups; return its file."""
    directory = root / "build" / "tokens"
    files = tuple(FileTarget(str(root / group / "credentials"), 0o640) for group in groups)
    path = directory / "token"
    token = TokenFile(FileTarget(str(path), 0o640), frozenset(groups), files)
    tokens = Tokens("test", os.urandom)
    with as_daemon():
        tokens.bring(FileTarget(str(directory), 0o641), [token])
    assert () == tokens.problems
    tokens.release()
    return path


def test_a_token_is_read_by_nobody_who_may_not_read_the_file(root: Path) -> None:
    """It opens the same credentials, also before the file is there."""
    assert (0o600, BUILD) == rights(bring(root, "reports"))
    assert (0o640, BUILD) == rights(bring(root, "build"))


def test_a_token_for_profiles_of_two_files_is_closed_to_the_group_of_either(root: Path) -> None:
    """Neither group may read the other's file."""
    assert (0o600, BUILD) == rights(bring(root, "build", "reports"))
