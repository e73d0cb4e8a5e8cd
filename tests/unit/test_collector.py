"""The collector of cycles is paused for a while, and in any case runs again afterwards."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from credfresh import collector
from credfresh.config.file import load
from credfresh.errors import ConfigError


def test_the_garbage_collector_is_paused_for_a_block_and_no_longer() -> None:
    """What is made in that block stays for good, and need not be looked at."""
    with collector.paused():
        during = gc.isenabled()

    assert (False, True) == (during, gc.isenabled())


def test_a_pause_of_the_garbage_collector_outlasts_one_within_it() -> None:
    """A command pauses it, and so does the configuration that it reads."""
    with collector.paused():
        with collector.paused():
            pass
        between = gc.isenabled()

    assert (False, True) == (between, gc.isenabled())


def test_the_garbage_collector_rests_from_a_pause_until_it_is_resumed() -> None:
    """Also if a block within it pauses as well."""
    collector.pause()
    with collector.paused():
        pass
    between = gc.isenabled()
    collector.resume()
    assert (False, True) == (between, gc.isenabled())


def test_a_configuration_with_mistakes_leaves_the_garbage_collector_on(tmp_path: Path) -> None:
    """A daemon reads many bad configurations, and must collect after each of them."""
    path = tmp_path / "credfresh.yaml"
    path.write_text("profiles: 1\n")

    with pytest.raises(ConfigError):
        load(str(path))

    assert gc.isenabled()
