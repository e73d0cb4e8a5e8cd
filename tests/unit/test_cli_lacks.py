"""What a configuration names and this host does not have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from configs import accepted, one_profile
from credfresh.cli.lacks import Lack, lacks
from credfresh.settings import ControlSettings, FileTarget


def found(*targets: FileTarget, control: ControlSettings | None = None) -> tuple[Lack, ...]:
    """Return what these credentials files and this socket lack."""
    settings = accepted(one_profile())
    plain = settings.profiles["production"]
    profiles = {str(n): replace(plain, target=target) for n, target in enumerate(targets)}
    return lacks(replace(settings, target=targets[0], profiles=profiles, control=control))


def test_nothing_is_reported_where_nothing_is_missing(tmp_path: Path) -> None:
    """The file itself need not exist, and an account may be given by its number."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "credentials")
    assert () == found(
        FileTarget(str(tmp_path / "credentials"), owner="root", group="root"),
        FileTarget(str(link), owner="4711", group="4711"),
        control=ControlSettings("/s", group="root"),
    )


def test_each_missing_thing_is_reported_once(tmp_path: Path) -> None:
    """It is reported once however many profiles name it; a link counts as its target."""
    link, gone = tmp_path / "link", str(tmp_path / "gone/credentials")
    link.symlink_to(gone)
    told = found(
        FileTarget(gone, group="none-here"),
        FileTarget(gone, mode=0o640, group="none-here"),
        FileTarget(str(link), owner="nobody-here"),
        control=ControlSettings("/s", group="none-here"),
    )
    assert [
        ("credentials_file.path", f"the directory {tmp_path}/gone is not there on this host"),
        ("credentials_file.group", "no group is called none-here here"),
        ("credentials_file.owner", "no owner is called nobody-here here"),
        ("control.group", "no group is called none-here here"),
    ] == [(lack.key, lack.reason) for lack in told]
    assert all(lack.hint for lack in told)
    assert "service" not in told[0].hint  # which makes /run/credfresh alone


def test_a_directory_in_the_place_of_the_file_is_reported(tmp_path: Path) -> None:
    """The daemon would start, and fail at every write."""
    [told] = found(FileTarget(str(tmp_path)))
    assert ("credentials_file.path", f"{tmp_path} is a directory") == (told.key, told.reason)


def test_a_path_that_cannot_be_looked_at_is_not_reported(tmp_path: Path) -> None:
    """A link that leads to itself is reported when it is written to."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert () == found(FileTarget(f"{loop}/credentials"))


def test_a_missing_directory_is_reported_for_each_place_that_is_written(tmp_path: Path) -> None:
    """Without it the daemon would not start, or would fail at every write."""
    gone = tmp_path / "gone"
    settings = accepted(
        one_profile(
            top=f"""
            process_dir: {gone}/process
            endpoint: {{listen: '127.0.0.1:9465', token_dir: {gone}/tokens}}
            control: {{socket: {gone}/control.sock}}
            metrics: {{textfile: {gone}/a.prom, listen: 'unix:{gone}/m.sock'}}
            """
        ).replace("/run/credfresh/credentials", f"{tmp_path}/credentials")
    )
    assert [
        "control.socket",
        "metrics.textfile",
        "metrics.listen",
        "process_dir",
        "endpoint.token_dir",
    ] == [lack.key for lack in lacks(settings)]


def test_a_file_in_the_place_of_a_directory_is_reported(tmp_path: Path) -> None:
    """A directory in the place of a file is told as well: the daemon could use neither."""
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    settings = accepted(
        one_profile(
            top=f"""
            process_dir: {tmp_path}/file
            control: {{socket: {tmp_path}/directory}}
            """
        ).replace("/run/credfresh/credentials", f"{tmp_path}/credentials")
    )
    assert [
        ("control.socket", f"{tmp_path}/directory is a directory"),
        ("process_dir", f"{tmp_path}/file is no directory"),
    ] == [(lack.key, lack.reason) for lack in lacks(settings)]


def test_a_path_that_others_may_redirect_is_reported(tmp_path: Path) -> None:
    """The daemon would refuse such a path; one through a sticky directory passes."""
    for name, mode in (("open", 0o777), ("sticky", 0o1777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    assert () == found(FileTarget(f"{tmp_path}/sticky/credentials"))
    [told] = found(FileTarget(f"{tmp_path}/open/credentials"))
    assert "credentials_file.path" == told.key
    assert "others may write this directory" in told.reason
    assert told.hint
