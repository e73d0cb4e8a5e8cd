"""`status` names what hides the twin from the SDKs of the environment that it is run in."""

from __future__ import annotations

from pathlib import Path

import pytest

from credfresh import twin
from credfresh.cli.shadow import shadow
from twins import with_twin


@pytest.fixture(name="recipe")
def _recipe(tmp_path: Path) -> dict[str, str]:
    """Return an environment with the whole recipe for `production`."""
    (tmp_path / "empty").touch()
    config = tmp_path / "production.config"
    config.write_bytes(twin.config([with_twin(tmp_path)], "test"))
    return {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "empty"),
        "AWS_PROFILE": "production",
    }


def test_the_whole_recipe_leaves_nothing_that_hides_the_twin(recipe: dict[str, str]) -> None:
    """`shadow` has nothing to say then."""
    assert shadow(recipe) is None


def test_without_a_twin_nothing_is_said_to_hide_it(tmp_path: Path) -> None:
    """The config may be somebody else's, may be missing, or none may be named."""
    (tmp_path / "config").write_text("[profile production]\n")
    for environ in ({}, {"AWS_CONFIG_FILE": str(tmp_path / "config")}, {"AWS_CONFIG_FILE": "/x"}):
        assert shadow(environ | {"AWS_ACCESS_KEY_ID": "AKIA"}) is None


def test_keys_in_the_environment_hide_the_twin(recipe: dict[str, str]) -> None:
    """Keys in the environment come before everything else."""
    assert "AWS_ACCESS_KEY_ID" in str(shadow(recipe | {"AWS_ACCESS_KEY_ID": "AKIA"}))


@pytest.mark.parametrize("named", [True, False])
def test_a_section_of_the_same_name_hides_the_twin(
    recipe: dict[str, str],
    tmp_path: Path,
    named: bool,  # noqa: FBT001 - a case
) -> None:
    """It may stand in the file that is named, or in that of the home."""
    file = tmp_path / ".aws" / "credentials"
    file.parent.mkdir()
    file.write_text("[production]\naws_access_key_id = AKIA\n")
    recipe["HOME"] = str(tmp_path)
    if named:
        recipe["AWS_SHARED_CREDENTIALS_FILE"] = str(file)
    else:
        del recipe["AWS_SHARED_CREDENTIALS_FILE"]

    said = str(shadow(recipe))

    assert str(file) in said
    assert "production.env" in said


def test_a_section_of_another_name_hides_nothing(recipe: dict[str, str], tmp_path: Path) -> None:
    """Neither does one whose name only contains it."""
    file = tmp_path / "credentials"
    file.write_text("[production-2]\n# [production]\n")

    assert shadow(recipe | {"AWS_SHARED_CREDENTIALS_FILE": str(file)}) is None
