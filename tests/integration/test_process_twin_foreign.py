"""Files that others put into a directory of twins are not believed, followed or overwritten."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from credfresh import twin
from credfresh.cli.clock import clock
from credfresh.errors import PublishError
from credfresh.process_twin.directory import ProcessDirectory
from credfresh.publication import Publication
from disk import needs_root
from twins import INSTANCE, granted, keeper, key_of, report, wanted, with_twin

SOMEBODY = 65_534


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    directory = tmp_path / "process"
    directory.mkdir()
    return directory


@pytest.fixture(name="twins")
def _twins(directory: Path) -> ProcessDirectory:
    return keeper(directory)


def plant(path: Path, data: bytes, *, owner: int = SOMEBODY, mode: int = 0o600) -> None:
    """Make a file as another user could, where others may add names."""
    path.write_bytes(data)
    path.chmod(mode)
    if owner != os.geteuid():
        path.parent.chmod(0o1777)
        os.chown(path, owner, owner)


def newer_twin(directory: Path) -> bytes:
    """Return a twin that lasts longer than what `wanted` asks for."""
    one = with_twin(directory)
    grant = granted(one, 9, lifetime=7200).grant
    assert grant is not None
    return twin.credentials_json(one, grant.credentials)


def publish_older(directory: Path, *, mode: int = 0o600) -> str:
    """Start with credentials older than the twin that stands; return the key published then."""
    later = clock().wall + 60
    os.utime(directory / "production.json", (later, later))
    report(keeper(directory, mode=mode), wanted(directory, "production", mode=mode))
    return key_of(directory)


def refusal(twins: ProcessDirectory, directory: Path) -> str:
    """Publish, and return the code of the refusal of the twin."""
    refused = twins.publish(wanted(directory, "production"))[str(directory / "production.json")]
    assert isinstance(refused, PublishError)
    return refused.code


def test_a_link_in_the_place_of_config_takes_nothing_elsewhere(
    directory: Path, twins: ProcessDirectory
) -> None:
    """Twins and claim stay in the configured directory, and only the link is refused."""
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


@needs_root
def test_a_newer_twin_of_another_owner_is_not_believed(directory: Path) -> None:
    """At the start a newer twin of another owner is replaced by what we have in hand."""
    plant(directory / "production.json", newer_twin(directory))

    assert "ASIAFAKE000000000000" == publish_older(directory)
    assert os.geteuid() == (directory / "production.json").stat().st_uid


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_newer_twin_that_others_may_write_is_not_believed(directory: Path, mode: int) -> None:
    """The file is ours, but its content may be somebody else's."""
    plant(directory / "production.json", newer_twin(directory), owner=os.geteuid(), mode=mode)

    assert "ASIAFAKE000000000000" == publish_older(directory)


def test_a_newer_twin_that_the_group_may_write_by_configuration_is_believed(
    directory: Path,
) -> None:
    """A group that may write by configuration is trusted."""
    plant(directory / "production.json", newer_twin(directory), owner=os.geteuid(), mode=0o660)

    assert "ASIAFAKE000000000009" == publish_older(directory, mode=0o660)


@needs_root
def test_a_newer_twin_of_the_configured_owner_is_believed(directory: Path) -> None:
    """A file of the configured owner is trusted: the daemon itself gave it to that owner."""
    plant(directory / "production.json", newer_twin(directory))
    one = with_twin(directory)
    one = replace(one, target=one.target._replace(owner=str(SOMEBODY)))
    later = clock().wall + 60
    os.utime(directory / "production.json", (later, later))

    report(keeper(directory), {"production": granted(one)})

    assert "ASIAFAKE000000000009" == key_of(directory)


@needs_root
def test_right_bytes_of_another_owner_are_written_anew(
    directory: Path, twins: ProcessDirectory
) -> None:
    """The owner of planted files could change them later, and have our readers run any command."""
    asked = wanted(directory, "production")
    plant(directory / "production.config", twin.config([with_twin(directory)], INSTANCE))
    plant(directory / "config", twin.config([with_twin(directory)], INSTANCE))
    plant(directory / "empty", b"", mode=0o644)

    report(twins, asked)

    assert {os.geteuid()} == {entry.stat().st_uid for entry in directory.iterdir()}
    assert not twins.tick()


def test_an_empty_config_does_not_prove_a_foreign_json_ours(
    directory: Path, twins: ProcessDirectory
) -> None:
    """A JSON that does not have our form is somebody's, and stays."""
    (directory / "production.config").touch()
    (directory / "production.json").write_text('{"mine": 1}')

    assert "foreign" == refusal(twins, directory)
    assert '{"mine": 1}' == (directory / "production.json").read_text()


@needs_root
def test_a_planted_config_does_not_prove_a_foreign_json_ours(
    directory: Path, twins: ProcessDirectory
) -> None:
    """Our mark is no secret: in a file of another owner it proves nothing."""
    plant(directory / "production.config", twin.config([with_twin(directory)], INSTANCE))
    (directory / "production.json").write_text('{"mine": 1}')

    assert "foreign" == refusal(twins, directory)
    assert '{"mine": 1}' == (directory / "production.json").read_text()


def test_a_planted_json_of_any_depth_stops_no_other_twin(
    directory: Path, twins: ProcessDirectory
) -> None:
    """Whoever may add names can block that one twin, but no other."""
    (directory / "production.json").write_bytes(b"[" * 100_000)

    outcomes = twins.publish(wanted(directory, "production", "dev"))

    assert isinstance(outcomes[str(directory / "production.json")], PublishError)
    assert "ASIAFAKE000000000000" == key_of(directory, "dev")


def test_a_twin_of_an_owner_that_does_not_exist_can_be_withdrawn(
    directory: Path, twins: ProcessDirectory
) -> None:
    """Owners are looked up only after withdrawn twins have been removed."""
    report(twins, wanted(directory, "production"))
    twins.release()
    one = with_twin(directory)
    one = replace(one, target=one.target._replace(owner="nobody-of-this-name"))

    keeper(directory).publish({"production": Publication(one, withdraw=True)})

    assert not (directory / "production.json").exists()


def test_a_power_cut_that_emptied_config_and_environment_is_mended(
    directory: Path, twins: ProcessDirectory
) -> None:
    """Config and environment are not synced; the JSON beside them is, and proves them ours."""
    asked = wanted(directory, "production")
    report(twins, asked)
    twins.release()
    for suffix in ("config", "env"):
        (directory / f"production.{suffix}").write_bytes(b"")

    report(keeper(directory), asked)

    assert b"credential_process" in (directory / "production.config").read_bytes()
    assert b"AWS_CONFIG_FILE" in (directory / "production.env").read_bytes()


def test_a_foreign_environment_is_not_written_over(
    directory: Path, twins: ProcessDirectory
) -> None:
    """Many programs have a NAME.env, so a file of that name without our mark stays."""
    (directory / "production.env").write_text("DB_PASSWORD=mine\n")

    assert "foreign" == refusal(twins, directory)
    assert "DB_PASSWORD=mine\n" == (directory / "production.env").read_text()
    assert not (directory / "production.json").exists()


def test_a_foreign_file_that_came_while_a_twin_was_gone_is_not_written_over(
    directory: Path, twins: ProcessDirectory
) -> None:
    """A profile that comes back finds a foreign file under its name, and is refused."""
    report(twins, wanted(directory, "production", "dev"))
    report(twins, wanted(directory, "dev"))
    (directory / "production.env").write_text("DB_PASSWORD=mine\n")

    outcomes = twins.publish(wanted(directory, "production", "dev"))

    assert isinstance(outcomes[str(directory / "production.json")], PublishError)
    assert "DB_PASSWORD=mine\n" == (directory / "production.env").read_text()


def test_files_in_a_directory_that_replaced_ours_are_not_written_over(
    directory: Path, twins: ProcessDirectory
) -> None:
    """Somebody replaces the directory while the daemon runs: files in the new one are foreign."""
    report(twins, wanted(directory, "production"))
    directory.rename(directory.with_name("aside"))
    directory.mkdir()
    (directory / "production.env").write_text("DB_PASSWORD=mine\n")

    assert "foreign" == refusal(twins, directory)
    assert "DB_PASSWORD=mine\n" == (directory / "production.env").read_text()


def test_a_foreign_environment_stays_when_its_twin_goes(
    directory: Path, twins: ProcessDirectory
) -> None:
    """When a twin is removed, a foreign file of its name stays, and our own files go."""
    report(twins, wanted(directory, "production", "dev"))
    (directory / "production.env").write_text("DB_PASSWORD=mine\n")

    report(twins, wanted(directory, "dev"))

    assert {"production.env"} == {entry.name for entry in directory.glob("production.*")}


def test_a_twin_beside_a_foreign_environment_can_be_withdrawn(
    directory: Path, twins: ProcessDirectory
) -> None:
    """A foreign file beside a twin is no reason to leave its credentials readable."""
    report(twins, wanted(directory, "production"))
    twins.release()
    (directory / "production.env").write_text("DB_PASSWORD=mine\n")

    keeper(directory).publish({"production": Publication(with_twin(directory), withdraw=True)})

    assert {"production.config", "production.env"} == {p.name for p in directory.glob("prod*")}
    assert "DB_PASSWORD=mine\n" == (directory / "production.env").read_text()
