"""Where refreshable twins are kept, as the configuration says."""

from __future__ import annotations

import pytest

from configs import accepted, one_profile, only_problem, production, profiles
from credfresh.settings import FileTarget

DIRECTORY = "process_dir: /run/credfresh/process\n"


def test_without_process_dir_there_are_no_twins() -> None:
    """Twins are opt-in."""
    assert production(one_profile()).twin is None
    assert () == accepted(one_profile()).twin_directories


@pytest.mark.parametrize("slash", ["", "/", "//"])
def test_each_profile_has_a_twin_under_its_own_name(slash: str) -> None:
    """It is not the name of the section, which several files may have."""
    twin = production(
        one_profile("section: x", top=f"process_dir: /run/credfresh/process{slash}\n")
    ).twin

    assert twin is not None
    assert "/run/credfresh/process/production.json" == twin.path


def test_files_that_all_profiles_share_have_the_rights_of_the_default_file() -> None:
    """Readers of the default file are the readers of the directory."""
    text = one_profile(top=DIRECTORY).replace(
        "credentials}", 'credentials, mode: "0640", group: build}'
    )

    assert (FileTarget("/run/credfresh/process", 0o640, None, "build"),) == accepted(
        text
    ).twin_directories


def test_readers_of_another_file_may_pass_through_the_directory() -> None:
    """They open their own twin by its name, and cannot list the others."""
    text = profiles(
        """
        a: {role_arn: ROLE}
        b: {role_arn: ROLE, credentials_file: {path: /run/reports/credentials}}
        """,
        top=DIRECTORY,
    )

    assert (FileTarget("/run/credfresh/process", 0o601),) == accepted(text).twin_directories


@pytest.mark.parametrize(
    "path", ["process", "~/process", "/", "/run/a b", '/run/"a"', "/run/$x", "/run/a;b", "/run/ü"]
)
def test_a_directory_that_some_sdk_could_not_name_is_refused(path: str) -> None:
    """It is refused before anything is published, with a hint."""
    problem = only_problem(one_profile(top=f"process_dir: '{path}'\n"))

    assert "process_dir" == problem.path
    assert problem.hint


@pytest.mark.parametrize("path", ["/run/credfresh/process/sub/credentials", "/link"])
def test_the_credentials_file_does_not_lie_among_the_twins(path: str) -> None:
    """Neither does the file of a single profile, nor one to which a link leads."""
    text = one_profile(f"credentials_file: {{path: {path}}}", top=DIRECTORY)
    links = {"/link": "/run/credfresh/process/credentials"}

    assert "process_dir" == only_problem(text, resolve=lambda to: links.get(to, to)).path
