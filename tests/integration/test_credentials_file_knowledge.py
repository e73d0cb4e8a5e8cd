"""Knowledge of a file is trusted without reading only if its times prove that nobody wrote it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from credfresh.credentials_file import knowledge, standing
from credfresh.credentials_file.knowledge import GRAIN, Knowledge
from credfresh.disk.paths import Place, resolved
from credfresh.model import Instant
from credfresh.regular import Identity
from credfresh.splice.holding import Document
from disk import FOREIGN, Steps, Waits, keeper, key_of, needs_fine_times, read_by_sdk, wanted

OTHER = FOREIGN.replace(b"theirs", b"THEIRS")


class Harness:
    """A file, our knowledge of it, and a wall clock that is `since` seconds past its change."""

    def __init__(self, path: Path, place: Place) -> None:
        path.write_bytes(FOREIGN)
        self.path = path
        self.place = place
        self.info = path.stat()
        self.since = 1.0
        self.knowledge = Knowledge("test", clock=self, pause=Waits())

    def __call__(self) -> Instant:
        return Instant(self.info.st_ctime + self.since, 0.0)

    def learn(self, *, took: float = 0.0) -> Document:
        """Read the file and remember it `took` seconds later; return it scanned."""
        standing = self.knowledge.look(self.place)
        assert standing is not None
        standing.close()
        document = self.knowledge.document(standing)
        self.since += took
        self.knowledge.saw(standing, document)
        return document

    def confirms(self) -> bool:
        """Say whether the file is confirmed, given the stat that it had at first."""
        return self.knowledge.confirms(self.place, self.info)


@pytest.fixture(name="harness")
def _harness(tmp_path: Path) -> Iterator[Harness]:
    with resolved(f"{tmp_path}/credentials") as place:
        yield Harness(tmp_path / "credentials", place)


def test_a_file_read_long_after_its_last_change_is_not_read_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose times prove that it has not changed is not read again."""
    harness.learn()
    monkeypatch.setattr(knowledge, "look", lambda *_: pytest.fail("it was read"))

    assert harness.confirms()


@pytest.mark.parametrize("took", [0.0, 1.0])
def test_a_file_read_right_after_a_change_is_compared_again(harness: Harness, took: float) -> None:
    """A second write within one tick does not show in the times; the moment of reading counts."""
    harness.since = GRAIN / 2
    harness.learn(took=took)
    harness.path.write_bytes(OTHER)

    assert not harness.confirms()


def test_a_file_read_again_after_a_tick_is_not_read_once_more(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the tick, one look that finds the same bytes is proof."""
    harness.since = GRAIN / 2
    harness.learn()
    harness.since = 1.0
    assert harness.confirms()
    monkeypatch.setattr(knowledge, "look", lambda *_: pytest.fail("it was read"))

    assert harness.confirms()


def test_our_own_write_is_no_proof_of_what_stands(harness: Harness) -> None:
    """Our own write is no proof: somebody may have written within the same tick."""
    harness.knowledge.wrote(harness.learn(), harness.info)
    harness.path.write_bytes(OTHER)

    assert not harness.confirms()


def test_our_own_write_is_compared_piece_by_piece(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we wrote is compared piece by piece: ten thousand sections are 12 MB."""
    harness.knowledge.wrote(harness.learn(), harness.info)
    monkeypatch.setattr(standing, "read", lambda _: pytest.fail("it was read"))

    assert harness.confirms()


def test_the_look_after_a_publish_reads_nothing_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick compares the file with what was published instead of reading it whole."""
    path = tmp_path / "credentials"
    file = keeper(path)
    file.publish(wanted(path, "dev"))
    monkeypatch.setattr(standing, "read", lambda _: pytest.fail("it was read"))

    assert not file.tick()
    file.release()


def test_a_comparison_after_a_tick_is_proof(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the tick, one comparison is proof as well."""
    harness.knowledge.wrote(harness.learn(), harness.info)
    assert harness.confirms()
    monkeypatch.setattr(knowledge, "look", lambda *_: pytest.fail("it was looked into"))

    assert harness.confirms()


def test_a_change_of_equal_length_and_times_is_found_by_comparing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that keeps length and times is found by comparing the bytes."""
    for module in (standing, knowledge):
        monkeypatch.setattr(module, "identity", _by_inode_and_size)
    harness.knowledge.wrote(harness.learn(), harness.info)
    harness.path.write_bytes(OTHER)

    assert not harness.confirms()


def test_a_change_of_equal_length_and_times_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that keeps length and times is noticed by the tick and repaired by the publish."""
    for module in (standing, knowledge):
        monkeypatch.setattr(module, "identity", _by_inode_and_size)
    path = tmp_path / "credentials"
    file = keeper(path, pause=Waits())
    asked = wanted(path, "dev")
    file.publish(asked)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"fake-token", b"evil-token"))

    assert file.tick()
    file.publish(asked)

    assert whole == path.read_bytes()
    file.release()


def test_a_file_with_new_times_is_confirmed_only_by_its_bytes(harness: Harness) -> None:
    """A file with new times is confirmed if its bytes are the same, and not otherwise."""
    needs_fine_times(harness.path.parent)
    harness.learn()
    harness.path.write_bytes(FOREIGN)
    os.utime(harness.path, (1e9, 1e9))
    assert harness.knowledge.confirms(harness.place, harness.path.stat())
    harness.path.write_bytes(OTHER)
    os.utime(harness.path, (1e9, 1e9))

    assert not harness.knowledge.confirms(harness.place, harness.path.stat())


def test_a_rivals_write_of_equal_length_and_times_is_found_at_the_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rival's write that keeps length and times is found at the swap and kept."""
    for module in (standing, knowledge):
        monkeypatch.setattr(module, "identity", _by_inode_and_size)
    path = tmp_path / "credentials"
    path.write_bytes(FOREIGN)
    file = keeper(path, pause=Waits())
    file.publish(wanted(path, "dev"))
    path.write_bytes(path.read_bytes().replace(b"theirs", b"THEIRS"))

    file.publish(wanted(path, "dev", serial=1))

    assert path.read_bytes().startswith(OTHER)
    assert "ASIAFAKE000000000001" == key_of(path, "dev")
    file.release()


def _by_inode_and_size(info: os.stat_result) -> Identity:
    return (info.st_dev, info.st_ino, info.st_size, 0, 0)


def test_a_rival_that_takes_our_section_away_right_after_the_swap_is_seen(tmp_path: Path) -> None:
    """If a rival replaces our content before we note its times, the next publish restores ours."""
    path = tmp_path / "credentials"
    path.write_bytes(FOREIGN)
    steps = Steps()
    file = keeper(path, hook=steps, pause=Waits())
    steps.before["stamp"] = lambda: path.write_bytes(FOREIGN + b"[more]\nkey = v\n")
    asked = wanted(path, "dev")
    file.publish(asked)

    file.publish(asked)

    assert {"foreign", "more", "dev"} == set(read_by_sdk(path))
    file.release()


def _rewritten(harness: Harness) -> bytes:
    harness.path.write_bytes(OTHER)
    return FOREIGN


def _cut_for_a_moment(harness: Harness) -> bytes:
    del harness
    return b""


@pytest.mark.parametrize("happens", [_rewritten, _cut_for_a_moment])
def test_a_file_that_changes_while_it_is_read_is_read_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Harness], bytes]
) -> None:
    """A file that changes while it is read is read again, if its times or its length show it."""
    os.utime(harness.path, (1e9, 1e9))
    found, pread = [happens], os.pread

    def overtaken(descriptor: int, count: int, offset: int) -> bytes:
        return found.pop()(harness) if found else pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", overtaken)

    learnt = harness.learn().data

    assert harness.path.read_bytes() == learnt


def test_a_file_that_is_too_large_is_not_read(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file above LARGEST could exhaust memory, so it is refused, and closed at each attempt."""
    monkeypatch.setattr(standing, "LARGEST", len(FOREIGN) - 1)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count

    with pytest.raises(OSError, match="too large"):
        harness.learn()

    assert before == len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def test_a_file_that_is_gone_is_not_confirmed(harness: Harness) -> None:
    """A removed file is never confirmed, even if the last state of it was known."""
    harness.knowledge.distrust()
    harness.path.unlink()

    assert not harness.confirms()
