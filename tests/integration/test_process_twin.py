"""The refreshable twins on a real disk: published, looked after, removed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from credfresh.cli.clock import clock
from credfresh.credentials_file import CredentialsFiles
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.in_order import InOrder
from credfresh.process_twin import ProcessTwins
from credfresh.publication import Publication, PublishReport, has_landed
from disk import Steps, for_children, needs_fine_times, needs_root, open_files
from twins import granted, keeper, key_of, publish_and_leave, report, shared, wanted, with_twin


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "process"


def names(directory: Path) -> set[str]:
    """Return the names in a directory, except for the claim's file."""
    return {entry.name for entry in directory.iterdir()} - {"config.credfresh"}


def inodes(directory: Path) -> dict[str, int]:
    """Return the inode number of each name."""
    return {entry.name: entry.stat().st_ino for entry in directory.iterdir()}


def refuse(number: int) -> Callable[[], None]:
    """Return a hook that raises OSError with this errno."""

    def happens() -> None:
        raise OSError(number, os.strerror(number))

    return happens


def test_a_publish_makes_the_directory_and_all_files_of_a_twin(directory: Path) -> None:
    """A single profile needs five files, and its command prints the credentials."""
    done = report(keeper(directory), wanted(directory, "production"))

    assert done.written
    files = {"production.json", "production.config", "production.env", "config", "empty"}
    assert files == names(directory)
    line = (directory / "production.config").read_text().splitlines()[2]
    command = line.removeprefix("credential_process = ").split()
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert "ASIAFAKE000000000000" == json.loads(printed)["AccessKeyId"]
    assert b"" == (directory / "empty").read_bytes()


def test_mode_and_directory_let_the_readers_in_and_nobody_else(directory: Path) -> None:
    """A twin has the mode of its credentials file; its directory has x wherever that has r."""
    before = os.umask(0o077)
    try:
        report(keeper(directory, mode=0o640), wanted(directory, "production", mode=0o640))
    finally:
        os.umask(before)

    assert 0o750 == stat.S_IMODE(directory.stat().st_mode)
    assert {0o640} == {
        stat.S_IMODE((directory / f"production.{suffix}").stat().st_mode)
        for suffix in ("json", "config", "env")
    }
    assert 0o640 == stat.S_IMODE((directory / "config").stat().st_mode)


def test_a_directory_that_could_not_be_opened_to_its_readers_is_made_anew(directory: Path) -> None:
    """Once the missing group has been created, the directory is opened to it."""
    twins = ProcessTwins([shared(directory, 0o640, "no-such-group")], instance="test", clock=clock)
    one = with_twin(directory, mode=0o640)

    def published(group: str) -> PublishReport | PublishError:
        assert one.twin is not None
        twin = replace(one.twin, shared=shared(directory, 0o640, group))
        return twins.publish({"production": granted(replace(one, twin=twin))})[str(directory)]

    refused = published("no-such-group")
    assert isinstance(refused, PublishError)
    assert "unknown_group" == refused.code
    assert isinstance(published(str(os.getegid())), PublishReport)

    assert 0o750 == stat.S_IMODE(directory.stat().st_mode)
    twins.release()


def test_a_twin_has_its_mode_before_it_has_content(directory: Path) -> None:
    """When the content is written, the temporary has its final mode and is still empty."""
    steps = Steps()
    seen: list[int] = []
    twins = keeper(directory, mode=0o640, hook=steps)
    report(twins, wanted(directory, "production", mode=0o640))

    def look() -> None:
        [temporary] = directory.glob(".*.tmp")
        seen.append(temporary.stat().st_size)
        seen.append(stat.S_IMODE(temporary.stat().st_mode))

    steps.before = {"attributes": lambda: None, "write": look}
    report(twins, wanted(directory, "production", serial=1, mode=0o640))

    assert [0, 0o640] == seen


@needs_root
def test_a_group_of_its_own_reads_its_twin_and_passes_through_the_directory() -> None:
    """Readers of another credentials file can read their twin, but not list the directory."""
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        Path(root).chmod(0o755)
        _a_group_of_its_own(Path(root, "process"))


def _a_group_of_its_own(directory: Path) -> None:
    target = shared(directory, 0o641)._replace(group="4711")
    one = with_twin(directory, "reports", mode=0o640)
    assert one.twin is not None
    one = replace(
        one,
        target=one.target._replace(group="4712"),
        twin=replace(one.twin, shared=target),
    )
    twins = ProcessTwins([target], instance="test", clock=clock)
    twins.publish({"reports": granted(one)})
    twins.release()

    assert (0o751, 4711) == (
        stat.S_IMODE(directory.stat().st_mode),
        directory.stat().st_gid,
    )
    assert 4712 == (directory / "reports.json").stat().st_gid
    assert (0o640, 4711) == (
        stat.S_IMODE((directory / "config").stat().st_mode),
        (directory / "config").stat().st_gid,
    )
    assert 0o644 == stat.S_IMODE((directory / "empty").stat().st_mode)

    def as_reader(*command: str) -> int:
        return subprocess.run(
            ["setpriv", "--reuid=4999", "--regid=4712", "--clear-groups", *command],
            capture_output=True,
            check=False,
        ).returncode

    assert 0 == as_reader("cat", str(directory / "reports.json"), str(directory / "empty"))
    assert 0 != as_reader("ls", str(directory))


def test_a_renewal_writes_one_file(directory: Path) -> None:
    """When one of a hundred profiles is renewed, all other files stay the same."""
    twins = keeper(directory)
    asked = wanted(directory, *(f"p{n}" for n in range(100)))
    report(twins, asked)
    before = inodes(directory)

    done = report(twins, asked | wanted(directory, "p7", serial=8))

    after = inodes(directory)
    assert {"p7.json"} == {name for name in after if before.get(name) != after[name]}
    assert done.size == (directory / "p7.json").stat().st_size


def test_credentials_are_durable_before_they_are_in_place(directory: Path) -> None:
    """The file is synced before the swap, so a power cut after it leaves whole credentials."""
    steps = Steps()
    twins = keeper(directory, hook=steps)
    report(twins, wanted(directory, "production"))
    steps.taken.clear()
    report(twins, wanted(directory, "production", serial=1))

    taken = [step for step in steps.taken if step in {"write", "sync", "swap", "sync_directory"}]
    assert ["write", "sync", "swap", "sync_directory"] == taken


def test_equal_bytes_are_not_written(directory: Path) -> None:
    """Neither the same daemon nor the next one, which renders all anew, writes equal bytes."""
    asked = wanted(directory, "production", "dev")
    twins = keeper(directory)
    report(twins, asked)
    before = inodes(directory)

    assert not report(twins, dict(asked)).written
    twins.release()
    again = keeper(directory)
    assert not report(again, asked).written

    assert before == inodes(directory)


def test_a_changed_mode_is_applied(directory: Path) -> None:
    """A reload that changes the mode changes that of an existing twin."""
    twins = keeper(directory)
    asked = wanted(directory, "production")
    report(twins, asked)
    [one] = asked.values()
    wider = replace(one, profile=replace(one.profile, target=one.profile.target._replace(mode=416)))

    report(twins, {"production": wider})

    assert 0o640 == stat.S_IMODE((directory / "production.json").stat().st_mode)


def test_orphans_go_at_a_reload_and_at_the_next_start(directory: Path) -> None:
    """A profile removed from the configuration leaves no file, after a reload or a restart."""
    twins = keeper(directory)
    report(twins, wanted(directory, "production", "dev", "team/x"))
    done = report(twins, wanted(directory, "production", "team/x"))
    twins.release()

    assert [("path", str(directory)), ("twin", "dev")] == list(done.remarks[0].fields)
    assert not [name for name in names(directory) if name.startswith("dev")]
    assert b"dev" not in (directory / "config").read_bytes()
    publish_and_leave(directory, wanted(directory, "production"))
    files = {"production.json", "production.config", "production.env", "config", "empty"}
    assert files == names(directory)


def test_an_orphan_whose_config_somebody_removed_goes_at_a_reload(directory: Path) -> None:
    """The credentials of a profile that is gone do not stay for want of their proof."""
    twins = keeper(directory)
    report(twins, wanted(directory, "production", "dev"))
    (directory / "dev.config").unlink()
    done = report(twins, wanted(directory, "production"))

    assert [("path", str(directory)), ("twin", "dev")] == list(done.remarks[0].fields)
    assert not [name for name in names(directory) if name.startswith("dev")]


def test_an_orphan_whose_config_somebody_removed_goes_at_the_next_start(directory: Path) -> None:
    """The mark in its env says who wrote it, though not that credentials of another form are."""
    publish_and_leave(directory, wanted(directory, "production", "dev", "theirs"))
    for name in ("dev.config", "theirs.config"):
        (directory / name).unlink()
    (directory / "theirs.json").write_text("by hand")

    publish_and_leave(directory, wanted(directory, "production"))

    files = {"production.json", "production.config", "production.env", "config", "empty"}
    assert files | {"theirs.json"} == names(directory)


def test_foreign_files_stay(directory: Path) -> None:
    """Files of users and of other instances are neither removed nor overwritten."""
    publish_and_leave(directory, wanted(directory, "theirs"), instance="another")
    for name in ("notes.txt", "dev.json", "x.config", "y.json"):
        (directory / name).write_text("by hand")
    before = {name: (directory / name).read_bytes() for name in names(directory)}
    twins = keeper(directory)

    outcomes = twins.publish(wanted(directory, "dev", "theirs", "x", "production"))

    errors = {path: o for path, o in outcomes.items() if isinstance(o, PublishError)}
    assert {"config", "dev.json", "theirs.json", "x.json"} == {Path(path).name for path in errors}
    assert {"foreign"} == {error.code for error in errors.values()}
    assert "ASIAFAKE000000000000" == key_of(directory)
    assert before == {name: (directory / name).read_bytes() for name in before}


def test_a_twin_is_reported_once_what_stood_in_its_way_is_gone(directory: Path) -> None:
    """Once a foreign file is gone the twin is written, and its own path is reported once more."""
    directory.mkdir()
    (directory / "dev.json").write_text("by hand")
    twins = keeper(directory)
    asked = wanted(directory, "dev")
    assert str(directory / "dev.json") in twins.publish(asked)
    (directory / "dev.json").unlink()

    assert {str(directory), str(directory / "dev.json")} == set(twins.publish(asked))
    assert {str(directory)} == set(twins.publish(asked))


def test_withdrawn_credentials_go_and_the_rest_stays(directory: Path) -> None:
    """Only the JSON is removed, so the command fails, until there are new credentials."""
    twins = keeper(directory)
    asked = wanted(directory, "production")
    report(twins, asked)
    profile = asked["production"].profile

    report(twins, {"production": Publication(profile, withdraw=True)})
    left = names(directory)
    report(twins, {"production": granted(profile, 2)})

    assert {"production.config", "production.env", "config", "empty"} == left
    assert "ASIAFAKE000000000002" == key_of(directory)


def test_without_credentials_in_hand_a_standing_twin_is_left(directory: Path) -> None:
    """If a start has no credentials in hand, readers keep what stands."""
    asked = wanted(directory, "production")
    publish_and_leave(directory, asked)

    publish_and_leave(directory, {"production": Publication(asked["production"].profile)})

    assert "ASIAFAKE000000000000" == key_of(directory)


def test_a_profile_without_credentials_is_listed_already(directory: Path) -> None:
    """A process that starts early gets an error that may pass, not an unknown profile."""
    report(keeper(directory), {"production": Publication(with_twin(directory))})

    files = {"production.config", "production.env", "config", "empty"}
    assert files == names(directory)
    assert b"[profile production]" in (directory / "config").read_bytes()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_withdrawn_twins_are_removed_even_on_a_full_disk(directory: Path, code: int) -> None:
    """Withdrawn twins are removed before anything is written."""
    steps = Steps()
    twins = keeper(directory, hook=steps)
    asked = wanted(directory, "a", "production")
    report(twins, asked)
    steps.before["create"] = refuse(code)

    changed = wanted(directory, "a", serial=1)
    withdrawn = Publication(asked["production"].profile, withdraw=True)
    outcomes = twins.publish(changed | {"production": withdrawn})

    [(path, error)] = outcomes.items()
    assert str(directory) == path
    assert isinstance(error, PublishError)
    assert errno.errorcode[code] == error.code
    assert not (directory / "production.json").exists()
    assert "ASIAFAKE000000000000" == key_of(directory, "a")
    assert report(twins, changed | {"production": withdrawn}).written
    assert "ASIAFAKE000000000001" == key_of(directory, "a")


def test_one_twin_that_cannot_be_written_stops_no_other(directory: Path) -> None:
    """A directory in the place of a twin's file affects that profile alone."""
    directory.mkdir()
    (directory / "dev.json").mkdir()
    asked = wanted(directory, "dev", "production")

    outcomes = keeper(directory).publish(asked)

    assert "ASIAFAKE000000000000" == key_of(directory)
    assert not landed_there(asked["dev"], outcomes)
    assert landed_there(asked["production"], outcomes)


def landed_there(publication: Publication, outcomes: object) -> bool:
    """Say whether a publication has landed, if its section is fine."""
    assert isinstance(outcomes, dict)
    return has_landed(
        publication, {publication.profile.target.path: next(iter(outcomes.values()))} | outcomes
    )


@pytest.mark.parametrize("what", ["altered", "removed", "mode", "config", "config removed"])
def test_any_change_of_a_twin_is_noticed_and_repaired(directory: Path, what: str) -> None:
    """A tick notices whatever happens to a file of ours, and the next publish repairs it."""
    needs_fine_times(directory.parent)
    twins = keeper(directory)
    asked = wanted(directory, "production", "dev")
    report(twins, asked)
    assert not twins.tick()
    path = directory / "dev.json"
    match what:
        case "altered":
            path.write_text(path.read_text().replace("ASIA", "AKIA"))
        case "removed":
            path.unlink()
        case "mode":
            path.chmod(0o644)
        case "config":
            (directory / "config").write_text("# credfresh v=1 instance=test\n")
        case _:
            (directory / "config").unlink()
    assert twins.tick()

    report(twins, asked)

    assert not twins.tick()
    assert "ASIAFAKE000000000000" == key_of(directory, "dev")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert b"[profile dev]" in (directory / "config").read_bytes()


def test_a_file_that_somebody_filled_costs_no_memory(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of a terabyte is read only up to the length that ours could have, then replaced."""
    twins = keeper(directory)
    asked = wanted(directory, "dev")
    report(twins, asked)
    os.truncate(directory / "dev.json", 1 << 40)
    assert twins.tick()
    read, most = os.read, 0

    def counted(descriptor: int, count: int) -> bytes:
        nonlocal most
        most = max(most, count)
        return read(descriptor, min(count, 1 << 20))

    monkeypatch.setattr(os, "read", counted)
    report(twins, asked)

    assert 0 < most <= 1 << 27
    assert "ASIAFAKE000000000000" == key_of(directory, "dev")


def test_a_publish_hides_nothing_from_the_look_that_follows(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twin lost just before another one is renewed is found by the next tick."""
    needs_fine_times(directory.parent)
    monkeypatch.setattr("credfresh.process_twin.directory.LOOKED_AT", 1)
    twins = keeper(directory)
    asked = wanted(directory, *(f"p{n}" for n in range(9)))
    report(twins, asked)
    while twins.tick():
        pass
    (directory / "p8.json").unlink()
    report(twins, asked | wanted(directory, "p0", serial=1))

    assert twins.tick()


def test_in_a_large_directory_a_lost_file_is_noticed_at_once(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost file is noticed by the next tick, an altered one within some: each compares a few."""
    needs_fine_times(directory.parent)
    monkeypatch.setattr("credfresh.process_twin.directory.LOOKED_AT", 10)
    twins = keeper(directory)
    asked = wanted(directory, *(f"p{n}" for n in range(25)))
    report(twins, asked)
    assert [False] * 4 == [twins.tick() for _ in range(4)]
    (directory / "p24.json").unlink()
    assert twins.tick()
    report(twins, asked)
    (directory / "p24.json").write_text("{}")

    assert [False, False, True] == [twins.tick() for _ in range(3)]


def test_a_deleted_directory_is_made_again(directory: Path) -> None:
    """If the whole directory is deleted, the next publish makes it again."""
    twins = keeper(directory)
    asked = wanted(directory, "production")
    report(twins, asked)
    shutil.rmtree(directory)
    assert twins.tick()

    report(twins, asked)

    assert "ASIAFAKE000000000000" == key_of(directory)


def test_a_second_daemon_on_the_directory_is_refused(directory: Path) -> None:
    """Two daemons would remove each other's twins."""
    first = keeper(directory)
    first.claim()
    second = keeper(directory, instance="second")

    with pytest.raises(AlreadyRunningError) as caught:
        second.claim()
    assert f"{directory}: another credfresh keeps this directory" in caught.value.message
    assert f"(pid={os.getpid()} instance=test)" in caught.value.message
    assert "another process_dir" in str(caught.value.hint)
    [outcome] = second.publish(wanted(directory, "production")).values()
    assert isinstance(outcome, PublishError)
    assert "claimed" == outcome.code
    first.release()
    second.claim()
    second.release()


def test_a_second_daemon_is_refused_before_anything_is_published(directory: Path) -> None:
    """A configured directory is claimed at the start."""
    first, second = (
        ProcessTwins([shared(directory)], instance=name, clock=clock) for name in ("one", "two")
    )
    first.claim()
    with pytest.raises(AlreadyRunningError):
        second.claim()
    first.release()


def test_a_directory_called_as_a_temporary_is_let_be(directory: Path) -> None:
    """A directory is not one of our temporaries, and does not disturb us."""
    directory.mkdir(mode=0o700)
    (directory / ".production.json.credfresh-0123abcd.tmp").mkdir()

    assert report(keeper(directory), wanted(directory, "production")).written


def test_a_removal_that_could_not_be_made_durable_is_made_so_the_next_time(
    directory: Path,
) -> None:
    """A removal whose sync failed is synced by the next publish, or a power cut could undo it."""
    steps = Steps()
    twins = keeper(directory, hook=steps)
    report(twins, wanted(directory, "production", "dev"))
    asked = wanted(directory, "production")
    steps.before["sync_directory"] = refuse(errno.EIO)
    [error] = twins.publish(asked).values()
    assert isinstance(error, PublishError)
    steps.taken.clear()
    report(twins, asked)
    assert "sync_directory" in steps.taken

    steps.taken.clear()
    report(twins, asked)
    assert "sync_directory" not in steps.taken


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_directory_that_others_may_write_is_refused(directory: Path, mode: int) -> None:
    """Others could put keys of their own before our readers in a directory that they may write."""
    directory.mkdir()
    directory.chmod(mode)

    [error] = keeper(directory).publish(wanted(directory, "production")).values()

    assert isinstance(error, PublishError)
    assert "writable_by_others" == error.code
    assert set() == names(directory)


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_a_pipe_in_the_place_of_a_twin_is_told_and_blocks_nothing(
    directory: Path, plant: Callable[[Path], None]
) -> None:
    """A pipe without a writer must not block the publish of all other twins."""
    directory.mkdir()
    plant(directory / "production.json")

    outcomes = keeper(directory).publish(wanted(directory, "production", "dev"))

    error = outcomes[str(directory / "production.json")]
    assert isinstance(error, PublishError)
    assert "not_a_file" == error.code
    assert "ASIAFAKE000000000000" == key_of(directory, "dev")


def test_a_twin_that_was_moved_and_linked_is_drift(directory: Path) -> None:
    """Through a link the twin would look right, but its file may be where others can write."""
    twins = keeper(directory)
    report(twins, wanted(directory, "production"))
    elsewhere = directory.parent / "elsewhere"
    (directory / "production.json").rename(elsewhere)
    (directory / "production.json").symlink_to(elsewhere)

    assert twins.tick()


@pytest.mark.parametrize("step", ["attributes", "write", "sync", "verify", "swap"])
def test_a_failure_leaves_neither_a_temporary_nor_a_descriptor(directory: Path, step: str) -> None:
    """A daemon on a full disk may retry for weeks, so no attempt may leave a file or descriptor."""
    steps = Steps()
    twins = keeper(directory, hook=steps)
    report(twins, wanted(directory, "production"))
    before = open_files()
    for serial in range(3):
        steps.before[step] = refuse(errno.ENOSPC)
        [error] = twins.publish(wanted(directory, "production", serial=serial + 1)).values()
        assert isinstance(error, PublishError)

    assert before == open_files()
    assert not [name for name in names(directory) if name.endswith(".tmp")]


def test_a_link_in_the_place_of_a_twin_is_not_followed(directory: Path) -> None:
    """The target of the link stays as it is, and the twin is refused."""
    directory.mkdir()
    elsewhere = directory.parent / "elsewhere"
    elsewhere.write_text("theirs")
    (directory / "production.json").symlink_to(elsewhere)

    outcomes = keeper(directory).publish(wanted(directory, "production"))

    assert isinstance(outcomes[str(directory / "production.json")], PublishError)
    assert "theirs" == elsewhere.read_text()


def test_temporaries_of_a_killed_daemon_are_swept(directory: Path) -> None:
    """Our temporaries are removed, also those of removed profiles; other files stay."""
    directory.mkdir()
    for name in (".production.json.credfresh-0123abcd.tmp", ".old.env.credfresh-0123abcd.tmp"):
        (directory / name).write_text("half")
    (directory / ".mine.tmp").write_text("theirs")

    report(keeper(directory), wanted(directory, "production"))

    assert [".mine.tmp"] == [e.name for e in directory.iterdir() if e.name.endswith(".tmp")]


def test_another_directory_takes_over_at_a_reload(directory: Path) -> None:
    """The old directory is cleared of our files and its claim released; the new one is claimed."""
    twins = ProcessTwins([shared(directory)], instance="test", clock=clock)
    twins.claim()
    twins.publish(wanted(directory, "production"))
    (directory / "notes.txt").write_text("by hand")
    new = directory.with_name("new")

    twins.publish(wanted(new, "production"))

    assert {"notes.txt"} == names(directory)
    assert "ASIAFAKE000000000000" == key_of(new)
    keeper(directory, instance="second").claim()
    with pytest.raises(AlreadyRunningError):
        keeper(new, instance="second").claim()
    twins.release()


def test_a_directory_that_is_gone_is_let_go_when_nothing_is_wanted_of_it(directory: Path) -> None:
    """If the old directory was removed and another one is configured, the publish succeeds."""
    old = directory / "deep" / "process"
    old.parent.mkdir(parents=True)
    twins = ProcessTwins([shared(old)], instance="test", clock=clock)
    twins.publish(wanted(old, "production"))
    shutil.rmtree(old.parent)
    new = directory.with_name("new")

    outcomes = twins.publish(wanted(new, "production"))
    assert all(isinstance(outcome, PublishReport) for outcome in outcomes.values())
    assert {str(new)} == set(twins.publish(wanted(new, "production")))
    twins.release()


def test_twins_stay_where_they_are_until_the_new_directory_can_be_written(directory: Path) -> None:
    """If the new directory's parent is missing, readers keep their twins in the old one."""
    twins = ProcessTwins([shared(directory)], instance="test", clock=clock)
    twins.claim()
    twins.publish(wanted(directory, "production"))
    new = directory.with_name("missing") / "process"

    outcomes = twins.publish(wanted(new, "production"))
    assert isinstance(outcomes[str(new)], PublishError)
    assert "ASIAFAKE000000000000" == key_of(directory)
    new.parent.mkdir()
    twins.publish(wanted(new, "production", serial=1))
    assert "ASIAFAKE000000000001" == key_of(new)
    assert set() == names(directory)
    twins.release()


def test_withdrawn_twins_leave_the_old_directory_though_the_new_one_cannot_be_written(
    directory: Path,
) -> None:
    """Keys that are withdrawn by hand are removed wherever they stand."""
    twins = ProcessTwins([shared(directory)], instance="test", clock=clock)
    twins.claim()
    twins.publish(wanted(directory, "production"))
    new = directory.with_name("missing") / "process"

    twins.publish({"production": Publication(with_twin(new), withdraw=True)})
    assert not (directory / "production.json").exists()
    twins.release()


def test_a_withdrawal_takes_no_other_twin_along(directory: Path) -> None:
    """Other twins stay in the old directory until they stand in the new one."""
    twins = ProcessTwins([shared(directory)], instance="test", clock=clock)
    twins.publish(wanted(directory, "production", "dev"))
    new = directory.with_name("missing") / "process"
    withdrawn = {"dev": Publication(with_twin(new, "dev"), withdraw=True)}
    for serial in (1, 2):
        twins.publish(wanted(new, "production", serial=serial) | withdrawn)

        assert "ASIAFAKE000000000000" == key_of(directory)
        assert not (directory / "dev.json").exists()
        assert not twins.tick()

    new.parent.mkdir()
    twins.publish(wanted(new, "production", serial=3) | withdrawn)
    assert "ASIAFAKE000000000003" == key_of(new)
    assert set() == names(directory)
    twins.release()


def test_in_a_move_readers_always_find_a_twin(directory: Path) -> None:
    """The new directory is published before the old one is cleared."""
    twins = ProcessTwins([shared(directory)], instance="test", clock=clock)
    twins.claim()
    twins.publish(wanted(directory, "production"))
    new = directory.with_name("new")

    assert [str(new), str(directory)] == list(twins.publish(wanted(new, "production")))
    twins.release()


def both(directory: Path) -> InOrder:
    """Return credentials file and twins as one destination."""
    target = with_twin(directory).target
    return InOrder(
        CredentialsFiles([target], instance="test", clock=clock),
        ProcessTwins([shared(directory)], instance="test", clock=clock),
    )


def test_after_a_kill_between_section_and_twin_the_next_start_writes_the_twin(
    directory: Path,
) -> None:
    """The section is believed at the start, and it is never older than the twin."""
    one = with_twin(directory)
    life = both(directory)
    life.publish({"production": granted(one, 1)})
    life.release()
    section_only = CredentialsFiles([one.target], instance="test", clock=clock)
    section_only.publish({"production": granted(one, 2)})
    section_only.release()
    assert "ASIAFAKE000000000001" == key_of(directory)

    life = both(directory)
    [grant] = life.standing({"production": one}).values()
    life.publish({"production": Publication(one, grant)})
    life.release()

    assert "ASIAFAKE000000000002" == key_of(directory)


def test_a_twin_that_is_ahead_of_the_section_is_not_taken_back(directory: Path) -> None:
    """If the section was not written any more, a restart must not publish its older keys."""
    needs_fine_times(directory.parent)
    one = with_twin(directory)
    life = both(directory)
    life.publish({"production": granted(one, 1, lifetime=900)})
    newer = {"production": granted(one, 2)}
    life.release()
    publish_and_leave(directory, newer)

    life = both(directory)
    [grant] = life.standing({"production": one}).values()
    older = {"production": Publication(one, grant)}
    life.publish(older)
    assert "ASIAFAKE000000000002" == key_of(directory)
    life.publish({"production": granted(one, 3, lifetime=1800)})
    life.release()

    assert "ASIAFAKE000000000003" == key_of(directory)


def test_a_twin_altered_by_hand_does_not_pass_for_a_newer_one(directory: Path) -> None:
    """A newer twin counts only at the start; later, any difference is put back."""
    needs_fine_times(directory.parent)
    twins = keeper(directory)
    asked = wanted(directory, "production")
    report(twins, asked)
    path = directory / "production.json"
    path.write_text(path.read_text().replace('"Expiration": "2', '"Expiration": "9'))
    assert twins.tick()

    report(twins, asked)

    assert '"Expiration": "2' in path.read_text()


def test_an_unreadable_twin_is_written_anew_at_a_start(directory: Path) -> None:
    """A twin that cannot be read does not count as newer."""
    asked = wanted(directory, "production")
    publish_and_leave(directory, asked)
    (directory / "production.json").write_text("{")

    report(keeper(directory), asked)

    assert "ASIAFAKE000000000000" == key_of(directory)


def test_a_reader_never_finds_a_torn_twin(directory: Path) -> None:
    """While a twin is renewed hundreds of times, every read finds whole JSON, old or new."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        place = Path(root, "process")
        twins = keeper(place)
        one = with_twin(place)
        report(twins, {"production": granted(one)})
        ending = threading.Event()
        seen: list[str] = []

        def read() -> None:
            while not ending.is_set():
                seen.append(key_of(place))

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            serial = 0
            # On a busy machine the reader is slow; it ends by itself if it reads torn JSON.
            while serial < 400 or (len(set(seen)) <= 10 and not reading.done()):
                serial += 1
                report(twins, {"production": granted(one, serial)})
            ending.set()
            reading.result()
        twins.release()

    assert seen == sorted(seen)
    assert not directory.exists()


@pytest.mark.parametrize("step", ["create", "attributes", "write", "sync", "verify", "swap"])
def test_after_a_kill_at_any_step_the_old_twin_stands(directory: Path, step: str) -> None:
    """The next start publishes the new twin and leaves no temporary."""
    publish_and_leave(directory, wanted(directory, "production"))
    script = (
        "import os, sys; from pathlib import Path; from twins import *\n"
        "directory = Path(sys.argv[1])\n"
        "def die(step):\n"
        "    if step == sys.argv[2]: os.kill(os.getpid(), 9)\n"
        "keeper(directory, hook=die).publish(wanted(directory, 'production', serial=1))\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", script, str(directory), step],
        env=for_children(),
        check=False,
    )

    assert -signal.SIGKILL == died.returncode
    assert "ASIAFAKE000000000000" == key_of(directory)
    publish_and_leave(directory, wanted(directory, "production", serial=1))
    assert "ASIAFAKE000000000001" == key_of(directory)
    assert [] == list(directory.glob(".*"))
