"""What is read of a credentials file on disk: proven sections of ours, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from credfresh.metrics import reader
from credfresh.metrics.reader import PublishedKey, Reader, scan, stands
from credfresh.publication import Publication
from credfresh.splice.ownership import piece
from fakes import EPOCH, FakeClock, grant, profile

LATER = EPOCH + 1e9
"""A moment so late that a file's times prove that it has not changed since."""


def block(name: str, *, instance: str = "test", lifetime: float = 3600.0) -> bytes:
    """Return the section that the daemon would write."""
    one = profile(name)
    return piece(Publication(one, grant(one, FakeClock()(), lifetime=lifetime)), instance).render()


def test_our_sections_are_found_with_key_and_expiration() -> None:
    """Each section of ours says what it holds, with foreign text between them."""
    data = b"# by hand\n[theirs]\naws_access_key_id = AKIAEXAMPLE\n" + block("dev") + block("prod")

    expected = PublishedKey("ASIAFAKE000000000000", EPOCH + 3600)
    assert {"dev": expected, "prod": expected} == scan(data, "test")


@pytest.mark.parametrize(
    "data",
    [
        block("dev").replace(b"ASIAFAKE000000000000", b"ASIAFORGED0000000000"),
        block("dev")[:-20],
        block("dev", instance="another"),
        b"[dev]\naws_access_key_id = AKIAEXAMPLE\n" + block("dev"),
        block("dev").replace(b"[dev]", b"[copy]"),
        b"",
    ],
    ids=["altered", "torn", "another's", "second of its name", "copied", "empty"],
)
def test_a_section_that_is_not_provably_ours_does_not_count(data: bytes) -> None:
    """An altered, torn, copied, shadowed or foreign section is not taken for ours."""
    assert {} == scan(data, "test")


def test_a_missing_file_reads_as_none(tmp_path: Path) -> None:
    """No file, a directory, a fifo and a dangling link are all no file."""
    looks = Reader()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "fifo")

    for name in ("nothing", "link", "fifo", "."):
        assert looks.sections(str(tmp_path / name), "test", LATER) is None


def test_a_change_is_seen_and_a_file_that_stays_is_read_once(tmp_path: Path) -> None:
    """What was read is kept while the file's times and size say that it has not changed."""
    file = tmp_path / "credentials"
    file.write_bytes(block("dev"))
    looks = Reader()
    first = looks.sections(str(file), "test", LATER)

    assert first is looks.sections(str(file), "test", LATER)
    file.write_bytes(block("prod"))
    again = looks.sections(str(file), "test", LATER)
    assert again is not None
    assert ["prod"] == list(again)
    file.unlink()
    assert looks.sections(str(file), "test", LATER) is None
    file.write_bytes(block("dev"))
    assert looks.sections(str(file), "test", LATER) == first


def test_a_file_just_written_is_read_again(tmp_path: Path) -> None:
    """Two writes within one tick of the file's clock look alike, so its times prove nothing yet."""
    file = tmp_path / "credentials"
    file.write_bytes(block("dev"))
    looks = Reader()
    young = file.stat().st_ctime

    assert looks.sections(str(file), "test", young) is not looks.sections(str(file), "test", young)


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody has filled must not take the daemon's memory."""
    file = tmp_path / "credentials"
    file.write_bytes(block("dev"))
    monkeypatch.setattr(reader, "MOST_BYTES", file.stat().st_size - 1)

    assert Reader().sections(str(file), "test", LATER) is None


def test_a_missing_or_empty_twin_does_not_stand(tmp_path: Path) -> None:
    """A missing twin, an empty one, and a directory in its place do not stand."""
    file = tmp_path / "twin.json"
    assert not stands(str(file))
    file.touch()
    assert not stands(str(file))
    assert not stands(str(tmp_path))
    file.write_text("{}")
    assert stands(str(file))
