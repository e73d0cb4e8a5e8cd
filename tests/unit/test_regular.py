"""Paths that people give are opened without waiting, and only if they are regular files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from credfresh.cli import init
from credfresh.cli.shadow import shadow
from credfresh.config.excerpt import excerpt
from credfresh.errors import ConfigError, CredfreshError
from credfresh.regular import only_regular
from credfresh.splice import marked
from disk import open_files


@pytest.fixture(name="fifo")
def _fifo(tmp_path: Path) -> str:
    os.mkfifo(tmp_path / "fifo")
    return str(tmp_path / "fifo")


def test_a_regular_file_is_opened(tmp_path: Path) -> None:
    """This holds directly, and through a link."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    with open(tmp_path / "link", opener=only_regular) as file:
        assert "text" == file.read()


@pytest.mark.parametrize(
    ("path", "why"),
    [("fifo", "Not a regular file"), ("/dev/null", "Not a regular file"), (".", "Is a directory"),
     ("absent", "No such file or directory")],
)  # fmt: skip
def test_what_is_no_regular_file_is_refused_at_once(path: str, why: str, fifo: str) -> None:
    """The error says why, and no descriptor is left open."""
    before = open_files()
    with pytest.raises(OSError, match=why) as caught:
        only_regular(str(Path(fifo).parent / path), os.O_RDONLY)
    assert why == caught.value.strerror
    assert before == open_files()


def test_no_client_command_waits_for_the_writer_of_a_fifo(fifo: str) -> None:
    """A FIFO may stand in the place of configuration, credentials file or SDK configuration."""
    with pytest.raises(ConfigError, match="not a regular file"):
        excerpt(fifo, {})
    with pytest.raises(OSError, match="Not a regular file"):
        marked.statuses(fifo, 0.0)
    assert shadow({"AWS_CONFIG_FILE": fifo}) is None


def test_init_takes_the_null_device_for_an_absent_file() -> None:
    """People set AWS_CONFIG_FILE to it so that no file counts."""
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    done = CliRunner().invoke(init.command, env=nothing)
    assert done.exception is None
    assert "profiles:" in done.output


@pytest.mark.timeout(20)
def test_init_does_not_wait_for_the_writer_of_a_fifo(fifo: str) -> None:
    """It refuses the file, and says which variable to change."""
    done = CliRunner().invoke(init.command, env={"AWS_CONFIG_FILE": fifo})
    assert isinstance(done.exception, CredfreshError)
    assert f"{fifo}: cannot be read: not a regular file" == done.exception.message
    assert "name another file in AWS_CONFIG_FILE" == done.exception.hint
