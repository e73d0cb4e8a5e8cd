"""Loading the configuration from a real disk: a file that others may write is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from configs import one_profile
from credfresh.cli.composition import load_to_run
from credfresh.config.file import load
from credfresh.errors import ConfigError, Problem

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a good configuration in a directory that nobody else may write."""
    tmp_path.chmod(0o755)
    path = tmp_path / "credfresh.yaml"
    path.write_text(one_profile(), encoding="utf-8")
    path.chmod(0o644)
    return path


def refusal(path: str | Path) -> Problem:
    """Load a file that must be refused; return the one problem, which has no position."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert (problem.source, problem.line, problem.path) == (str(path), 0, "")
    return problem


def test_a_good_file_is_loaded(config: Path) -> None:
    """`load` takes environment and host name from the process, unless they are given."""
    settings = load(config)
    assert settings.path == str(config)
    assert os.uname().nodename.split(".")[0] in settings.profiles["production"].role_session_name
    named = load(str(config), environment={}, hostname="build-7")
    assert named.profiles["production"].role_session_name == "credfresh-build-7-production"


def test_the_environment_of_the_process_counts(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_REGION of the process counts if the file names no region."""
    config.write_text(one_profile(defaults="{duration: 1h}"), encoding="utf-8")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert load(config).profiles["production"].region == "eu-north-1"


def test_the_instance_stays_when_a_link_leads_elsewhere(config: Path) -> None:
    """Marks stay ours when a link (of a ConfigMap, or of a package store) leads to a new file."""
    link, new = config.with_name("link.yaml"), config.with_name("new.yaml")
    shutil.copy(config, new)
    link.symlink_to(config)
    before = load(link).instance
    link.unlink()
    link.symlink_to(new)
    assert before == load(link).instance


def test_problems_of_the_content_carry_the_path(config: Path) -> None:
    """A problem starts with file:line:column, which editors can open."""
    config.write_text(one_profile("duration: 13h"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config)
    assert str(caught.value).startswith(f"{config}:6:15: profiles.production.duration: ")


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o1666])
def test_a_file_that_others_may_write_is_refused(config: Path, mode: int) -> None:
    """A file that group or others may write is refused: they could have commands run."""
    config.chmod(mode)
    problem = refusal(config)
    assert problem.reason.startswith(f"others may write the file (mode {mode:04o})")
    assert problem.hint == f"chmod go-w {config}"


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_directory_that_others_may_write_is_refused(config: Path, mode: int) -> None:
    """Whoever may write the directory could put another file there."""
    config.parent.chmod(mode)
    problem = refusal(config)
    assert problem.reason.startswith(f"others may write its directory (mode 0{mode:o})")
    assert problem.hint == f"chmod go-w {config.parent}"


def test_a_sticky_directory_passes(config: Path) -> None:
    """In a sticky directory nobody can rename files of others, so it is accepted."""
    config.parent.chmod(0o1777)
    assert load(config).profiles


def test_the_directories_of_a_link_and_of_its_target_must_both_be_safe(
    config: Path, tmp_path: Path
) -> None:
    """The directory of a link and the one that it leads to must both be closed to others."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    link = elsewhere / "link.yaml"
    link.symlink_to(config)
    assert load(link).profiles
    elsewhere.chmod(0o777)
    assert str(elsewhere) in str(refusal(link).hint)
    elsewhere.chmod(0o755)
    tmp_path.chmod(0o777)
    assert str(tmp_path) in str(refusal(link).hint)


@root_only
def test_a_file_of_another_user_is_refused(config: Path) -> None:
    """Its owner may write it at any time, whatever the mode says."""
    os.chown(config, 65_534, -1)
    assert refusal(config).reason == "the file belongs to user 65534; it must be root's or ours"


@root_only
def test_a_directory_of_another_user_is_refused(config: Path) -> None:
    """Its owner may put another file there at any time."""
    os.chown(config.parent, 65_534, -1)
    assert refusal(config).reason.startswith("its directory belongs to user 65534")


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    """A missing file is the most common first mistake, so the hint says how to name one."""
    problem = refusal(tmp_path / "none.yaml")
    assert problem.reason == "cannot be read: no such file or directory"
    assert problem.hint == "name the file with --config, or in CREDFRESH_CONFIG"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """A directory, a fifo, a device, a link to itself, a path below a file: refused at once."""
    tmp_path.chmod(0o755)
    fifo, loop, file = tmp_path / "fifo", tmp_path / "loop", tmp_path / "file"
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    file.touch()
    began = time.perf_counter()
    assert refusal(tmp_path).reason == "is a directory"
    assert refusal(fifo).reason == "is not a regular file"
    assert refusal("/dev/null").reason == "is not a regular file"
    assert refusal(loop).reason == "cannot be read: too many levels of symbolic links"
    assert refusal(file / "x").reason == "cannot be read: not a directory"
    assert refusal("a\0b").reason == "is not a path"
    assert time.perf_counter() - began < 30


def test_an_unreadable_file_says_so(config: Path) -> None:
    """A file that the user may not read is refused, with a hint."""
    config.chmod(0o600)
    code = (
        "import os, sys\n"
        "from credfresh.config.file import load\n"
        "from credfresh.errors import ConfigError\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "else: os.chmod(sys.argv[1], 0)\n"
        "try: load(sys.argv[1])\n"
        "except ConfigError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(config)], capture_output=True, text=True, check=True
    )
    told = f"{config}: cannot be read: permission denied\n    hint: use sudo"
    assert done.stdout.startswith(told)


def test_a_huge_file_is_answered_at_once(config: Path) -> None:
    """A sparse gigabyte is neither read nor parsed."""
    os.truncate(config, 1 << 30)
    began = time.perf_counter()
    with pytest.raises(ConfigError, match="larger than the 8,388,608 bytes"):
        load(config)
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize("count", [10_000])
def test_ten_thousand_profiles_are_read_in_a_moment(config: Path, count: int) -> None:
    """Reading as many profiles as a large host may have takes seconds, not minutes."""
    keys = "external_id: '012345670123', session_tags: {team: release}, renew_before: 20m"
    arn = "'arn:aws:iam::111111111111:role/deploy'"
    lines = (f"  p{n}: {{role_arn: {arn}, {keys}}}" for n in range(count))
    head = "credentials_file: {path: /run/x}\ndefaults: {region: eu-west-1}\nprofiles:\n"
    config.write_text(head + "\n".join(lines), encoding="utf-8")
    began = time.perf_counter()
    assert len(load(config).profiles) == count
    assert time.perf_counter() - began < 60  # about 1 s on an idle core; the machine is shared


def test_a_way_to_the_twins_that_others_could_redirect_is_refused_before_the_start(
    config: Path,
) -> None:
    """An unsafe path of `process_dir` is refused; a missing directory may still be created."""
    folder = config.parent / "open"
    folder.mkdir()
    folder.chmod(0o777)
    text = config.read_text(encoding="utf-8")
    config.write_text(f"process_dir: {folder}/process\n{text}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_to_run(str(config))
    assert ["process_dir"] == [problem.path for problem in caught.value.problems]
    folder.chmod(0o755)
    assert load_to_run(str(config)).twin_directories
    config.write_text(f"process_dir: {folder}/missing/process\n{text}", encoding="utf-8")
    assert load_to_run(str(config)).twin_directories
