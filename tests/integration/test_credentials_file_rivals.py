"""Rivals that take no lock, never finish or mean harm: no write of anybody is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from io import BufferedWriter
from pathlib import Path

import pytest

from credfresh.disk import atomic
from credfresh.errors import PublishError
from disk import (
    FOREIGN,
    Steps,
    Waits,
    age,
    for_children,
    keeper,
    key_of,
    needs_leases,
    publish_and_leave,
    read_by_sdk,
    settle,
    temporaries,
    wait_for_rival,
    wanted,
    without_leases,
)

STEPS = ["lock", "read", "splice", "create", "attributes", "write", "sync", "verify", "swap"]
STEPS += ["compare", "stamp", "sync_directory"]
THEIRS = b"[late]\nkey = theirs\n"


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    path.write_bytes(FOREIGN)
    return path


def append_in_place(path: Path) -> None:
    """Truncate the file, then write it with a section added, as `aws configure set` does."""
    content = path.read_bytes()
    path.write_bytes(content + THEIRS)


def append_by_rename(path: Path) -> None:
    """Write a new file and rename it over the old one, as editors do."""
    new = path.with_name("new")
    new.write_bytes(path.read_bytes() + THEIRS)
    new.replace(path)


def append_at_the_end(path: Path) -> None:
    """Append to the file, as `cat >>` does."""
    with path.open("ab") as file:
        file.write(THEIRS)


@pytest.mark.parametrize("how", [append_in_place, append_by_rename, append_at_the_end])
@pytest.mark.parametrize("step", STEPS)
def test_a_rival_between_any_two_steps_loses_nothing(
    path: Path, step: str, how: Callable[[Path], None]
) -> None:
    """A rival updates the file before a step: its section and ours both stand at the end."""
    steps, waits = Steps(), Waits()
    file = keeper(path, hook=steps, pause=waits)
    file.publish(wanted(path, "dev"))
    file.tick()
    steps.before[step] = lambda: how(path)

    file.publish(wanted(path, "dev", serial=1))
    settle(file, path, 1)

    assert waits.waited < 0.1
    assert path.read_bytes().startswith(FOREIGN)
    assert "theirs" == read_by_sdk(path)["late"]["key"]
    assert "ASIAFAKE000000000001" == key_of(path, "dev")
    assert [] == temporaries(path)


@pytest.mark.parametrize("step", STEPS)
def test_a_file_removed_between_any_two_steps_comes_back(path: Path, step: str) -> None:
    """After a removal before any step, our sections are restored by the ticks that follow."""
    steps = Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    file.tick()
    steps.before[step] = path.unlink

    file.publish(wanted(path, "dev", serial=1))
    settle(file, path, 1)

    assert not steps.before
    assert "ASIAFAKE000000000001" == key_of(path, "dev")
    assert [] == temporaries(path)


@pytest.mark.parametrize("step", STEPS)
def test_a_file_that_appears_meanwhile_is_not_overwritten(path: Path, step: str) -> None:
    """A file that somebody creates before any step is kept, and our section added."""
    path.unlink()
    steps = Steps()
    file = keeper(path, hook=steps)
    steps.before[step] = lambda: append_at_the_end(path)

    file.publish(wanted(path, "dev"))
    settle(file, path, 0)

    assert "theirs" == read_by_sdk(path)["late"]["key"]
    assert "ASIAFAKE000000000000" == key_of(path, "dev")


class SlowRival:
    """A rival that truncates the file at once, and writes it when told to."""

    def __init__(self, path: Path) -> None:
        self._content = path.read_bytes()
        self._file = path.open("wb", buffering=0)

    def finish(self) -> None:
        """Write the earlier content with a section added."""
        self._file.write(self._content + THEIRS)
        self._file.close()


def test_a_rival_between_truncate_and_write_is_waited_for(path: Path) -> None:
    """A rival that has the file open is waited for; its write is in what we splice."""
    waits = Waits()
    file = keeper(path, pause=waits)
    rival = SlowRival(path)
    waits.then[20] = rival.finish

    file.publish(wanted(path, "dev"))

    assert path.read_bytes().startswith(FOREIGN + THEIRS)
    assert 0.1 == pytest.approx(waits.waited)


def test_a_rival_that_comes_back_for_the_rest_is_waited_for(path: Path) -> None:
    """`: >file; cat >>file` closes the file in between, so only its missing bytes show it."""
    waits = Waits()
    file = keeper(path, pause=waits)
    file.publish(wanted(path, "dev"))
    path.write_bytes(b"")
    age(path, -60.0)  # its last change counts as recent on a slow machine, too
    waits.then[20] = lambda: path.write_bytes(FOREIGN + THEIRS)

    file.publish(wanted(path, "dev", serial=1))

    assert path.read_bytes().startswith(FOREIGN + THEIRS)
    assert "ASIAFAKE000000000001" == key_of(path, "dev")


def test_a_section_that_was_deleted_some_time_ago_stays_deleted(path: Path) -> None:
    """If the change is old, somebody has deleted a section by hand, and it stays deleted."""
    waits = Waits()
    file = keeper(path, pause=waits)
    file.publish(wanted(path, "dev"))
    shorter = path.read_bytes().replace(FOREIGN, b"# nothing\n")
    path.write_bytes(shorter)
    os.utime(path, (1e9, 1e9))

    file.publish(wanted(path, "dev", serial=1))

    assert 0.0 == waits.waited
    assert path.read_bytes().startswith(b"# nothing\n[dev]\n")


def test_a_rival_that_never_finishes_delays_two_seconds(path: Path) -> None:
    """A rival that keeps the file open delays a publish two seconds; its late write is found."""
    needs_leases(path.parent)
    waits = Waits()
    file = keeper(path, pause=waits)
    file.publish(wanted(path, "dev"))
    file.tick()
    rival = path.open("r+b", buffering=0)

    file.publish(wanted(path, "dev", serial=1))

    assert 2.0 == pytest.approx(waits.waited, abs=0.1)
    assert "ASIAFAKE000000000001" == key_of(path, "dev")
    rival.seek(0, os.SEEK_END)
    rival.write(THEIRS)
    rival.close()
    assert file.tick()
    report = file.publish(wanted(path, "dev", serial=1))
    assert "rival_write_recovered" in [remark.event for remark in report.remarks]
    assert "theirs" == read_by_sdk(path)["late"]["key"]
    assert "ASIAFAKE000000000001" == key_of(path, "dev")
    assert not file.tick()
    assert [] == temporaries(path)


def test_a_rival_that_dribbles_delays_two_seconds_in_all(path: Path) -> None:
    """A rival that truncates and then writes a byte now and then delays a publish two seconds."""
    needs_leases(path.parent)
    waits = Waits()
    file = keeper(path, pause=waits)
    file.publish(wanted(path, "dev"))
    rival = path.open("wb", buffering=0)
    for count in range(1, 1500):
        waits.then[count] = lambda: rival.write(b"#")

    file.publish(wanted(path, "dev", serial=1))

    rival.close()
    assert 2.0 == pytest.approx(waits.waited, abs=0.2)


@pytest.mark.parametrize("looks", [1, 3])
def test_a_writer_that_keeps_the_replaced_file_open_loses_nothing(path: Path, looks: int) -> None:
    """After any number of ticks, a write into a replaced file that is still open is not lost."""
    needs_leases(path.parent)
    waits = Waits()
    file = keeper(path, pause=waits)
    file.publish(wanted(path, "dev"))
    rival = path.open("r+b", buffering=0)
    file.publish(wanted(path, "dev", serial=1))
    waited = waits.waited

    assert [False] * looks == [file.tick() for _ in range(looks)]
    assert 1 == len(temporaries(path))
    rival.seek(0, os.SEEK_END)
    rival.write(THEIRS)
    rival.close()
    settle(file, path, 1)

    assert waited == waits.waited  # a tick does not wait
    assert path.read_bytes().startswith(FOREIGN)
    assert "theirs" == read_by_sdk(path)["late"]["key"]
    assert [] == temporaries(path)


def test_a_writer_that_stays_through_some_publishes_loses_nothing(path: Path) -> None:
    """A rival with a file open that was replaced three publishes ago is waited for only once."""
    needs_leases(path.parent)
    waits = Waits()
    file = keeper(path, pause=waits)
    file.publish(wanted(path, "dev"))
    rival = path.open("ab", buffering=0)
    for serial in (1, 2, 3):
        file.publish(wanted(path, "dev", serial=serial))
        file.tick()

    assert 2.0 == pytest.approx(waits.waited, abs=0.1)
    rival.write(THEIRS)
    settle(file, path, 3)
    rival.write(b"[later]\nkey = too\n")
    rival.close()
    settle(file, path, 3)

    assert {"foreign", "dev", "late", "later"} == set(read_by_sdk(path))
    assert "ASIAFAKE000000000003" == key_of(path, "dev")
    assert [] == temporaries(path)


def test_a_rival_blocked_by_our_lease_is_let_in_by_the_next_tick(
    path: Path,
) -> None:
    """A rival is blocked in open(2) by our lease until the next tick, not for the kernel's 45 s."""
    other = path.with_name("other")
    other.hardlink_to(path)
    file = keeper(path)
    file.publish(wanted(path, "dev"))
    rival = threading.Thread(target=append_at_the_end, args=(other,))
    rival.start()
    wait_for_rival(rival, other)

    file.tick()

    rival.join(10)
    assert not rival.is_alive()
    settle(file, path, 0)
    assert "theirs" == read_by_sdk(path)["late"]["key"]


def test_at_most_four_replaced_files_are_kept(path: Path) -> None:
    """However many writers never close the file, at most four replaced files are kept."""
    file = keeper(path, pause=Waits())
    with ExitStack() as never:
        for serial in range(9):
            file.publish(wanted(path, "dev", serial=serial))
            never.enter_context(path.open("ab"))

        assert 4 == len(temporaries(path))
    file.publish(wanted(path, "dev", serial=9))
    file.tick()

    assert [] == temporaries(path)


def test_at_most_sixteen_truncated_replaced_files_are_kept(path: Path) -> None:
    """However many writers truncate the file and never write it, at most 16 are kept."""
    file = keeper(path, pause=Waits())
    file.publish(wanted(path, "dev"))
    with ExitStack() as never:
        for serial in range(1, 21):
            rival = never.enter_context(path.open("r+b", buffering=0))
            file.publish(wanted(path, "dev", serial=serial))
            rival.truncate(0)

        file.publish(wanted(path, "dev", serial=21))
        assert 16 == len(temporaries(path))
    assert path.read_bytes().startswith(FOREIGN)


def test_two_rivals_at_once_both_keep_their_update(path: Path) -> None:
    """One rival writes into the replaced file, another into the new one: neither is lost."""
    waits = Waits()
    file = keeper(path, pause=waits)
    file.publish(wanted(path, "dev"))
    file.tick()
    late = path.open("r+b", buffering=0)
    file.publish(wanted(path, "dev", serial=1))
    late.seek(0, os.SEEK_END)
    late.write(THEIRS)
    late.close()
    with path.open("ab") as other:
        other.write(b"[other]\nkey = too\n")

    assert file.tick()
    file.publish(wanted(path, "dev", serial=1))

    assert {"foreign", "dev", "late", "other"} == set(read_by_sdk(path))
    assert path.read_bytes().startswith(FOREIGN)


@pytest.mark.parametrize("watching", ["leases", "nothing"])
def test_a_rival_that_died_after_truncating_costs_nothing(
    path: Path, watching: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replaced file that a rival has left empty changes nothing in the new one."""
    if watching == "nothing":
        without_leases(monkeypatch)
    file = keeper(path, pause=Waits())
    file.publish(wanted(path, "dev"))
    file.tick()
    rival = path.open("r+b")
    file.publish(wanted(path, "dev", serial=1))
    rival.truncate(0)
    rival.close()

    settle(file, path, 1)

    assert not file.tick()
    assert [] == temporaries(path)
    assert path.read_bytes().startswith(FOREIGN)
    assert "ASIAFAKE000000000001" == key_of(path, "dev")


def test_a_writer_that_comes_at_the_swap_gets_its_turn(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rival blocked in open(2) during the swap writes into the file that we splice next."""
    content = path.read_bytes()
    rival = threading.Thread(target=path.write_bytes, args=(content + THEIRS,))
    exchange = atomic.exchange

    def exchange_with_a_rival_waiting(directory: int, one: str, other: str) -> bool:
        if not rival.ident:
            rival.start()
            wait_for_rival(rival, path)
        return exchange(directory, one, other)

    monkeypatch.setattr(atomic, "exchange", exchange_with_a_rival_waiting)
    file = keeper(path)

    file.publish(wanted(path, "dev"))

    rival.join()
    settle(file, path, 0)
    assert path.read_bytes().startswith(FOREIGN + THEIRS)
    assert "ASIAFAKE000000000000" == key_of(path, "dev")


@pytest.mark.parametrize(
    ("how", "watching"),
    [
        (append_by_rename, "leases"),  # which stop writes between look and swap, not renames
        (append_by_rename, "nothing"),
        (append_in_place, "nothing"),
        (append_at_the_end, "nothing"),
    ],
)
def test_a_rivals_write_at_the_swap_undoes_the_swap(
    path: Path, how: Callable[[Path], None], watching: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a rival writes between our last look and the exchange, we start over from its content."""
    if watching == "nothing":
        without_leases(monkeypatch)
    exchange = atomic.exchange
    coming = [how]

    def exchange_overtaken(directory: int, one: str, other: str) -> bool:
        while coming:
            coming.pop()(path)
        return exchange(directory, one, other)

    monkeypatch.setattr(atomic, "exchange", exchange_overtaken)

    report = keeper(path).publish(wanted(path, "dev"))

    assert () == report.remarks
    assert path.read_bytes().startswith(FOREIGN + THEIRS + b"[dev]\n")


@pytest.mark.parametrize("watching", ["leases", "nothing"])
@pytest.mark.parametrize("finishes", ["while it is waited for", "before the next look"])
def test_a_rival_that_opened_the_new_file_before_the_swap_was_undone_loses_nothing(
    path: Path, watching: str, finishes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rival has our swap undone, another had opened the new file by then: both writes stand."""
    if watching == "nothing":
        without_leases(monkeypatch)
    else:
        needs_leases(path.parent)
    steps, waits = Steps(), Waits()
    file = keeper(path, hook=steps, pause=waits)
    file.publish(wanted(path, "dev"))
    file.tick()
    exchange = atomic.exchange
    opened: list[BufferedWriter] = []

    def exchange_overtaken(directory: int, one: str, other: str) -> bool:
        monkeypatch.setattr(atomic, "exchange", exchange)
        new = path.with_name("new")
        new.write_bytes(path.read_bytes() + b"[renamed]\nkey = too\n")
        new.replace(path)
        steps.before["compare"] = lambda: opened.append(path.open("ab"))
        return exchange(directory, one, other)

    def finish() -> None:
        opened[0].write(THEIRS)
        opened[0].close()

    monkeypatch.setattr(atomic, "exchange", exchange_overtaken)
    if finishes == "while it is waited for" and watching == "leases":
        waits.then[3] = finish
    else:
        steps.before["write"] = lambda: steps.before.update(write=finish)

    file.publish(wanted(path, "dev", serial=1))
    settle(file, path, 1)

    assert opened[0].closed
    assert {"foreign", "dev", "renamed", "late"} == set(read_by_sdk(path))
    assert path.read_bytes().startswith(FOREIGN)
    assert "ASIAFAKE000000000001" == key_of(path, "dev")
    assert [] == temporaries(path)


def test_a_file_that_grows_all_the_time_is_not_read_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that grows while it is read (`yes >>credentials`) is the error `contended`."""
    without_leases(monkeypatch)
    pread, reads = os.pread, 0

    def growing(descriptor: int, count: int, offset: int) -> bytes:
        nonlocal reads
        reads += 1
        assert reads < 10_000
        with path.open("ab") as rival:
            rival.write(b"y\n" * 8)
        return pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", growing)
    with pytest.raises(PublishError) as caught:
        keeper(path, pause=Waits()).publish(wanted(path, "dev"))

    assert "contended" == caught.value.code


def test_a_rival_that_never_rests_is_an_error(path: Path) -> None:
    """After ten attempts that were undone the error is `contended`; the rival's bytes stand."""
    steps = Steps()
    file = keeper(path, hook=steps, pause=Waits())
    count = [0]

    def again() -> None:
        count[0] += 1
        path.write_bytes(FOREIGN + b"# %d\n" % count[0])
        steps.before["swap"] = again

    steps.before["swap"] = again

    with pytest.raises(PublishError) as caught:
        file.publish(wanted(path, "dev"))

    assert "contended" == caught.value.code
    assert 10 == count[0]
    assert FOREIGN + b"# 10\n" == path.read_bytes()
    assert [] == temporaries(path)


@pytest.mark.parametrize("how", [append_in_place, append_by_rename, append_at_the_end])
@pytest.mark.parametrize("step", STEPS)
def test_a_rival_loses_nothing_without_leases(
    path: Path, step: str, how: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On file systems without leases, exchange and comparison are enough."""
    without_leases(monkeypatch)

    test_a_rival_between_any_two_steps_loses_nothing(path, step, how)


@pytest.mark.parametrize("how", [append_in_place, append_by_rename, append_at_the_end])
@pytest.mark.parametrize("step", STEPS)
def test_a_rival_loses_nothing_without_exchange(
    path: Path, step: str, how: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where renameat2(2) cannot exchange, a plain rename is enough."""
    monkeypatch.setattr(atomic, "_renameat2", None)
    report = keeper(path.with_name("other")).publish(wanted(path, "dev"))
    assert () == report.remarks  # there was nothing to exchange

    test_a_rival_between_any_two_steps_loses_nothing(path, step, how)


def test_a_missing_exchange_is_said_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator may want to move the file, so the first report says it, and only that."""
    monkeypatch.setattr(atomic, "_renameat2", None)
    file = keeper(path)

    told = [
        [remark.event for remark in file.publish(wanted(path, "dev", serial=n // 2)).remarks]
        for n in range(4)
    ]

    assert [["exchange_unsupported"], [], [], []] == told


def test_aws_configure_set_and_our_publishes_lose_nothing(path: Path) -> None:
    """AWS's own tool rewrites the file in place while we publish: the content of both stands."""
    aws = Path(sys.executable).with_name("aws")
    file = keeper(path)
    environment = {**os.environ, "AWS_SHARED_CREDENTIALS_FILE": str(path)}
    environment["AWS_CONFIG_FILE"] = os.devnull
    command = [
        str(aws),
        "configure",
        "set",
        "aws_access_key_id",
        "AKIATHEIRS",
        "--profile",
        "their",
    ]
    serial = 0
    with subprocess.Popen(command, env=environment) as rival:
        while rival.poll() is None:
            serial += 1
            file.publish(wanted(path, "dev", serial=serial))
    settle(file, path, serial)

    assert 0 == rival.returncode
    assert serial > 2
    assert path.read_bytes().startswith(FOREIGN)
    assert "AKIATHEIRS" == key_of(path, "their")
    assert f"ASIAFAKE{serial:012d}" == key_of(path, "dev")


def test_a_script_with_flock_and_our_publishes_take_turns(path: Path) -> None:
    """Writers that hold `<file>.lock` are never overtaken: each of their updates stands."""
    script = """
        for n in $(seq 40); do
            flock "$1.lock" sh -c 'c=$(cat "$1"; echo .); printf "%s[script%d]\\nn = 1\\n" \\
                "${c%.}" "$2" >"$1"' sh "$1" "$n"
        done
    """
    file = keeper(path)
    serial = 0
    with subprocess.Popen(["sh", "-euc", script, "sh", str(path)]) as rival:
        while rival.poll() is None:
            serial += 1
            file.publish(wanted(path, "dev", serial=serial))
    settle(file, path, serial)

    assert 0 == rival.returncode
    assert {f"script{n}" for n in range(1, 41)} <= set(read_by_sdk(path))
    assert path.read_bytes().startswith(FOREIGN)


class TestLeftovers:
    """The next daemon removes what a killed one left, unless it holds a rival's write."""

    @staticmethod
    def crash(path: Path, step: str) -> None:
        """Publish in a process that kills itself before a step."""
        script = (
            "import os, pathlib, signal, sys; from disk import Steps, keeper, wanted\n"
            "path, step = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
            "steps = Steps(); file = keeper(path, hook=steps)\n"
            "file.publish(wanted(path, 'dev')); file.tick()\n"
            "steps.before[step] = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
            "file.publish(wanted(path, 'dev', serial=1))\n"
        )
        died = subprocess.run(
            [sys.executable, "-c", script, path, step], env=for_children(), check=False
        )
        assert -9 == died.returncode

    @pytest.mark.parametrize("step", ["write", "sync", "swap", "compare", "stamp"])
    def test_leftovers_are_swept(self, path: Path, step: str) -> None:
        """A half-written, unswapped or replaced file is removed by the next daemon."""
        self.crash(path, step)
        assert 1 == len(temporaries(path))

        publish_and_leave(path, wanted(path, "dev", serial=2))

        assert [] == temporaries(path)
        assert path.read_bytes().startswith(FOREIGN)
        assert "ASIAFAKE000000000002" == key_of(path, "dev")
        assert {"foreign", "dev"} == set(read_by_sdk(path))

    def test_a_late_write_in_a_leftover_is_taken_over(self, path: Path) -> None:
        """A rival's write into a replaced file after the kill is taken over."""
        self.crash(path, "stamp")
        append_at_the_end(path.parent / temporaries(path)[0])

        publish_and_leave(path, wanted(path, "dev", serial=2))

        assert [] == temporaries(path)
        assert "theirs" == read_by_sdk(path)["late"]["key"]
        assert "ASIAFAKE000000000002" == key_of(path, "dev")

    def test_a_late_write_in_a_leftover_waits_for_the_first_publish(self, path: Path) -> None:
        """A daemon that starts and stops without publishing does not lose the late write."""
        self.crash(path, "stamp")
        append_at_the_end(path.parent / temporaries(path)[0])
        file = keeper(path)
        file.claim()
        file.release()

        publish_and_leave(path, wanted(path, "dev", serial=2))

        assert "theirs" == read_by_sdk(path)["late"]["key"]
        assert [] == temporaries(path)

    @pytest.mark.parametrize("plant", ["directory", "link", "pipe", "other name"])
    def test_nothing_but_leftovers_is_swept(self, path: Path, plant: str) -> None:
        """A directory, link or pipe named like a temporary stays, as does a similar name."""
        name = path.with_name(".credentials.credfresh-01234567.tmp")
        match plant:
            case "directory":
                name.mkdir()
            case "link":
                name.symlink_to(path)
            case "pipe":
                os.mkfifo(name)
            case _:
                name = path.with_name(".credentials.credfresh-0123456.tmp")
                name.touch()

        publish_and_leave(path, wanted(path, "dev"))

        assert os.path.lexists(name)


def test_a_planted_temporary_is_neither_followed_nor_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the name of a temporary is taken by a link, another name is used."""
    names = iter([b"\x01\x23\x45\x67", b"\x89\xab\xcd\xef"])
    monkeypatch.setattr(os, "urandom", lambda _: next(names))
    planted = path.with_name(".credentials.credfresh-01234567.tmp")
    planted.symlink_to(path.with_name("victim"))

    keeper(path).publish(wanted(path, "dev"))

    assert not path.with_name("victim").exists()
    assert planted.is_symlink()
    assert "ASIAFAKE000000000000" == key_of(path, "dev")


def test_a_file_that_is_replaced_by_a_pipe_is_an_error(path: Path) -> None:
    """A pipe is opened without waiting for a writer, and refused."""
    file = keeper(path)
    file.publish(wanted(path, "dev"))
    path.unlink()
    os.mkfifo(path)

    assert file.tick()
    with pytest.raises(PublishError) as caught:
        file.publish(wanted(path, "dev", serial=1))
    assert "not_a_file" == caught.value.code
