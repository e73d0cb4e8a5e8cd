"""Cycles are collected in a daemon, whatever became of what paused it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from credfresh import collector
from credfresh.config.file import load
from credfresh.errors import ConfigError


def test_it_is_paused_for_a_block_and_no_longer() -> None:
    """What stays for good is made without its looks."""
    with collector.paused():
        during = gc.isenabled()

    assert (False, True) == (during, gc.isenabled())


def test_a_configuration_with_mistakes_leaves_it_on(tmp_path: Path) -> None:
    """A daemon outlives many of them."""
    path = tmp_path / "credfresh.yaml"
    path.write_text("profiles: 1\n")

    with pytest.raises(ConfigError):
        load(str(path))

    assert gc.isenabled()
