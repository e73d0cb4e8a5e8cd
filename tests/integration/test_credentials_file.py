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
    """It has the mode asked for, whatever the umask, and an SDK reads what was granted."""
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


def test_foreign_bytes_stay_and_come_back(path: Path) -> None:
    """Published, renewed and withdrawn again, the file is what it was to the byte."""
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
    """Nothing changes on disk, not even a time."""
    file = keeper(path)
    asked = wanted(path, "dev")
    file.publish(asked)
    file.tick()
    before = path.stat()

    report = file.publish(dict(asked))

    assert not report.written
    assert (before.st_ino, before.st_mtime_ns) == (path.stat().st_ino, path.stat().st_mtime_ns)


def test_an_open_file_stays_whole(path: Path) -> None:
    """A reader that opened the old file reads it to its end."""
    file = keeper(path)
    file.publish(wanted(path, "dev"))
    old = path.read_bytes()

    with path.open("rb") as reader:
        file.publish(wanted(path, "dev", serial=1))
        assert old == reader.read()


def test_the_time_is_set_after_the_swap(path: Path) -> None:
    """A reader that loaded the old file just before the swap still finds the new one newer."""
    steps = Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    steps.before["stamp"] = lambda: age(path)

    file.publish(wanted(path, "dev", serial=1))

    assert clock().wall - path.stat().st_mtime < 5


def test_the_time_is_later_than_any_load_of_the_old_file(path: Path) -> None:
    """By the clock that readers look at, which is finer than the kernel's stamp of "now"."""
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
    """Attributes before there is content, durable before the swap, the directory last."""
    steps = Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    steps.taken.clear()
    file.publish(wanted(path, "dev", serial=1))

    before = ["lock", "read", "splice", "attributes", "create", "attributes"]
    before += ["write", "sync", "verify"]
    assert [*before, "swap", "compare", "stamp", "sync_directory"] == steps.taken


def test_a_link_is_followed_and_stays(path: Path, tmp_path: Path) -> None:
    """The target is replaced, its side files lie beside it, the link is as it was."""
    (tmp_path / "real").mkdir()
    path.symlink_to("real/target")

    keeper(path).publish(wanted(path, "dev"))

    assert path.is_symlink()
    assert "ASIAFAKE000000000000" == key_of(tmp_path / "real" / "target", "dev")
    assert {"target", "target.lock", "target.credfresh"} == {
        entry.name for entry in (tmp_path / "real").iterdir()
    }


def test_a_link_that_moved_is_followed_anew(path: Path, tmp_path: Path) -> None:
    """The claim moves along with the file."""
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
    """By name or number; and they are mended when they drift."""
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
def test_what_is_not_configured_is_kept(path: Path) -> None:
    """The group that somebody gave the file outlives our writes."""
    path.write_bytes(FOREIGN)
    os.chown(path, 0, 4321)

    keeper(path, mode=0o640).publish(wanted(path, "dev"))

    assert 4321 == path.stat().st_gid


def test_no_rights_are_ever_wider_than_asked(path: Path) -> None:
    """Seen from before every step, neither file nor temporary lets more people in."""
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
    """Its content is known to be ours, so the mode is put right within a tick."""
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
    """An owned section altered or deleted, a file emptied or gone: back after one tick."""
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
    assert file.publish(asked).written
    assert sorted(whole.split(b"[")) == sorted(path.read_bytes().split(b"["))
    assert not file.tick()


def test_a_change_of_others_is_taken_in_and_asks_for_nothing_more(path: Path) -> None:
    """Foreign edits are no drift: looked at once, then the file's times prove the rest."""
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
    """Same size, same tick of the file system's clock: times prove nothing then, bytes do."""
    file = keeper(path)
    asked = wanted(path, "dev")
    file.publish(asked)
    info = path.stat()
    path.write_bytes(path.read_bytes().replace(b"fake-token", b"evil-token"))
    os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))

    assert file.tick()


def test_a_second_daemon_is_refused_until_the_first_ends(path: Path) -> None:
    """And is told who keeps the file. Another file is nobody's business."""
    first = keeper(path, instance="one")
    first.claim()

    with pytest.raises(AlreadyRunningError, match=f"pid={os.getpid()} instance=one"):
        keeper(path, instance="two").claim()

    keeper(path.with_name("other")).claim()
    first.release()
    keeper(path, instance="two").claim()


def test_the_claim_dies_with_its_process(path: Path) -> None:
    """A kill -9 leaves a lock file that stops nobody."""
    script = (
        "import sys, os, signal, pathlib; from disk import keeper;"
        "keeper(pathlib.Path(sys.argv[1])).claim(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", script, path], env=for_children(), check=False)

    assert -9 == died.returncode
    assert path.with_name("credentials.credfresh").exists()
    keeper(path).claim()


def test_a_removed_life_lock_is_taken_again(path: Path) -> None:
    """A tidy-up of old files lets no second daemon in for longer than a tick."""
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
    """Two writers of one instance would undo each other: the one that lost stops writing."""
    file = keeper(path, instance="one")
    file.claim()
    path.with_name("credentials.credfresh").unlink()
    keeper(path, instance="two").claim()

    with pytest.raises(PublishError) as caught:
        file.publish(wanted(path, "dev"))

    assert ("claim", "claimed") == (caught.value.step, caught.value.code)


def test_a_warm_restart_finds_what_stands(path: Path) -> None:
    """The grant is rebuilt from the mark, on both clocks, with its secrets."""
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
    """What others may have written, or what cannot be right, costs a renewal and no more."""
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


def test_of_another_endpoint_key_ids_of_any_kind_are_believed(path: Path) -> None:
    """LocalStack's begin with LSIA: else each run of `once` would renew everything."""
    file = path.with_name("credfresh.yaml")
    one = publication("dev", path)
    elsewhere = parse(
        f"credentials_file: {{path: {path}}}\nsts: {{endpoint_url: 'http://127.0.0.1:4566'}}\n"
        "defaults: {region: eu-west-1}\n"
        f"profiles: {{dev: {{role_arn: '{one.profile.role_arn}'}}}}\n".encode(),
        str(file),
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


def test_nothing_stands_where_there_is_no_file(path: Path) -> None:
    """A first start finds no credentials, and no error."""
    assert {} == keeper(path).standing({"dev": publication("dev", path).profile})


def test_orphans_go_and_others_stay(path: Path) -> None:
    """What left the configuration leaves the file, also after a restart; nobody else's does."""
    publish_and_leave(path, wanted(path, "their"), instance="theirs")
    publish_and_leave(path, wanted(path, "dev", "production"), instance="ours")

    second = keeper(path, instance="ours")
    report = second.publish({"dev": Publication(publication("dev", path).profile)})

    assert ("production",) == report.removed
    assert {"their", "dev"} == set(read_by_sdk(path))


def test_a_withdrawn_section_goes(path: Path) -> None:
    """`on_expired: remove` takes the section and leaves the rest."""
    file = keeper(path)
    file.publish(wanted(path, "dev", "production"))

    gone = Publication(publication("dev", path).profile, withdraw=True)
    report = file.publish({**wanted(path, "production"), "dev": gone})

    assert ("dev",) == report.removed
    assert {"production"} == set(read_by_sdk(path))


def test_a_foreign_section_is_refused_and_the_others_published(path: Path) -> None:
    """Long-term keys may live there: they stay, the profile is refused, the rest goes out."""
    path.write_bytes(FOREIGN)

    report = keeper(path).publish(wanted(path, "foreign", "dev"))

    assert [("foreign", "foreign")] == [(each.profile, each.code) for each in report.refused]
    assert "AKIAFOREIGN" == key_of(path, "foreign")
    assert "ASIAFAKE000000000000" == key_of(path, "dev")


def test_adopt_replaces_a_foreign_section_aloud(path: Path) -> None:
    """Only where the configuration says so, and it is told."""
    path.write_bytes(FOREIGN)

    report = keeper(path).publish({"foreign": publication("foreign", path, adopt=True)})

    assert ["section_adopted"] == [remark.event for remark in report.remarks]
    assert "ASIAFAKE000000000000" == key_of(path, "foreign")


def test_what_cannot_be_written_harms_no_other_profile(path: Path) -> None:
    """A token with a line end in it would forge lines: refused, without being repeated."""
    bad = publication("dev", path)
    evil = replace(_grant(bad).credentials, session_token="x\n[admin]")
    bad = replace(bad, grant=replace(_grant(bad), credentials=evil))

    report = keeper(path).publish({**wanted(path, "production"), "dev": bad})

    assert [("dev", "unwritable")] == [(each.profile, each.code) for each in report.refused]
    assert "admin" not in report.refused[0].reason
    assert {"production"} == set(read_by_sdk(path))


def test_what_still_stands_is_known_as_ours_however_long_ago_it_expired(path: Path) -> None:
    """A role was out of order over the weekend, and a writer that drops all marks came by."""
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
    """Others can read it; the line is named; not again while it stays."""
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
    """The file is published; the twin keeps what it had, and an operator is told."""
    path.write_bytes(FOREIGN)
    twin = path.with_name("twin")
    twin.hardlink_to(path)
    file = keeper(path)

    report = file.publish(wanted(path, "dev"))

    assert ["hard_linked"] == [remark.event for remark in report.remarks]
    assert FOREIGN == twin.read_bytes()
    assert () == file.publish(wanted(path, "dev", serial=1)).remarks


def test_readers_never_find_half_a_file(path: Path) -> None:
    """Two readers hammer while the file is rewritten and grows and shrinks."""
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


def test_every_file_has_its_share(tmp_path: Path) -> None:
    """Profiles go to their own file, one failing file stops no other, by path."""
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
    """A profile that moves to another file leaves nothing behind in the old one."""
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


def test_all_or_none_are_claimed(tmp_path: Path) -> None:
    """Where another daemon keeps one of the files, the others are not held on to."""
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
    """A reload that changes mode or group needs no restart."""
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
