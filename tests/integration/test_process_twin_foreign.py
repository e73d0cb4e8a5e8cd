"""What others put into a directory of twins: neither believed, nor followed, nor written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from credfresh.errors import PublishError
from credfresh.process_twin.directory import ProcessDirectory
from twins import keeper, key_of, wanted


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    directory = tmp_path / "process"
    directory.mkdir()
    return directory


@pytest.fixture(name="twins")
def _twins(directory: Path) -> ProcessDirectory:
    return keeper(directory)


def test_a_link_in_the_place_of_config_takes_nothing_elsewhere(
    directory: Path, twins: ProcessDirectory
) -> None:
    """The twins and the claim stay in the directory that was named; the link alone is refused."""
    elsewhere = directory.with_name("elsewhere")
    elsewhere.mkdir()
    (directory / "config").symlink_to(elsewhere / "config")

    outcomes = twins.publish(wanted(directory, "production"))

    assert [] == list(elsewhere.iterdir())
    assert "ASIAFAKE000000000000" == key_of(directory)
    assert (directory / "config.credfresh").exists()
    refused = outcomes[str(directory / "config")]
    assert isinstance(refused, PublishError)
    assert "not_a_file" == refused.code
