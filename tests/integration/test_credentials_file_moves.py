"""Profiles that move from file to file, and files that get another path, in a running daemon."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from credfresh.cli.clock import clock
from credfresh.credentials_file import CredentialsFiles
from credfresh.disk import atomic
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.publication import Publication, PublishReport
from credfresh.settings import FileTarget
from disk import (
    FOREIGN,
    in_mount_namespace,
    keeper,
    key_of,
    needs_root,
    publication,
    read_by_sdk,
    temporaries,
    wanted,
)


@pytest.fixture(name="old")
def _old(tmp_path: Path) -> Path:
    path = tmp_path / "old"
    path.write_bytes(FOREIGN)
    return path


@pytest.fixture(name="new")
def _new(tmp_path: Path) -> Path:
    return tmp_path / "later" / "new"


def keeping(*paths: Path) -> CredentialsFiles:
    """Return a claimed `CredentialsFiles` of these paths."""
    files = CredentialsFiles(
        [FileTarget(str(path)) for path in paths],
        instance="test",
        clock=clock,
        pause=lambda _seconds: None,
    )
    files.claim()
    return files


def sections(*paths: Path) -> list[set[str]]:
    """Return the names of our sections in each file."""
    return [set(read_by_sdk(path)) - {"foreign"} for path in paths]


class Swaps:
    """Records after each swap whether a profile stands in one of the files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, *paths: Path) -> None:
        self.seen: list[bool] = []
        exchange = atomic.exchange

        def noted(directory: int, one: str, other: str) -> bool:
            done = exchange(directory, one, other)
            header = f"[{name}]\n".encode()
            there = [path for path in paths if path.exists()]
            self.seen.append(any(header in path.read_bytes() for path in there))
            return done

        monkeypatch.setattr(atomic, "exchange", noted)


def test_a_profile_that_cannot_leave_its_old_file_is_tried_again(tmp_path: Path) -> None:
    """If the old file cannot be written, the new one is; the next publish clears the old one."""
    old, new = (tmp_path / name / "credentials" for name in ("old", "new"))
    for path in (old, new):
        path.parent.mkdir()
        path.write_bytes(FOREIGN)
    files = keeping(old)
    files.publish(wanted(old, "dev"))
    old.parent.chmod(0o777)

    first = files.publish(wanted(new, "dev", serial=1))
    old.parent.chmod(0o755)
    second = files.publish(wanted(new, "dev", serial=1))

    assert isinstance(first[str(old)], PublishError)
    assert isinstance(second[str(old)], PublishReport)
    assert "ASIAFAKE000000000001" == key_of(new, "dev")
    assert "dev" not in read_by_sdk(old)
    assert {str(new)} == set(files.publish(wanted(new, "dev", serial=2)))


def test_a_section_of_the_same_name_in_another_file_does_not_count(old: Path, new: Path) -> None:
    """A section of the same name in another file counts for the other file's profile only."""
    new.parent.mkdir()
    files = keeping(old, new)
    here = publication("dev", old, 1)
    there = publication("dev", new, 2)
    there = replace(there, profile=replace(there.profile, name="other"))
    asked = {"dev": here, "other": there}
    files.publish(asked)
    files.release()

    stands = keeping(old, new).standing({name: each.profile for name, each in asked.items()})

    assert {"dev": "ASIAFAKE000000000001", "other": "ASIAFAKE000000000002"} == {
        name: grant.credentials.access_key_id for name, grant in stands.items()
    }


@pytest.mark.parametrize("to_real", [True, False])
def test_another_path_to_the_same_file_changes_nothing_for_readers(
    monkeypatch: pytest.MonkeyPatch, old: Path, *, to_real: bool
) -> None:
    """When the path changes from a link to its target, or back, no swap removes a section."""
    link = old.with_name("link")
    link.symlink_to(old)
    before, after = (link, old) if to_real else (old, link)
    files = keeping(before)
    files.publish(wanted(before, "dev"))
    swaps = Swaps(monkeypatch, "dev", old)

    same = files.publish(wanted(after, "dev"))
    renewed = files.publish(wanted(after, "dev", serial=1))

    assert [{str(after)}, {str(after)}] == [set(same), set(renewed)]
    assert all(isinstance(each, PublishReport) for each in (*same.values(), *renewed.values()))
    # One swap, or two if a second has passed between the grants: marks contain the time.
    assert {True} == set(swaps.seen)
    assert "ASIAFAKE000000000001" == key_of(old, "dev")
    assert not files.tick()


BY_MOUNT = """
import sys
from pathlib import Path
from credfresh.credentials_file import CredentialsFiles
from credfresh.cli.clock import clock
from disk import wanted
one, other = Path(sys.argv[1]), Path(sys.argv[2])
files = CredentialsFiles([], instance="test", clock=clock)
for path in (one, other):
    for outcome in files.publish(wanted(path, "dev")).values():
        print(type(outcome).__name__)
print("[dev]" in one.read_text())
"""


@needs_root
def test_a_second_mount_of_the_directory_leads_to_the_same_file(old: Path, tmp_path: Path) -> None:
    """A bind mount is recognized by its directory, and our own claim does not refuse us."""
    mount = tmp_path / "mount"
    mount.mkdir()
    script = 'mount --bind "$1" "$2"; exec "$PYTHON" -c "$3" "$1/old" "$2/old"'

    done = in_mount_namespace(script, str(old.parent), str(mount), BY_MOUNT)

    assert (0, ["PublishReport", "PublishReport", "True"]) == (
        done.returncode,
        done.stdout.split(),
    ), done.stderr


def test_the_claim_goes_with_the_file_to_its_other_path(old: Path) -> None:
    """The claim is held throughout the change of path, and freed by the release."""
    link = old.with_name("link")
    link.symlink_to(old)
    files = keeping(link)
    files.publish(wanted(link, "dev"))

    files.publish(wanted(old, "dev", serial=1))

    with pytest.raises(AlreadyRunningError):
        keeper(old).claim()
    files.release()
    keeper(link).claim()
    assert [] == temporaries(old)


def test_reports_name_the_path_of_the_present_configuration(old: Path) -> None:
    """Reports name the path that the configuration has now, and its mode is applied."""
    link = old.with_name("link")
    link.symlink_to(old)
    files = keeping(link)
    files.publish(wanted(link, "dev"))
    one = publication("dev", old, 1)
    wider = replace(one, profile=replace(one.profile, target=FileTarget(str(old), 0o640)))
    old.with_name("twin").hardlink_to(old)

    report = files.publish({"dev": wider})[str(old)]

    assert isinstance(report, PublishReport)
    told = [(each.event, dict(each.fields)["path"]) for each in report.remarks]
    assert ("hard_linked", str(old)) in told
    assert 0o640 == old.stat().st_mode & 0o777


def test_a_file_of_two_paths_that_came_to_be_one_is_not_cleared(old: Path, tmp_path: Path) -> None:
    """A path that is no longer wanted, but leads to a wanted file by now, is not cleared."""
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_bytes(FOREIGN)
    link.symlink_to(other)
    files = keeping(old, link)
    files.publish(wanted(old, "dev") | wanted(link, "stage"))
    link.unlink()
    link.symlink_to(old)

    outcomes = files.publish(wanted(old, "dev", "stage"))

    assert {str(old)} == set(outcomes)
    assert [{"dev", "stage"}] == sections(old)
    keeper(other).claim()


def test_a_profile_stands_in_its_new_file_before_it_leaves_the_old(
    monkeypatch: pytest.MonkeyPatch, old: Path, new: Path
) -> None:
    """At every swap the profile stands in one of the two files."""
    new.parent.mkdir()
    new.write_bytes(FOREIGN)
    files = keeping(old)
    files.publish(wanted(old, "dev", "stage"))
    swaps = Swaps(monkeypatch, "dev", old, new)

    files.publish(wanted(new, "dev") | wanted(old, "stage"))

    assert [{"stage"}, {"dev"}] == sections(old, new)
    assert swaps.seen
    assert all(swaps.seen)


def test_a_profile_stays_in_its_old_file_until_the_new_one_has_it(old: Path, new: Path) -> None:
    """The old file is cleared and released only once the profile stands in the new one."""
    files = keeping(old)
    files.publish(wanted(old, "dev"))
    stood = old.read_bytes()

    outcomes = files.publish(wanted(new, "dev"))
    files.publish(wanted(new, "dev", serial=1))

    assert isinstance(outcomes[str(new)], PublishError)
    assert stood == old.read_bytes()
    new.parent.mkdir()
    files.publish(wanted(new, "dev", serial=1))
    assert (FOREIGN, [{"dev"}]) == (old.read_bytes(), sections(new))
    keeper(old).claim()
    assert {str(new)} == set(files.publish(wanted(new, "dev", serial=1)))


def test_a_file_whose_directory_is_gone_is_let_go_when_nothing_is_wanted_of_it(
    tmp_path: Path, new: Path
) -> None:
    """If the old directory is removed and another path configured, the publish succeeds."""
    new.parent.mkdir()
    old = tmp_path / "gone" / "credentials"
    old.parent.mkdir()
    files = keeping(old)
    files.publish(wanted(old, "dev"))
    shutil.rmtree(old.parent)

    outcomes = files.publish(wanted(new, "dev"))
    assert all(isinstance(outcome, PublishReport) for outcome in outcomes.values())
    assert {str(new)} == set(files.publish(wanted(new, "dev")))
    files.release()


def test_profiles_that_stay_are_renewed_while_another_waits_to_leave(old: Path, new: Path) -> None:
    """A new file that cannot be written stops no renewal of the profiles that stay."""
    files = keeping(old)
    files.publish(wanted(old, "dev", "stage"))

    files.publish(wanted(old, "stage", serial=1) | wanted(new, "dev", serial=1))

    assert ["ASIAFAKE000000000000", "ASIAFAKE000000000001"] == [
        key_of(old, name) for name in ("dev", "stage")
    ]
    new.parent.mkdir()
    files.publish(wanted(old, "stage", serial=1) | wanted(new, "dev", serial=1))
    assert [{"stage"}, {"dev"}] == sections(old, new)


def test_two_profiles_change_places(old: Path, new: Path) -> None:
    """Two profiles that swap files end up each in its new file alone."""
    new.parent.mkdir()
    files = keeping(old)
    files.publish(wanted(old, "dev") | wanted(new, "stage"))

    outcomes = files.publish(wanted(new, "dev") | wanted(old, "stage"))

    assert [{"stage"}, {"dev"}] == sections(old, new)
    removed = [each.removed for each in outcomes.values() if isinstance(each, PublishReport)]
    assert [("dev",), ("stage",)] == sorted(removed)


def test_a_section_can_be_taken_over_by_another_profile_at_once(old: Path, new: Path) -> None:
    """Readers of that section get the new profile's credentials at once, and keep getting them."""
    files = keeping(old)
    files.publish(wanted(old, "dev"))
    other = publication("other", old, 1)
    other = replace(other, profile=replace(other.profile, section="dev"))

    files.publish(wanted(new, "dev") | {"other": other})
    assert "ASIAFAKE000000000001" == key_of(old, "dev")
    new.parent.mkdir()
    files.publish(wanted(new, "dev") | {"other": other})

    assert "ASIAFAKE000000000001" == key_of(old, "dev")
    assert [{"dev"}, {"dev"}] == sections(old, new)


def test_a_profile_that_is_refused_in_its_new_file_stays_in_the_old(old: Path, new: Path) -> None:
    """While a foreign section has a profile's name in the new file, the old section stays."""
    new.parent.mkdir()
    new.write_bytes(b"[dev]\naws_access_key_id = AKIATHEIRS\n")
    files = keeping(old)
    files.publish(wanted(old, "dev"))

    files.publish(wanted(new, "dev"))

    assert "ASIAFAKE000000000000" == key_of(old, "dev")
    new.write_bytes(b"")
    files.publish(wanted(new, "dev"))
    assert [set(), {"dev"}] == sections(old, new)


def test_a_moved_profile_stays_in_its_old_file_until_it_has_credentials(
    old: Path, new: Path
) -> None:
    """Until a moved profile has new credentials, its section stays in the old file."""
    new.parent.mkdir()
    files = keeping(old)
    files.publish(wanted(old, "dev"))

    files.publish({"dev": Publication(publication("dev", new).profile)})
    assert [{"dev"}] == sections(old)
    files.publish(wanted(new, "dev"))

    assert [set(), {"dev"}] == sections(old, new)


def test_a_withdrawn_profile_is_left_in_no_file(old: Path, new: Path) -> None:
    """A withdrawn profile whose path changed is removed from its old file as well."""
    files = keeping(old)
    files.publish(wanted(old, "dev"))

    files.publish({"dev": Publication(publication("dev", new).profile, withdraw=True)})

    assert FOREIGN == old.read_bytes()


def alter(path: Path) -> None:
    """Change the secret in a section of ours, so that its mark proves nothing any more."""
    path.write_bytes(re.sub(rb"(aws_secret_access_key = )\S+", rb"\1altered", path.read_bytes()))


@pytest.mark.parametrize("then", ["moved", "moved and withdrawn", "removed"])
def test_an_altered_section_goes_with_its_profile(old: Path, new: Path, then: str) -> None:
    """A section that somebody altered a moment ago does not outlive its profile in the old file."""
    old.write_bytes(b"")
    new.parent.mkdir()
    files = keeping(old)
    files.publish(wanted(old, "dev"))
    alter(old)
    moved = wanted(new, "dev", serial=1)
    gone = {"dev": Publication(moved["dev"].profile, withdraw=True)}

    files.publish({"moved": moved, "moved and withdrawn": gone, "removed": {}}[then])

    assert b"" == old.read_bytes()
    keeper(old).claim()


def test_an_altered_section_goes_although_the_first_try_fails(old: Path, new: Path) -> None:
    """If the old file cannot be written when the profile moves, the altered section goes later."""
    new.parent.mkdir()
    old.write_bytes(b"")
    files = keeping(old)
    files.publish(wanted(old, "dev"))
    alter(old)
    old.chmod(0o666)

    files.publish(wanted(new, "dev", serial=1))
    old.chmod(0o600)
    files.publish(wanted(new, "dev", serial=1))

    assert b"" == old.read_bytes()


def test_keys_pasted_into_the_section_of_a_profile_that_moves_stay(old: Path, new: Path) -> None:
    """A section of a moved profile that holds keys that we did not issue stays in the old file."""
    new.parent.mkdir()
    files = keeping(old)
    files.publish(wanted(old, "dev"))
    pasted = old.read_bytes().replace(b"= ASIAFAKE000000000000", b"= AKIAPASTED")
    old.write_bytes(pasted)

    files.publish(wanted(new, "dev", serial=1))

    assert pasted == old.read_bytes()
    keeper(old).claim()
