"""The textfile on a real disk, written by its real thread."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from credfresh.cli.clock import clock
from credfresh.coalescer import MOST_WAIT
from credfresh.metrics import textfile
from credfresh.metrics.textfile import Textfile, put, sweep
from disk import needs_root
from fakes import EventLog
from host import wait_until


class Kept:
    """A textfile whose content is how often it was rendered."""

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        self.path = path
        self.log = EventLog()
        self.renders: list[float] = []
        self.silent = False
        self.textfile = Textfile(str(path), mode, render=self._render, clock=clock, emit=self.log)

    def _render(self, since: float) -> bytes | None:
        self.renders.append(since)
        return None if self.silent else f"# {len(self.renders)}\n".encode()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, f"{self.renders} {self.log.names()}")


@pytest.fixture(name="keep")
def _keep(tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    kept: list[Kept] = []

    def start(name: str = "credfresh.prom", mode: int = 0o644) -> Kept:
        one = Kept(tmp_path / name, mode)
        one.textfile.open()
        kept.append(one)
        return one

    yield start
    for one in kept:
        one.textfile.close()


def names() -> set[str]:
    """Return the names of the running threads."""
    return {thread.name for thread in threading.enumerate()}


def test_the_textfile_is_written_at_once_with_its_mode(keep: Callable[..., Kept]) -> None:
    """The file has the configured mode, whatever the umask."""
    before = os.umask(0o077)
    try:
        kept = keep()
        kept.wait_for(kept.path.exists)
    finally:
        os.umask(before)

    assert b"# 1\n" == kept.path.read_bytes()
    assert 0o644 == stat.S_IMODE(kept.path.stat().st_mode)
    assert [kept.path.name] == os.listdir(kept.path.parent)  # noqa: PTH208 - names


def test_a_change_is_written_within_two_seconds(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written was rendered after the change, not before."""
    monkeypatch.setattr(textfile, "REST", 0.0)  # it would be long after a slow write
    kept = keep()
    kept.wait_for(kept.path.exists)

    noted = clock().boot
    kept.textfile.note()
    kept.wait_for(lambda: kept.path.read_bytes() == b"# 2\n")

    assert clock().boot - noted < 2.0
    assert kept.renders[1] >= noted


def test_a_burst_of_changes_is_few_writes(keep: Callable[..., Kept]) -> None:
    """However many changes come, writes are at least MOST_WAIT apart on average."""
    kept = keep()
    kept.wait_for(kept.path.exists)
    pause = threading.Event()

    began = clock().boot
    for _ in range(1000):
        kept.textfile.note()
        pause.wait(0.001)
    kept.wait_for(lambda: len(kept.renders) >= 2)

    assert len(kept.renders) <= 2 + (clock().boot - began) / MOST_WAIT


def test_an_unforeseen_error_is_an_event_and_tried_again(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A close(2) that fails, as on NFS, must not end the thread that writes."""
    monkeypatch.setattr(textfile, "EVERY", 0.05)
    monkeypatch.setattr(textfile, "put", lambda *_: os.close(-1))
    kept = keep()
    kept.wait_for(lambda: "textfile_failed" in kept.log.names())
    monkeypatch.setattr(textfile, "put", put)

    kept.wait_for(lambda: "textfile_recovered" in kept.log.names())
    assert "unforeseen" == kept.log.of("textfile_failed")[0]["code"]


def test_an_unwritable_directory_is_an_event_and_tried_again(keep: Callable[..., Kept]) -> None:
    """The failure is logged once, and so is the recovery; the thread keeps trying."""
    kept = keep("missing/credfresh.prom")
    kept.wait_for(lambda: "textfile_failed" in kept.log.names())
    for count in (2, 3):
        kept.textfile.note()
        kept.wait_for(lambda count=count: len(kept.renders) >= count)  # type: ignore[misc] # bound

    kept.path.parent.mkdir()
    kept.textfile.note()
    kept.wait_for(kept.path.exists)
    kept.wait_for(lambda: "textfile_recovered" in kept.log.names())

    assert ["textfile_failed", "textfile_recovered"] == kept.log.names()
    [failed] = kept.log.of("textfile_failed")
    assert ("resolve", "ENOENT") == (failed["step"], failed["code"])
    assert failed["hint"]


def test_a_thread_that_cannot_be_had_is_an_event_and_tried_again(
    keep: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit of tasks, a reload that asks for the textfile does not end the daemon."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        kept = keep()
        kept.textfile.note()
    assert ["no_thread"] == [failed["code"] for failed in kept.log.of("textfile_failed")]

    kept.textfile.note()
    kept.wait_for(kept.path.exists)
    kept.wait_for(lambda: "textfile_recovered" in kept.log.names())


def test_nothing_is_written_while_the_main_thread_is_silent(keep: Callable[..., Kept]) -> None:
    """The file is left to grow old: by that, monitoring notices a daemon that hangs."""
    kept = keep()
    kept.wait_for(kept.path.exists)
    kept.silent = True

    for count in (2, 3):  # a second request means that the first was handled
        kept.textfile.note()
        kept.wait_for(lambda count=count: len(kept.renders) >= count)  # type: ignore[misc] # bound

    assert b"# 1\n" == kept.path.read_bytes()


def test_closing_is_quick_and_leaves_or_removes_the_file(keep: Callable[..., Kept]) -> None:
    """The last figures stay, unless the configuration no longer has a textfile."""
    kept = keep()
    kept.wait_for(kept.path.exists)

    kept.textfile.close()
    wait_until(lambda: "credfresh-textfile" not in names(), "its end", textfile.EVERY / 2)
    assert kept.path.exists()
    kept.textfile.close(remove=True)
    assert not kept.path.exists()


def test_a_file_that_is_written_during_the_close_is_removed_too(tmp_path: Path) -> None:
    """A reload that takes the file away keeps the main thread, which the figures are asked of."""
    path = tmp_path / "credfresh.prom"
    asked, answered = threading.Event(), threading.Event()

    def render(_since: float) -> bytes:
        asked.set()
        answered.wait()
        return b"# an old tale\n"

    kept = Textfile(str(path), 0o644, render=render, clock=clock, emit=EventLog())
    kept.open()
    asked.wait()

    kept.close(remove=True)
    answered.set()
    wait_until(lambda: "credfresh-textfile" not in names(), "its end")

    assert [] == list(tmp_path.iterdir())


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Through a hundred writes a reader always finds one whole content."""
    path = tmp_path / "credfresh.prom"
    put(str(path), b"0" * 100_000, 0o644)
    torn: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            content = path.read_bytes()
            if len(content) != 100_000 or len(set(content)) != 1:
                torn.append(content)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        put(str(path), str(number % 10).encode() * 100_000, 0o644)
    done.set()
    reader.join()

    assert [] == torn


def test_a_link_in_the_place_of_the_textfile_is_replaced_not_followed(tmp_path: Path) -> None:
    """Whoever can write to the directory cannot make us write elsewhere."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    path = tmp_path / "credfresh.prom"
    path.symlink_to(precious)

    put(str(path), b"# new\n", 0o644)

    assert "precious" == precious.read_text()
    assert not path.is_symlink()


@needs_root
def test_temporaries_of_another_daemon_are_not_swept(tmp_path: Path) -> None:
    """Another daemon may be writing it."""
    other = tmp_path / ".credfresh.prom.credfresh-0123abcd.tmp"
    other.touch()
    os.chown(other, 65534, 65534)

    sweep(str(tmp_path / "credfresh.prom"))

    assert other.exists()


def test_a_slow_write_is_followed_by_a_long_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many profiles it is written less often: it costs 2 % of the time at most.

    Only the first write says nothing of those that follow.
    """
    monkeypatch.setattr(textfile, "EVERY", 0.0)
    began: list[float] = []

    def render(_since: float) -> bytes:
        began.append(clock().boot)
        wait_until(lambda: clock().boot > began[-1] + 0.02, "a while")
        return b"# \n"

    kept = Textfile(str(tmp_path / "x.prom"), 0o644, render=render, clock=clock, emit=EventLog())
    kept.open()
    wait_until(lambda: len(began) > 2, "another one")
    kept.close()

    assert began[2] - began[1] > 0.02 * textfile.REST


def test_the_first_textfile_is_soon_replaced_however_long_it_took(tmp_path: Path) -> None:
    """It is written in the middle of a start, and tells of nothing fresh yet."""
    began: list[float] = []

    def render(_since: float) -> bytes:
        began.append(clock().boot)
        wait_until(lambda: len(began) > 1 or clock().boot > began[0] + 1.0, "a slow first write")
        return b"# \n"

    kept = Textfile(str(tmp_path / "x.prom"), 0o644, render=render, clock=clock, emit=EventLog())
    kept.open()
    wait_until((tmp_path / "x.prom").exists, "the first one")
    kept.note()
    wait_until(lambda: len(began) > 1, "another one")
    kept.close()

    assert began[1] - began[0] < 0.5 * textfile.REST


def test_temporaries_of_a_killed_daemon_are_swept(tmp_path: Path) -> None:
    """Its half-written temporary is removed; temporaries of other files stay."""
    left = tmp_path / ".credfresh.prom.credfresh-0123abcd.tmp"
    other = tmp_path / ".other.prom.credfresh-0123abcd.tmp"
    for file in (left, other):
        file.write_text("half")

    sweep(str(tmp_path / "credfresh.prom"))

    assert (False, True) == (left.exists(), other.exists())
