"""Where a path leads, and whom one has to trust on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from credfresh.disk.paths import resolved
from credfresh.errors import PublishError
from disk import needs_root, no_descriptors, open_files

OTHER = 65_534
"""Some uid that is neither root's nor ours."""


def refusal(path: Path) -> PublishError:
    """Return the error with which a path is refused."""
    with pytest.raises(PublishError) as caught, resolved(str(path)):
        pass
    return caught.value


def test_a_plain_path_is_resolved_to_its_directory_and_name(tmp_path: Path) -> None:
    """A plain path is its directory, open, and a name in it; the file need not exist."""
    with resolved(f"{tmp_path}/credentials") as place:
        assert "credentials" == place.name
        assert f"{tmp_path}/credentials" == place.path
        assert place.private
        assert os.path.samestat(os.fstat(place.directory), tmp_path.stat())


def test_links_of_directories_and_files_are_followed(tmp_path: Path) -> None:
    """Absolute and relative links are followed to the real file, past any `..`."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "credentials").touch()
    (tmp_path / "short").symlink_to("real/deep")
    (tmp_path / "real" / "deep" / "file").symlink_to("../credentials")
    (tmp_path / "entry").symlink_to(tmp_path / "short" / "." / "file")

    with resolved(f"{tmp_path}/entry") as place:
        assert f"{tmp_path}/real/credentials" == place.path


def test_a_dangling_link_leads_to_where_its_target_would_be(tmp_path: Path) -> None:
    """So a new file can be made behind a link into an empty run-time directory."""
    (tmp_path / "run").mkdir()
    (tmp_path / "entry").symlink_to("run/credentials")

    with resolved(f"{tmp_path}/entry") as place:
        assert f"{tmp_path}/run/credentials" == place.path


def test_a_sticky_directory_passes_but_is_not_private(tmp_path: Path) -> None:
    """Others may add names there, but not take ours away; marks there are not believed."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)

    with resolved(f"{tmp_path}/open/credentials") as place:
        assert not place.private


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o2775])
def test_a_directory_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Anybody who may write it could put a link in our file's place; the hint names the chmod."""
    (tmp_path / "open" / "inner").mkdir(parents=True)
    (tmp_path / "open").chmod(mode)

    error = refusal(tmp_path / "open" / "inner" / "credentials")

    assert ("resolve", "writable_by_others") == (error.step, error.code)
    assert f"chmod go-w {tmp_path}/open" in (error.hint or "")


def test_the_target_of_a_link_is_judged_too(tmp_path: Path) -> None:
    """A trusted link does not make its target trusted."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "entry").symlink_to("open/credentials")

    assert "writable_by_others" == refusal(tmp_path / "entry").code


@needs_root
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its owner could replace the file at will."""
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", OTHER, OTHER)

    error = refusal(tmp_path / "home" / "credentials")

    assert "foreign_owner" == error.code
    assert str(OTHER) in error.message


@needs_root
def test_a_link_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """In a sticky directory anybody may plant a link at a name that is still free."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    (tmp_path / "open" / "credentials").symlink_to("/etc/passwd")
    os.chown(tmp_path / "open" / "credentials", OTHER, OTHER, follow_symlinks=False)

    assert "foreign_owner" == refusal(tmp_path / "open" / "credentials").code


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    """The code is ELOOP, as the kernel would say."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert "ELOOP" == refusal(tmp_path / "a").code


def test_a_missing_directory_says_so(tmp_path: Path) -> None:
    """We create no directories: who may read them is not ours to decide."""
    error = refusal(tmp_path / "missing" / "credentials")

    assert "ENOENT" == error.code
    assert ": cannot reach its directory: No such file or directory" in error.message
    assert "create" in (error.hint or "")


def test_a_file_in_the_place_of_a_directory_says_so(tmp_path: Path) -> None:
    """The code is ENOTDIR, with a hint."""
    (tmp_path / "file").touch()

    assert "ENOTDIR" == refusal(tmp_path / "file" / "credentials").code


def test_a_directory_at_the_path_is_refused(tmp_path: Path) -> None:
    """Some container engines make a directory where the file to mount is missing."""
    error = refusal(tmp_path)

    assert "not_a_file" == error.code
    assert "directory" in error.message


def test_a_pipe_at_the_path_is_refused(tmp_path: Path) -> None:
    """Only regular files can be replaced without surprising somebody."""
    os.mkfifo(tmp_path / "credentials")

    error = refusal(tmp_path / "credentials")

    assert "not_a_file" == error.code
    assert "pipe" in error.message


def test_a_device_at_the_path_is_refused() -> None:
    """/dev/null is the device that people really name there."""
    assert "not_a_file" == refusal(Path("/dev/null")).code


def test_without_a_descriptor_left_the_hint_names_the_limit(tmp_path: Path) -> None:
    """The hint names LimitNOFILE, even where the very first directory cannot be opened."""
    with no_descriptors():
        error = refusal(tmp_path / "credentials")
    assert ("resolve", "EMFILE") == (error.step, error.code)
    assert "LimitNOFILE=" in str(error.hint)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Neither a good path nor a refused one leaks a descriptor: the daemon runs for months."""
    (tmp_path / "a").symlink_to("a")
    before = open_files()
    for _ in range(3):
        with resolved(f"{tmp_path}/credentials"):
            pass
        refusal(tmp_path / "a")
        refusal(tmp_path / "missing" / "credentials")
        refusal(Path("/dev/null"))

    assert before == open_files()
