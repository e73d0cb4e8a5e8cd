"""Who may read and write our files at every moment, also where other users add names."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from credfresh.cli.clock import clock
from credfresh.credentials_file import CredentialsFiles, distrusted
from credfresh.errors import PublishError
from credfresh.settings import FileTarget
from disk import (
    FOREIGN,
    Steps,
    Waits,
    keeper,
    key_of,
    needs_root,
    publication,
    publish_and_leave,
    temporaries,
    wanted,
)

NOBODY = 65_534
READER, GROUP = 1234, 4321
ALL = 0xFFFFFFFF


@pytest.fixture(name="sticky")
def _sticky(open_directory: Path) -> Path:
    """Return a directory where everybody may add names, like /tmp."""
    (open_directory / "open").mkdir()
    (open_directory / "open").chmod(0o1777)
    return open_directory / "open"


def can_read(path: Path, uid: int, gid: int = NOBODY) -> bool:
    """Say whether another user can read a file."""
    as_them = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    done = subprocess.run([*as_them, "cat", path], capture_output=True, check=False)
    return done.returncode == 0


@needs_root
@pytest.mark.parametrize("standing", [True, False])
def test_an_onlooker_never_sees_wider_rights_than_asked(
    open_directory: Path,
    standing: bool,  # noqa: FBT001 - a case
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After each system call of a write, no content has wider rights than configured.

    Group rights are only ever those of the configured group.
    """
    path = open_directory / "credentials"
    if standing:
        path.write_bytes(FOREIGN)
        path.chmod(0o600)
    seen: set[tuple[int, int, bool]] = set()

    def looked_at(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **more: Any) -> Any:
            result = call(*arguments, **more)
            for entry in os.scandir(open_directory):
                if entry.name.endswith((".tmp", "credentials")):
                    info = entry.stat(follow_symlinks=False)
                    seen.add((info.st_gid, stat.S_IMODE(info.st_mode), info.st_size > 0))
            return result

        return called

    for name in ("open", "fchown", "fchmod", "write", "fsync", "setxattr", "rename", "link"):
        monkeypatch.setattr(os, name, looked_at(getattr(os, name)))
    before = os.umask(0)
    try:
        file = keeper(path, mode=0o640, group=str(GROUP))
        file.publish(wanted(path, "dev"))
        file.publish(wanted(path, "dev", "production"))
        file.release()
    finally:
        os.umask(before)

    empty = {(0, 0o600, False), (GROUP, 0o600, False), (GROUP, 0o640, False)}
    assert seen == empty | {(GROUP, 0o640, True)} | ({(0, 0o600, True)} if standing else set())


def test_a_replaced_file_has_no_wider_rights_than_the_new_one(tmp_path: Path) -> None:
    """A tightened mode applies also to the replaced file, for as long as it is kept."""
    path = tmp_path / "credentials"
    publish_and_leave(path, wanted(path, "dev"))
    path.chmod(0o644)
    file = keeper(path, mode=0o600)

    file.publish(wanted(path, "dev", serial=1))

    (old,) = (path.with_name(name) for name in temporaries(path))
    assert 0o600 == stat.S_IMODE(old.stat().st_mode)
    file.release()


@needs_root
def test_named_readers_of_the_directory_keep_reading(open_directory: Path) -> None:
    """A default ACL lets its reader read the first file and each that replaces it."""
    path = open_directory / "credentials"
    entries = [(1, 6, ALL), (2, 4, READER), (4, 0, ALL), (0x10, 4, ALL), (0x20, 0, ALL)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(open_directory, "system.posix_acl_default", acl)
    file = keeper(path, mode=0o640)

    for serial in range(3):
        file.publish(wanted(path, "dev", serial=serial))
        assert can_read(path, READER)
        assert not can_read(path, READER + 1)
        assert not can_read(path.with_name("credentials.credfresh"), READER + 1)


@needs_root
def test_each_file_has_its_own_readers(open_directory: Path) -> None:
    """Of two files for two groups, neither group can read the other's."""
    targets = [
        FileTarget(str(open_directory / "build"), 0o640, None, str(GROUP)),
        FileTarget(str(open_directory / "deploy"), 0o640, "nobody", str(GROUP + 1)),
    ]
    files = CredentialsFiles(targets, instance="test", clock=clock)
    asked = {}
    for target in targets:
        name = Path(target.path).name
        one = publication(name, Path(target.path))
        object.__setattr__(one.profile, "target", target)
        asked[name] = one

    files.publish(asked)

    readers = [(GROUP, GROUP), (GROUP + 1, GROUP + 1), (NOBODY, NOBODY)]
    assert [True, False, False] == [can_read(open_directory / "build", *who) for who in readers]
    assert [False, True, True] == [can_read(open_directory / "deploy", *who) for who in readers]
    files.release()


@needs_root
def test_a_link_planted_in_a_sticky_directory_is_refused(sticky: Path) -> None:
    """Following a link of somebody else would write wherever its owner likes."""
    (sticky / "credentials").symlink_to(sticky.parent / "victim")
    os.chown(sticky / "credentials", NOBODY, NOBODY, follow_symlinks=False)

    with pytest.raises(PublishError, match="belongs to uid") as caught:
        keeper(sticky / "credentials").publish(wanted(sticky / "credentials", "dev"))

    assert "foreign_owner" == caught.value.code
    assert not (sticky.parent / "victim").exists()


def test_a_hard_link_planted_in_a_sticky_directory_is_refused(sticky: Path) -> None:
    """Splicing a planted hard link would copy content that only we may read to other readers."""
    secret = sticky.parent / "secret"
    secret.write_bytes(b"# for root alone\n")
    secret.chmod(0o600)
    (sticky / "credentials").hardlink_to(secret)
    file = keeper(sticky / "credentials", mode=0o644)

    with pytest.raises(PublishError) as caught:
        file.publish(wanted(sticky / "credentials", "dev"))

    assert ("read", "planted") == (caught.value.step, caught.value.code)
    assert b"# for root alone\n" == secret.read_bytes()
    assert [] == temporaries(sticky / "credentials")


@needs_root
@pytest.mark.parametrize("name", ["credentials.lock", "credentials.credfresh"])
def test_planted_lock_files_do_no_more_than_delay(sticky: Path, name: str) -> None:
    """A planted lock costs ten seconds at most; a planted claim is an error with a hint."""
    path, waits = sticky / "credentials", Waits()
    (sticky / name).touch(mode=0o666)
    os.chown(sticky / name, NOBODY, NOBODY)
    holder = subprocess.Popen(
        ["setpriv", f"--reuid={NOBODY}", "flock", sticky / name, "sh", "-c", "echo held; read _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        file = keeper(path, pause=waits)
        if name.endswith(".lock"):
            report = file.publish(wanted(path, "dev"))
            assert {"lock_held", "lock_unusable"} & {remark.event for remark in report.remarks}
            assert waits.waited <= 10.1
            assert "ASIAFAKE000000000000" == key_of(path, "dev")
        else:
            with pytest.raises(PublishError) as caught:
                file.publish(wanted(path, "dev"))
            assert "claim" == caught.value.step
            assert caught.value.hint
        assert holder.stdin is not None
        holder.stdin.close()


def test_a_planted_mark_is_not_believed(sticky: Path) -> None:
    """Where others may add names, marks are not believed, and the section is renewed as ours."""
    path = sticky / "credentials"
    planted = publication("dev", path)
    publish_and_leave(path, {"dev": planted})

    file = keeper(path)

    assert {} == file.standing({"dev": planted.profile})
    assert not file.issued("ASIAFAKE000000000000")
    file.publish(wanted(path, "dev", serial=1))
    assert "ASIAFAKE000000000001" == key_of(path, "dev")


def test_a_directory_that_opens_up_while_we_run_stops_the_next_write(tmp_path: Path) -> None:
    """The old file stays, the hint says what to do; writes go on once others cannot write there."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    path, steps = folder / "credentials", Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    folder.chmod(0o777)
    steps.taken.clear()

    assert file.tick()
    with pytest.raises(PublishError) as caught:
        file.publish(wanted(path, "dev", serial=1))

    assert ("resolve", "writable_by_others") == (caught.value.step, caught.value.code)
    assert f"chmod go-w {folder}" in (caught.value.hint or "")
    assert [] == steps.taken
    assert "ASIAFAKE000000000000" == key_of(path, "dev")
    folder.chmod(0o755)
    file.publish(wanted(path, "dev", serial=2))
    assert "ASIAFAKE000000000002" == key_of(path, "dev")


def test_a_path_that_others_could_redirect_is_known_before_the_start(tmp_path: Path) -> None:
    """At load, a path that others could redirect is an error; a missing directory is not."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    paths = [tmp_path / "good", tmp_path / "open" / "bad", tmp_path / "missing" / "file"]

    errors = distrusted(FileTarget(str(path)) for path in paths)

    assert [("writable_by_others", str(paths[1]))] == [(e.code, e.path) for e in errors]
