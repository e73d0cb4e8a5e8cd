"""Where the demo keeps its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from credfresh.demo import default_directory

NAME = f"credfresh-demo-{os.getuid()}"


def test_the_demo_is_in_the_users_own_runtime_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$XDG_RUNTIME_DIR is the user's alone."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    assert tmp_path / NAME == default_directory()


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a: b", 0o700),
        ("a #b", 0o700),
        ("$HOME", 0o700),
        ("a\nb", 0o700),
        ("\udcff", 0o700),
        ("x" * 100, 0o700),
        ("others", 0o702),
        ("group", 0o720),
    ],
    ids=ascii,
)
def test_the_demo_avoids_a_runtime_directory_that_its_configuration_could_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: int
) -> None:
    """It reads its own configuration: odd names are no YAML, long ones no place for a socket."""
    directory = tmp_path / name
    directory.mkdir()
    directory.chmod(mode)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))

    assert Path("/tmp", NAME) == default_directory()
