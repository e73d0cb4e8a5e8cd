"""Errors of the system: the old file stays, nothing is left over, the hint says what to do."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from credfresh.errors import PublishError
from disk import (
    FOREIGN,
    Steps,
    Waits,
    in_mount_namespace,
    keeper,
    key_of,
    locked,
    needs_root,
    open_files,
    temporaries,
    wanted,
)

BEFORE_THE_SWAP = "lock read splice attributes create write sync verify swap".split()  # noqa: SIM905
AFTER_THE_SWAP = ["compare", "stamp", "sync_directory"]

PUBLISH = """
import json, pathlib, sys
from credfresh.errors import PublishError
from disk import keeper, wanted
path = pathlib.Path(sys.argv[1])
names = ["dev", *(f"p{n}" for n in range(int(sys.argv[2])))]
try:
    report = keeper(path).publish(wanted(path, *names))
except PublishError as error:
    print(json.dumps([error.step, error.code, error.hint]))
else:
    print(json.dumps(["written", "", " ".join(remark.event for remark in report.remarks)]))
"""


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "credentials"


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Run with uid and gid 65534 within the context."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65_534)
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def failing(number: int) -> Callable[[], None]:
    """Return a hook that raises OSError with this errno."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


def publish_in_namespace(
    prepare: str, path: Path, *, profiles: int = 0, afterwards: str = ""
) -> tuple[str, str, str]:
    """Publish in a mount namespace that `prepare` has set up; return step, code and hint."""
    script = f'{prepare}\n"$PYTHON" -c "$2" "$1" {profiles}\n{afterwards}'
    done = in_mount_namespace(script, str(path), PUBLISH)
    assert 0 == done.returncode, done.stderr
    step, code, hint = json.loads(done.stdout.splitlines()[0])
    return step, code, hint or ""


@pytest.mark.parametrize("step", BEFORE_THE_SWAP)
def test_a_failure_before_the_swap_leaves_the_old_file(path: Path, step: str) -> None:
    """The old bytes stay, no temporary is left, step and code are named, the next publish works."""
    steps = Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    file.tick()
    before = path.read_bytes()
    steps.before[step] = failing(errno.EIO)

    with pytest.raises(PublishError) as caught:
        file.publish(wanted(path, "dev", serial=1))

    assert (step, "EIO") == (caught.value.step, caught.value.code)
    assert before == path.read_bytes()
    assert [] == temporaries(path)
    assert not file.tick()
    file.publish(wanted(path, "dev", serial=2))
    assert "ASIAFAKE000000000002" == key_of(path, "dev")


def test_while_publishes_fail_no_tick_asks_for_another(path: Path) -> None:
    """A failed publish is retried with its backoff; no tick asks for one in between."""
    steps = Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    steps.before["swap"] = failing(errno.EIO)
    with pytest.raises(PublishError):
        file.publish(wanted(path, "dev", serial=1))
    path.unlink()

    assert not file.tick()


@pytest.mark.parametrize("step", AFTER_THE_SWAP)
def test_a_failure_after_the_swap_leaves_the_new_file(path: Path, step: str) -> None:
    """The new file may not be durable, so it is an error; the next publish syncs the directory."""
    steps = Steps()
    path.write_bytes(FOREIGN)
    file = keeper(path, hook=steps)
    steps.before[step] = failing(errno.EIO)
    asked = wanted(path, "dev")

    with pytest.raises(PublishError) as caught:
        file.publish(asked)

    assert step == caught.value.step
    steps.taken.clear()
    file.publish(asked)
    file.tick()
    assert "ASIAFAKE000000000000" == key_of(path, "dev")
    assert path.read_bytes().startswith(FOREIGN)
    assert "sync_directory" in steps.taken
    assert [] == temporaries(path)


@pytest.mark.parametrize("step", BEFORE_THE_SWAP + AFTER_THE_SWAP)
def test_no_failure_leaks_a_descriptor(path: Path, step: str) -> None:
    """A daemon on a full disk may retry for weeks, so no attempt may leave a file open."""
    steps = Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    file.tick()
    before = open_files()
    for serial in range(3):
        steps.before[step] = failing(errno.ENOSPC)
        with pytest.raises(PublishError):
            file.publish(wanted(path, "dev", serial=serial + 1))
    file.publish(wanted(path, "dev", serial=9))
    file.tick()

    assert before == open_files()


def test_an_unknown_owner_is_named(path: Path) -> None:
    """The hint names the configuration key to correct."""
    with pytest.raises(PublishError) as caught:
        keeper(path, owner="nosuchuser").publish(wanted(path, "dev"))

    assert "unknown_owner" == caught.value.code
    assert "credentials_file.owner" in (caught.value.hint or "")


def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    """The file is not spliced, because anybody could have put anything into it."""
    path.write_bytes(FOREIGN)
    path.chmod(0o602)

    with pytest.raises(PublishError) as caught:
        keeper(path).publish(wanted(path, "dev"))

    assert ("read", "writable_by_others") == (caught.value.step, caught.value.code)
    assert FOREIGN == path.read_bytes()


@needs_root
def test_a_file_of_somebody_else_is_refused(path: Path) -> None:
    """A file of another user is refused, unless the configuration names that owner."""
    path.write_bytes(FOREIGN)
    os.chown(path, 65_534, 0)

    with pytest.raises(PublishError) as caught:
        keeper(path).publish(wanted(path, "dev"))

    assert "foreign_owner" == caught.value.code
    named = keeper(path.parent / "named", owner="nobody")
    path.rename(path.parent / "named")
    assert named.publish(wanted(path.parent / "named", "dev")).written


@needs_root
def test_a_directory_that_we_may_not_write_is_eacces(open_directory: Path) -> None:
    """The error is EACCES, and the hint names the uid that needs the right."""
    path = open_directory / "credentials"

    with nobody(), pytest.raises(PublishError) as caught:
        keeper(path).publish(wanted(path, "dev"))

    assert ("claim", "EACCES") == (caught.value.step, caught.value.code)
    assert "uid 65534" in (caught.value.hint or "")


@needs_root
def test_a_group_that_we_may_not_give_is_eperm(open_directory: Path) -> None:
    """The error is EPERM, and the hint names ways that do not need root."""
    path = open_directory / "credentials"
    os.chown(open_directory, 65_534, 65_534)

    with nobody(), pytest.raises(PublishError) as caught:
        keeper(path, mode=0o640, group="4321").publish(wanted(path, "dev"))

    assert ("attributes", "EPERM") == (caught.value.step, caught.value.code)
    assert "setgid" in (caught.value.hint or "")
    assert [] == temporaries(path)


@needs_root
def test_publishing_works_without_root(open_directory: Path) -> None:
    """Leases, exchange and locks work without privileges."""
    path = open_directory / "credentials"
    os.chown(open_directory, 65_534, 65_534)
    path.write_bytes(FOREIGN)
    os.chown(path, 65_534, 65_534)

    with nobody():
        file = keeper(path, mode=0o640)
        assert () == file.publish(wanted(path, "dev")).remarks
        assert () == file.publish(wanted(path, "dev", serial=1)).remarks
        assert not file.tick()
        file.release()

    assert 65_534 == path.stat().st_uid
    assert path.read_bytes().startswith(FOREIGN)


@needs_root
def test_a_bind_mounted_file_asks_for_its_directory(tmp_path: Path) -> None:
    """The error is EBUSY: the most common mistake in containers."""
    path = tmp_path / "credentials"
    path.write_bytes(FOREIGN)

    step, code, hint = publish_in_namespace('mount --bind "$1" "$1"', path)

    assert ("swap", "EBUSY") == (step, code)
    assert "mount its directory" in hint
    assert FOREIGN == path.read_bytes()
    assert [] == temporaries(path)


@needs_root
def test_a_read_only_file_system_says_so(tmp_path: Path) -> None:
    """The code is EROFS, and the hint names the directive of the unit."""
    path = tmp_path / "credentials"
    path.write_bytes(FOREIGN)
    prepare = 'd=$(dirname "$1"); mount --bind "$d" "$d"; mount -o remount,bind,ro "$d"'

    _, code, hint = publish_in_namespace(prepare, path)

    assert "EROFS" == code
    assert "ReadWritePaths=" in hint
    assert FOREIGN == path.read_bytes()


@needs_root
def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """ENOSPC while the content is written, on a file system of 64 KiB, leaves the old file."""
    path = tmp_path / "disk" / "credentials"
    path.parent.mkdir()
    prepare = (
        'd=$(dirname "$1"); mount -t tmpfs -o size=64k,mode=700 none "$d";'
        ' printf "[foreign]\\na = 1\\n" >"$1"'
    )

    step, code, hint = publish_in_namespace(
        prepare,
        path,
        profiles=400,
        afterwards='test "$(cat "$1")" = "$(printf "[foreign]\\na = 1\\n")"; ! ls "$d"/.*.tmp',
    )

    assert ("write", "ENOSPC") == (step, code)
    assert "make room" in hint


@needs_root
@pytest.mark.skipif(shutil.which("chattr") is None, reason="needs chattr")
def test_an_immutable_file_says_so(path: Path) -> None:
    """The error is EPERM, but the hint is about attributes (lsattr), not about rights."""
    path.write_bytes(FOREIGN)
    if os.system(f"chattr +i {path} 2>/dev/null"):
        pytest.skip("this file system knows no chattr +i")
    try:
        with pytest.raises(PublishError) as caught:
            keeper(path).publish(wanted(path, "dev"))
    finally:
        os.system(f"chattr -i {path}")

    assert "EPERM" == caught.value.code
    assert "lsattr" in (caught.value.hint or "")
    assert [] == temporaries(path)


def test_a_lock_held_for_ever_delays_and_stops_nothing(path: Path) -> None:
    """The first publish waits ten seconds, later ones half a second; `lock_held` comes once."""
    waits = Waits()
    file = keeper(path, pause=waits)
    file.publish(wanted(path, "dev"))
    with locked(path):
        first = file.publish(wanted(path, "dev", serial=1))
        waited = waits.waited
        second = file.publish(wanted(path, "dev", serial=2))

    assert ["lock_held"] == [remark.event for remark in first.remarks]
    assert ("pid", os.getpid()) in first.remarks[0].fields
    assert 10.0 == pytest.approx(waited, abs=0.1)
    assert 0.5 == pytest.approx(waits.waited - waited, abs=0.1)
    assert () == second.remarks
    assert "ASIAFAKE000000000002" == key_of(path, "dev")


def test_a_planted_lock_stops_nothing(path: Path) -> None:
    """A link at the lock's name is neither followed nor waited for."""
    path.with_name("credentials.lock").symlink_to(path.with_name("victim"))
    waits = Waits()

    report = keeper(path, pause=waits).publish(wanted(path, "dev"))

    assert ["lock_unusable"] == [remark.event for remark in report.remarks]
    assert 0.0 == waits.waited
    assert not path.with_name("victim").exists()


def test_a_pipe_at_the_name_of_the_lock_leaks_no_descriptor(path: Path) -> None:
    """A lock file that cannot be locked is closed again at each write."""
    os.mkfifo(path.with_name("credentials.lock"))
    file = keeper(path)
    file.publish(wanted(path, "dev"))
    file.tick()
    before = open_files()
    report = file.publish(wanted(path, "dev", serial=1))
    file.tick()

    assert report.written
    assert before == open_files()


@needs_root
def test_an_overlay_and_a_tmpfs_will_do(tmp_path: Path) -> None:
    """Publishing works on both, where containers and services often keep this file."""
    path = tmp_path / "m" / "credentials"
    path.parent.mkdir()
    overlay = (
        'cd "$(dirname "$1")"; mount -t tmpfs -o mode=700 none "$PWD"; cd "$PWD";'
        " mkdir -m 755 l u w; echo '[foreign]' >l/credentials;"
        ' mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none "$PWD"'
    )
    for prepare in (
        'mount -t tmpfs -o mode=700 none "$(dirname "$1")"',
        overlay,
    ):
        assert ("written", "", "") == publish_in_namespace(prepare, path)
