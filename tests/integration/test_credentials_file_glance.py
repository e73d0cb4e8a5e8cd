"""A glance spares a file at rest a thorough look, yet misses no change to it or around it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from credfresh.credentials_file import SharedCredentialsFile
from credfresh.credentials_file.glance import GOOD_FOR, SETTLED, Glance
from credfresh.settings import FileTarget
from disk import Waits, needs_fine_times, wanted
from fakes import AheadClock, FakeClock
from host import wait_until


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "credentials"
    path.parent.mkdir()
    path.write_text("[dev]\n")
    return path


def glanced(path: Path, at: AheadClock) -> Glance:
    """Return a glance that has recorded a good state."""
    glance = Glance(at)
    glance.good(glance.look(str(path), str(path.parent)))
    return glance


def _replaced(path: Path) -> None:
    aside = path.with_name("aside")
    shutil.copy2(path, aside)
    aside.rename(path)


def _directory_replaced(path: Path) -> None:
    aside = path.parent.with_name("aside")
    path.parent.rename(aside)
    path.parent.mkdir()
    os.link(aside / path.name, path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda path: path.write_text("[DEV]\n"),
    "touched": lambda path: os.utime(path, (0, 0)),
    "opened up": lambda path: path.chmod(0o666),
    "another file": _replaced,
    "another name": lambda path: os.link(path, path.parent.with_name("hard link")),
    "a neighbour": lambda path: path.with_name("neighbour").touch(),
    "the directory opened up": lambda path: path.parent.chmod(0o777),
    "another directory": _directory_replaced,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_glance_notices_every_kind_of_change(path: Path, change: str) -> None:
    """A glance notices changes of content, times, rights, file, directory and neighbours."""
    needs_fine_times(path.parent.parent)
    glance = glanced(path, AheadClock(2 * SETTLED))
    assert glance.unchanged()
    CHANGES[change](path)
    assert not glance.unchanged()


def test_a_file_that_has_just_changed_is_looked_at_again(path: Path) -> None:
    """Within a tick of the file system's clock a second change would not show in the times."""
    assert not glanced(path, AheadClock(SETTLED / 2)).unchanged()


def test_the_age_of_a_change_counts_from_the_begin_of_the_look(path: Path) -> None:
    """The age of the last change counts from when the look began: later changes may not show."""
    at = AheadClock(SETTLED / 2)
    glance = Glance(at)
    look = glance.look(str(path), str(path.parent))
    at.ahead += 2 * SETTLED
    glance.good(look)
    assert not glance.unchanged()


def test_a_glance_is_good_for_a_minute(path: Path) -> None:
    """After a minute a thorough look is due, which includes the directories further up."""
    at = AheadClock(2 * SETTLED)
    glance = glanced(path, at)
    at.ahead += GOOD_FOR
    assert not glance.unchanged()


def test_a_glance_before_any_look_never_says_unchanged() -> None:
    """A glance that has recorded nothing never says `unchanged`."""
    assert not Glance(FakeClock()).unchanged()


def at_rest(path: Path) -> SharedCredentialsFile:
    """Return a keeper whose file has not changed for a while."""
    at = AheadClock()
    file = SharedCredentialsFile(FileTarget(str(path), 0o600), instance="test", clock=at)
    file.publish(wanted(path, "dev"))
    at.ahead = 2 * SETTLED
    for _ in range(3):  # the replaced file goes; that change is looked at
        assert not file.tick()
    probe = path.parent.with_name("probe")

    def moved_on() -> bool:
        probe.touch()
        return probe.stat().st_ctime_ns > path.stat().st_ctime_ns

    wait_until(moved_on, "the file system's clock stands still")
    return file


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes().replace(b"dev", b"DEV")),
        lambda path: path.unlink(),
        lambda path: path.chmod(0o644),
        lambda path: path.with_name("credentials.credfresh").unlink(),
        lambda path: path.parent.chmod(0o777),
        lambda path: path.parent.rename(path.parent.with_name("elsewhere")),
    ],
    ids=["altered", "gone", "too open", "claim gone", "others may write beside it", "moved away"],
)
def test_drift_from_rest_is_seen_by_the_next_look(
    path: Path, harm: Callable[[Path], object]
) -> None:
    """The first tick after a change notices it, after any time without changes."""
    file = at_rest(path)
    harm(path)
    assert file.tick()


def test_a_tick_opens_nothing_while_the_file_is_at_rest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the file is at rest, a tick opens nothing: it is what a daemon does all day."""
    file = at_rest(path)
    opened: list[object] = []
    monkeypatch.setattr(os, "open", lambda *args, **_: opened.append(args))
    assert not file.tick()
    assert [] == opened


def test_a_newly_configured_mode_is_seen_at_once(path: Path) -> None:
    """The file has not changed, but the mode that is wanted has."""
    file = at_rest(path)
    file.serve(FileTarget(str(path), 0o640))
    assert file.tick()


def test_a_late_write_is_noticed_although_the_new_file_is_at_rest(path: Path) -> None:
    """A late write into a replaced file is noticed, though a glance at the new file misses it."""
    later = AheadClock()
    file = SharedCredentialsFile(FileTarget(str(path)), instance="test", clock=later, pause=Waits())
    file.publish(wanted(path, "stage"))
    with path.open("ab", buffering=0) as rival:
        file.publish(wanted(path, "stage", serial=1))
        later.ahead = 2 * SETTLED
        assert not file.tick()
        rival.write(b"[late]\nkey = theirs\n")

        assert file.tick()
    file.release()
