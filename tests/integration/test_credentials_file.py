"""The shared credentials file on a real disk: published, kept, given up."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from credfresh.cli.clock import clock
from credfresh.config.parse import parse
from credfresh.credentials_file import CredentialsFiles, SharedCredentialsFile
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.model import Grant, SessionCredentials
from credfresh.publication import Publication, PublishReport
from credfresh.settings import FileTarget
from disk import (
    FOREIGN,
    Steps,
    Waits,
    age,
    for_children,
    keeper,
    key_of,
    needs_fine_times,
    needs_root,
    publication,
    publish_and_leave,
    read_by_sdk,
    temporaries,
    wanted,
)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "credentials"


def test_a_new_file_is_created_for_its_readers_alone(path: Path) -> None:
    """The file has the configured mode, whatever the umask, and an SDK reads the grant from it."""
    before = os.umask(0o777)
    try:
        report = keeper(path, mode=0o640).publish(wanted(path, "dev"))
    finally:
        os.umask(before)

    assert report.written
    assert path.stat().st_size == report.size
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)
    assert "fake-token" == read_by_sdk(path)["dev"]["aws_session_token"]
    assert [] == temporaries(path)


def test_foreign_bytes_are_the_same_after_publish_renewal_and_withdrawal(path: Path) -> None:
    """After publishing, renewing and withdrawing, the file has its original bytes."""
    original = FOREIGN + b"; no final line end"
    path.write_bytes(original)
    file = keeper(path)

    file.publish(wanted(path, "dev", "production"))
    assert path.read_bytes().startswith(original)
    file.publish(wanted(path, "dev", "production", serial=1))
    report = file.publish({})

    assert {"dev", "production"} == set(report.removed)
    assert original == path.read_bytes()


def test_equal_bytes_are_not_written(path: Path) -> None:
    """A publish that changes no byte does not touch the file or its mtime."""
    file = keeper(path)
    asked = wanted(path, "dev")
    file.publish(asked)
    file.tick()
    before = path.stat()

    report = file.publish(dict(asked))

    assert not report.written
    assert (before.st_ino, before.st_mtime_ns) == (path.stat().st_ino, path.stat().st_mtime_ns)


def test_an_open_file_stays_whole(path: Path) -> None:
    """A reader that has opened the old file reads all of it after the swap."""
    file = keeper(path)
    file.publish(wanted(path, "dev"))
    old = path.read_bytes()

    with path.open("rb") as reader:
        file.publish(wanted(path, "dev", serial=1))
        assert old == reader.read()


def test_the_mtime_is_set_after_the_swap(path: Path) -> None:
    """The mtime is set after the swap, so a reader that loaded just before sees a newer file."""
    steps = Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    steps.before["stamp"] = lambda: age(path)

    file.publish(wanted(path, "dev", serial=1))

    assert clock().wall - path.stat().st_mtime < 5


def test_the_mtime_is_later_than_any_load_of_the_old_file(path: Path) -> None:
    """The mtime comes from the readers' clock, which is finer than the kernel's "now"."""
    needs_fine_times(path.parent)
    steps = Steps()
    file = keeper(path, hook=steps)
    loaded: list[float] = []
    for serial in range(20):
        steps.before["swap"] = lambda: loaded.append(clock().wall)
        file.publish(wanted(path, "dev", serial=serial))

        stamped = path.stat().st_mtime
        assert loaded[-1] < int(stamped * 1000) / 1000
        assert stamped < clock().wall + 0.002


def test_the_steps_come_in_their_order(path: Path) -> None:
    """Attributes are set before the content, sync precedes the swap, the directory comes last."""
    steps = Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    steps.taken.clear()
    file.publish(wanted(path, "dev", serial=1))

    before = ["lock", "read", "splice", "attributes", "create", "attributes"]
    before += ["write", "sync", "verify"]
    assert [*before, "swap", "compare", "stamp", "sync_directory"] == steps.taken


def test_a_link_is_followed_and_stays(path: Path, tmp_path: Path) -> None:
    """The target of a link is replaced, with its side files beside it; the link stays."""
    (tmp_path / "real").mkdir()
    path.symlink_to("real/target")

    keeper(path).publish(wanted(path, "dev"))

    assert path.is_symlink()
    assert "ASIAFAKE000000000000" == key_of(tmp_path / "real" / "target", "dev")
    assert {"target", "target.lock", "target.credfresh"} == {
        entry.name for entry in (tmp_path / "real").iterdir()
    }


def test_a_link_that_moved_is_followed_anew(path: Path, tmp_path: Path) -> None:
    """When the link leads elsewhere, the file there is claimed and the old claim given up."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    path.symlink_to("one/file")
    file = keeper(path)
    file.claim()
    file.publish(wanted(path, "dev"))
    path.unlink()
    path.symlink_to("two/file")

    assert file.tick()
    file.publish(wanted(path, "dev", serial=1))

    assert "ASIAFAKE000000000001" == key_of(tmp_path / "two" / "file", "dev")
    with pytest.raises(AlreadyRunningError):
        keeper(tmp_path / "two" / "file").claim()
    keeper(tmp_path / "one" / "file").claim()


@needs_root
def test_owner_group_and_mode_are_as_configured(path: Path) -> None:
    """Owner and group may be a name or a number, and drift is repaired."""
    file = keeper(path, mode=0o640, owner="nobody", group="4321")
    file.publish(wanted(path, "dev"))
    file.tick()
    os.chown(path, 0, 0)
    path.chmod(0o600)

    assert file.tick()
    assert file.publish(wanted(path, "dev")).written
    info = path.stat()
    assert (65_534, 4321, 0o640) == (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode))


@needs_root
def test_a_group_that_is_not_configured_is_kept(path: Path) -> None:
    """A group that somebody gave the file stays if none is configured."""
    path.write_bytes(FOREIGN)
    os.chown(path, 0, 4321)

    keeper(path, mode=0o640).publish(wanted(path, "dev"))

    assert 4321 == path.stat().st_gid


def test_no_rights_are_ever_wider_than_asked(path: Path) -> None:
    """Before every step, file and temporary have mode 0600."""
    path.write_bytes(FOREIGN)
    path.chmod(0o600)
    seen: set[int] = set()

    def look(_step: str) -> None:
        seen.update(
            stat.S_IMODE(entry.lstat().st_mode)
            for entry in path.parent.iterdir()
            if entry.name.endswith((".tmp", "credentials"))
        )

    before = os.umask(0)
    try:
        file = keeper(path, mode=0o600, hook=look)
        file.publish(wanted(path, "dev"))
    finally:
        os.umask(before)

    assert {0o600} == seen


def test_a_file_that_became_too_open_is_closed_again(path: Path) -> None:
    """A widened mode is noticed by the next tick and repaired by the next publish."""
    file = keeper(path)
    asked = wanted(path, "dev")
    file.publish(asked)
    file.tick()
    path.chmod(0o666)

    assert file.tick()
    assert file.publish(asked).written
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("harm", ["altered", "deleted", "emptied", "vanished"])
def test_drift_is_seen_and_repaired(path: Path, harm: str) -> None:
    """A section altered or deleted, or a file emptied or gone, is restored, and the log says so."""
    needs_fine_times(path.parent)
    waits = Waits()
    file = keeper(path, pause=waits)
    asked = wanted(path, "dev", "production")
    file.publish(asked)
    whole = path.read_bytes()
    assert not file.tick()
    match harm:
        case "altered":
            path.write_bytes(whole.replace(b"eu-west-1", b"us-east-1", 1))
        case "deleted":
            path.write_bytes(whole[whole.index(b"[production]") :])
        case "emptied":
            path.write_bytes(b"")
        case "vanished":
            path.unlink()

    assert file.tick()
    report = file.publish(asked)
    assert report.written
    harmed = ["dev"] if harm in {"altered", "deleted"} else ["dev", "production"]
    assert [("section_repaired", section) for section in harmed] == [
        (remark.event, dict(remark.fields)["section"]) for remark in report.remarks
    ]
    assert sorted(whole.split(b"[")) == sorted(path.read_bytes().split(b"["))
    assert not file.tick()


def test_a_section_that_we_removed_ourselves_is_not_told_as_taken(path: Path) -> None:
    """A section that comes back after a withdrawal, or is new, is not told as repaired."""
    file = keeper(path)
    file.publish(wanted(path, "dev"))
    file.publish({})
    assert () == file.publish(wanted(path, "dev")).remarks
    assert () == file.publish(wanted(path, "dev", "production")).remarks


def test_an_edit_by_others_causes_one_look_and_no_more(path: Path) -> None:
    """After an edit by others one look follows; later ticks trust the file's times."""
    file = keeper(path)
    asked = wanted(path, "dev")
    file.publish(asked)
    with path.open("ab") as theirs:
        theirs.write(FOREIGN)

    assert file.tick()
    assert not file.publish(asked).written
    age(path)
    file.tick()
    assert not file.tick()


def test_a_quick_change_right_after_our_write_is_seen(path: Path) -> None:
    """A change of equal size and equal mtime is found by comparing bytes."""
    file = keeper(path)
    asked = wanted(path, "dev")
    file.publish(asked)
    info = path.stat()
    path.write_bytes(path.read_bytes().replace(b"fake-token", b"evil-token"))
    os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))

    assert file.tick()


def test_a_second_daemon_is_refused_until_the_first_ends(path: Path) -> None:
    """The second daemon is told who keeps the file; another file can still be claimed."""
    first = keeper(path, instance="one")
    first.claim()

    with pytest.raises(AlreadyRunningError, match=f"pid={os.getpid()} instance=one"):
        keeper(path, instance="two").claim()

    keeper(path.with_name("other")).claim()
    first.release()
    keeper(path, instance="two").claim()


def test_the_claim_dies_with_its_process(path: Path) -> None:
    """After kill -9 a lock file is left, but it is no longer locked."""
    script = (
        "import sys, os, signal, pathlib; from disk import keeper;"
        "keeper(pathlib.Path(sys.argv[1])).claim(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", script, path], env=for_children(), check=False)

    assert -9 == died.returncode
    assert path.with_name("credentials.credfresh").exists()
    keeper(path).claim()


def test_a_removed_life_lock_is_taken_again(path: Path) -> None:
    """If our lock file is deleted, the next tick restores the claim."""
    file = keeper(path)
    file.claim()
    asked = wanted(path, "dev")
    file.publish(asked)
    path.with_name("credentials.credfresh").unlink()

    assert file.tick()
    file.publish(asked)

    with pytest.raises(AlreadyRunningError):
        keeper(path).claim()


def test_a_claim_lost_to_another_daemon_is_an_error(path: Path) -> None:
    """A daemon that lost its claim stops writing: two writers would undo each other."""
    file = keeper(path, instance="one")
    file.claim()
    path.with_name("credentials.credfresh").unlink()
    keeper(path, instance="two").claim()

    with pytest.raises(PublishError) as caught:
        file.publish(wanted(path, "dev"))

    assert ("claim", "claimed") == (caught.value.step, caught.value.code)


def test_a_warm_restart_finds_what_stands(path: Path) -> None:
    """The grant is rebuilt from the mark, with its secrets and both clocks."""
    one = publication("dev", path)
    assert one.grant is not None
    publish_and_leave(path, {"dev": one})

    second = keeper(path)
    second.claim()
    found = second.standing({"dev": one.profile})["dev"]

    assert one.grant.credentials.session_token == found.credentials.session_token
    assert one.grant.request == found.request
    assert 3600 == pytest.approx(found.lifetime, abs=1)
    assert one.grant.sent_at.boot == pytest.approx(found.sent_at.boot, abs=1.5)
    assert second.issued("ASIAFAKE000000000000")
    assert not second.publish({"dev": Publication(one.profile, found)}).written


@pytest.mark.parametrize("doubt", ["file", "directory", "key", "future", "role", "altered"])
def test_a_doubtful_mark_is_not_believed(path: Path, doubt: str) -> None:
    """A mark that others may have written, or that cannot be right, costs one renewal."""
    one = publication("dev", path)
    publish_and_leave(path, {"dev": one})
    asked = one.profile
    match doubt:
        case "file":
            path.chmod(0o620)
        case "directory":
            path.parent.chmod(0o1777)
        case "key":
            serial = replace(one, grant=replace(_grant(one), credentials=_long_term(one)))
            path.unlink()
            publish_and_leave(path, {"dev": serial})
        case "future":
            path.unlink()
            later = replace(_grant(one), sent_at=clock() + 600)
            publish_and_leave(path, {"dev": replace(one, grant=later)})
        case "role":
            asked = replace(asked, role_arn="arn:aws:iam::111111111111:role/other")
        case "altered":
            path.write_bytes(path.read_bytes().replace(b"fake-token", b"evil-token"))

    assert {} == keeper(path).standing({"dev": asked})


@pytest.mark.parametrize(
    ("sts", "environment"),
    [
        ("sts: {endpoint_url: 'http://127.0.0.1:4566'}\n", {}),
        ("", {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:4566"}),
    ],
)
def test_where_another_sts_is_named_marks_with_any_key_id_are_believed(
    path: Path, sts: str, environment: dict[str, str]
) -> None:
    """LocalStack's key ids begin with LSIA; they must not make each `once` renew everything."""
    file = path.with_name("credfresh.yaml")
    one = publication("dev", path)
    elsewhere = parse(
        f"credentials_file: {{path: {path}}}\n{sts}"
        "defaults: {region: eu-west-1}\n"
        f"profiles: {{dev: {{role_arn: '{one.profile.role_arn}'}}}}\n".encode(),
        str(file),
        environment=environment,
    ).profiles["dev"]
    credentials = replace(_grant(one).credentials, access_key_id="LSIAFAKE000000000000")
    publish_and_leave(
        path, {"dev": replace(one, grant=replace(_grant(one), credentials=credentials))}
    )

    assert ["dev"] == list(keeper(path).standing({"dev": elsewhere}))


def _grant(one: Publication) -> Grant:
    assert one.grant is not None
    return one.grant


def _long_term(one: Publication) -> SessionCredentials:
    return replace(_grant(one).credentials, access_key_id="AKIAFAKE000000000000")


def test_a_missing_file_has_no_credentials_and_is_no_error(path: Path) -> None:
    """On a first start there are no credentials, and no error."""
    assert {} == keeper(path).standing({"dev": publication("dev", path).profile})


def test_removed_profiles_leave_the_file_and_other_instances_stay(path: Path) -> None:
    """A profile removed from the configuration leaves the file; another instance's stay."""
    publish_and_leave(path, wanted(path, "their"), instance="theirs")
    publish_and_leave(path, wanted(path, "dev", "production"), instance="ours")

    second = keeper(path, instance="ours")
    report = second.publish({"dev": Publication(publication("dev", path).profile)})

    assert ("production",) == report.removed
    assert {"their", "dev"} == set(read_by_sdk(path))


def test_a_withdrawn_profile_loses_its_section_alone(path: Path) -> None:
    """A publication with `withdraw` removes its section and no other."""
    file = keeper(path)
    file.publish(wanted(path, "dev", "production"))

    gone = Publication(publication("dev", path).profile, withdraw=True)
    report = file.publish({**wanted(path, "production"), "dev": gone})

    assert ("dev",) == report.removed
    assert {"production"} == set(read_by_sdk(path))


def test_a_foreign_section_is_refused_and_the_others_published(path: Path) -> None:
    """A foreign section may hold long-term keys: its profile is refused, the others published."""
    path.write_bytes(FOREIGN)

    report = keeper(path).publish(wanted(path, "foreign", "dev"))

    assert [("foreign", "foreign")] == [(each.profile, each.code) for each in report.refused]
    assert "AKIAFOREIGN" == key_of(path, "foreign")
    assert "ASIAFAKE000000000000" == key_of(path, "dev")


def test_adopt_replaces_a_foreign_section_and_reports_it(path: Path) -> None:
    """With `adopt: true` a foreign section is replaced, and `section_adopted` reported."""
    path.write_bytes(FOREIGN)

    report = keeper(path).publish({"foreign": publication("foreign", path, adopt=True)})

    assert ["section_adopted"] == [remark.event for remark in report.remarks]
    assert "ASIAFAKE000000000000" == key_of(path, "foreign")


def test_a_token_that_cannot_be_written_harms_no_other_profile(path: Path) -> None:
    """A token with a line end could forge lines: it is refused, and not quoted."""
    bad = publication("dev", path)
    evil = replace(_grant(bad).credentials, session_token="x\n[admin]")
    bad = replace(bad, grant=replace(_grant(bad), credentials=evil))

    report = keeper(path).publish({**wanted(path, "production"), "dev": bad})

    assert [("dev", "unwritable")] == [(each.profile, each.code) for each in report.refused]
    assert "admin" not in report.refused[0].reason
    assert {"production"} == set(read_by_sdk(path))


def test_our_keys_are_recognised_however_long_ago_they_expired(path: Path) -> None:
    """Keys that we wrote are recognized though they expired days ago and their marks are gone."""
    days = 0.0
    file = SharedCredentialsFile(
        FileTarget(str(path)), instance="test", clock=lambda: clock() + days * 86_400
    )
    asked = wanted(path, "dev")
    file.publish(asked)
    days = 2.5
    file.publish(asked)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if not line.startswith(b"#")))

    report = file.publish(wanted(path, "dev", serial=1))

    assert () == report.refused
    assert "ASIAFAKE000000000001" == key_of(path, "dev")


def test_a_broken_file_is_spliced_all_the_same_and_told_once(path: Path) -> None:
    """Our sections are published into a flawed file; the flaw's line is reported once."""
    path.write_bytes(b"[twice]\na = 1\n[twice]\na = 2\n")
    file = keeper(path, pause=Waits())

    first = file.publish(wanted(path, "dev"))
    second = file.publish(wanted(path, "dev", serial=1))

    assert [("file_flawed", 3)] == [(r.event, dict(r.fields)["line"]) for r in first.remarks]
    assert () == second.remarks
    assert path.read_bytes().startswith(b"[twice]\na = 1\n[twice]\na = 2\n[dev]\n")

    path.write_bytes(path.read_bytes().replace(b"[twice]\na = 1\n", b""))
    third = file.publish(wanted(path, "dev", serial=1))
    assert (first.flaw or "").startswith("line 3: ")
    assert [first.flaw, None] == [second.flaw, third.flaw]


def test_a_hard_linked_twin_is_told_once(path: Path) -> None:
    """The file is published, its other hard link keeps its content, and one report says so."""
    path.write_bytes(FOREIGN)
    twin = path.with_name("twin")
    twin.hardlink_to(path)
    file = keeper(path)

    report = file.publish(wanted(path, "dev"))

    assert ["hard_linked"] == [remark.event for remark in report.remarks]
    assert FOREIGN == twin.read_bytes()
    assert () == file.publish(wanted(path, "dev", serial=1)).remarks


def test_readers_never_find_half_a_file(path: Path) -> None:
    """Two readers always find every section while the file is rewritten, grows and shrinks."""
    path.write_bytes(FOREIGN)
    file = keeper(path)
    file.publish(wanted(path, "dev"))
    stop, problems, reads = threading.Event(), [], [0, 0]

    def read(reader: int) -> None:
        while not stop.is_set():
            reads[reader] += 1
            try:
                sections = read_by_sdk(path)
                if not {"foreign", "dev"} <= sections.keys():
                    problems.append(sorted(sections))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what a reader gets
                problems.append([repr(error)])

    readers = [threading.Thread(target=read, args=(n,)) for n in range(2)]
    for reader in readers:
        reader.start()
    serial = 0
    while serial < 60 or min(reads) <= 10:
        file.publish(wanted(path, "dev", *(f"p{n}" for n in range(serial % 7)), serial=serial))
        serial += 1
    stop.set()
    for reader in readers:
        reader.join()

    assert [] == problems


def test_each_profile_goes_to_its_own_file(tmp_path: Path) -> None:
    """Each profile goes to its own file; outcomes are by path; a failing file stops no other."""
    good, bad = tmp_path / "good", tmp_path / "missing" / "bad"
    files = CredentialsFiles([FileTarget(str(good))], instance="test", clock=clock)
    files.claim()

    outcomes = files.publish(wanted(good, "dev") | wanted(bad, "production"))

    assert isinstance(outcomes[str(good)], PublishReport)
    assert isinstance(outcomes[str(bad)], PublishError)
    assert {"dev"} == set(read_by_sdk(good))
    bad.parent.mkdir()
    files.publish(wanted(good, "dev") | wanted(bad, "production"))
    assert {"production"} == set(read_by_sdk(bad))
    assert files.issued("ASIAFAKE000000000000")
    files.release()


def test_a_file_that_is_wanted_no_more_is_cleared_and_let_go(tmp_path: Path) -> None:
    """A profile that moves to another file leaves nothing in the old one, whose claim ends."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(FOREIGN)
    files = CredentialsFiles([FileTarget(str(old))], instance="test", clock=clock)
    files.claim()
    files.publish(wanted(old, "dev"))

    files.publish(wanted(new, "dev"))

    assert FOREIGN == old.read_bytes()
    assert {"dev"} == set(read_by_sdk(new))
    keeper(old).claim()
    assert not files.tick()


def test_all_files_are_claimed_or_none(tmp_path: Path) -> None:
    """If another daemon keeps one of the files, none is claimed."""
    one, two = tmp_path / "one", tmp_path / "two"
    other = keeper(two)
    other.claim()
    files = CredentialsFiles(
        [FileTarget(str(one)), FileTarget(str(two))], instance="test", clock=clock
    )

    with pytest.raises(AlreadyRunningError):
        files.claim()

    keeper(one).claim()


def test_a_new_mode_is_put_on_at_the_next_publish(tmp_path: Path) -> None:
    """A reload that changes the mode needs no restart."""
    path = tmp_path / "credentials"
    files = CredentialsFiles([FileTarget(str(path))], instance="test", clock=clock)
    asked = wanted(path, "dev")
    files.publish(asked)
    wider = {
        name: replace(each, profile=replace(each.profile, target=FileTarget(str(path), 0o640)))
        for name, each in asked.items()
    }

    files.publish(wider)

    assert 0o640 == stat.S_IMODE(path.stat().st_mode)
