"""The endpoint's tokens on a real disk, and the application on a real socket."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from credfresh.cli.clock import clock
from credfresh.endpoint.application import Application
from credfresh.endpoint.shelf import Shelf
from credfresh.endpoint.tokens import Tokens
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.listener import Listener
from credfresh.publication import Publication
from credfresh.settings import FileTarget, TcpAddress, TokenFile
from disk import needs_fine_times, needs_root
from fakes import grant, profile
from programs import free_port

NAMES = frozenset({"production"})


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "tokens"


class Chance:
    """Bytes that differ in each call, but not between runs."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, size: int) -> bytes:
        self.drawn += 1
        return bytes([self.drawn]) * size


def token_file(directory: Path, name: str = "production", mode: int = 0o640) -> TokenFile:
    """Return the file of a token, and the profiles that it opens."""
    published = FileTarget(str(directory.parent / "credentials"), mode)
    return TokenFile(FileTarget(str(directory / name), mode), frozenset({name}), (published,))


def folder_of(directory: Path, mode: int = 0o640) -> FileTarget:
    """Return the directory of tokens, and its mode."""
    return FileTarget(str(directory), mode)


def bring(tokens: Tokens, directory: Path, *names: str) -> dict[str, frozenset[str]]:
    """Make the tokens of these names; return what each token opens."""
    return tokens.bring(folder_of(directory), [token_file(directory, name) for name in names])


def test_a_token_stands_in_a_file_that_its_readers_may_read(directory: Path) -> None:
    """The token is random, has no line end, and its file and directory are open to its readers."""
    tokens = Tokens("test", Chance())

    [(token, profiles)] = bring(tokens, directory, "production").items()

    path = directory / "production"
    assert NAMES == profiles
    assert token == path.read_text()
    assert re.fullmatch(r"credfresh\.[0-9a-f]{8}\.[A-Za-z0-9_-]{43}", token)
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)
    assert 0o750 == stat.S_IMODE(directory.stat().st_mode)


def test_tokens_survive_restart_and_upgrade(directory: Path) -> None:
    """A restart keeps every token and does not even write its file."""
    first = Tokens("test", Chance())
    before = bring(first, directory, "production", "dev")
    first.release()
    inode = (directory / "production").stat().st_ino
    chance = Chance()

    again = Tokens("test", chance)

    assert before == bring(again, directory, "production", "dev")
    assert (inode, 0) == ((directory / "production").stat().st_ino, chance.drawn)


def test_new_token_files_outlive_a_power_cut(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names are made durable once, however many are new; where none is, nothing is synced."""
    synced: list[Path] = []
    monkeypatch.setattr(
        os, "fsync", lambda at: synced.append(Path(f"/proc/self/fd/{at}").readlink())
    )
    tokens = Tokens("test", Chance())

    bring(tokens, directory, "production", "dev")
    bring(tokens, directory, "production", "dev")
    assert [directory] == synced
    bring(tokens, directory, "production")
    assert 2 * [directory] == synced


def test_each_token_is_drawn_by_itself(directory: Path) -> None:
    """Each token has random bytes of its own."""
    tokens = Tokens("test", Chance())

    assert 2 == len(bring(tokens, directory, "production", "dev"))


def test_a_removed_token_is_replaced_by_another_at_a_restart(directory: Path) -> None:
    """To replace a token, its file is removed; but while the daemon runs, it is put back."""
    tokens = Tokens("test", Chance())
    before = bring(tokens, directory, "production")
    (directory / "production").unlink()
    assert before == bring(tokens, directory, "production")
    tokens.release()
    (directory / "production").unlink()
    chance = Chance()
    chance.drawn = 7

    assert before != bring(Tokens("test", chance), directory, "production")


def test_known_tokens_open_only_what_they_may_open_now(directory: Path) -> None:
    """They open it for the readers of their files: others must be given the token first."""
    tokens = Tokens("test", Chance())
    [token] = bring(tokens, directory, "production")
    wanted = token_file(directory)

    assert {token: frozenset()} == tokens.known([replace(wanted, profiles=frozenset())])
    assert {} == tokens.known([token_file(directory, mode=0o600), token_file(directory, "dev")])
    tokens.release()
    assert {} == tokens.known([wanted])


@pytest.mark.parametrize("what", ["directory", "all that is in it"])
def test_tokens_outlive_their_directory(directory: Path, what: str) -> None:
    """Whoever was given one keeps it, also where a cleaner of old files has been at work."""
    tokens = Tokens("test", Chance())
    before = bring(tokens, directory, "production", "dev")
    for path in directory.iterdir():
        path.unlink()
    if what == "directory":
        directory.rmdir()

    assert before == bring(tokens, directory, "production", "dev")
    assert (directory / "production").read_text() in before


def test_a_token_that_stands_in_another_file_too_opens_nothing_there(directory: Path) -> None:
    """Whoever may read the copy may not have what the token was made for, nor the other way."""
    first = Tokens("test", Chance())
    before = bring(first, directory, "production")
    first.release()
    shutil.copy(directory / "production", directory / "dev")
    chance = Chance()
    chance.drawn = 7
    tokens = Tokens("test", chance)

    assert before == bring(tokens, directory, "production", "dev")
    [problem] = tokens.problems
    assert ("foreign", str(directory / "dev")) == (problem.code, problem.path)
    (directory / "dev").unlink()

    after = bring(tokens, directory, "production", "dev")
    assert (2, ()) == (len(after), tokens.problems)
    assert before.items() <= after.items()


def test_a_token_copied_while_the_daemon_runs_opens_nothing(directory: Path) -> None:
    """Whichever of the two is looked at first; one in the place of a token gives way to it."""
    tokens = Tokens("test", Chance())
    before = bring(tokens, directory, "production", "dev")
    shutil.copy(directory / "production", directory / "dev")
    shutil.copy(directory / "production", directory / "audit")

    assert before == bring(tokens, directory, "audit", "dev", "production")
    assert [str(directory / "audit")] == [problem.path for problem in tokens.problems]


@pytest.mark.parametrize("what", ["altered", "mode"])
def test_a_token_that_was_altered_or_opened_up_is_put_back(directory: Path, what: str) -> None:
    """A token that was altered, or whose mode is too wide, is put back."""
    needs_fine_times(directory.parent)
    tokens = Tokens("test", Chance())
    before = bring(tokens, directory, "production")
    path = directory / "production"
    if what == "altered":
        path.write_text(path.read_text()[:-1] + "x")
    else:
        path.chmod(0o644)

    assert before == bring(tokens, directory, "production")
    assert path.read_text() in before
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)


def test_unwanted_tokens_are_removed_and_foreign_files_stay(directory: Path) -> None:
    """Unwanted tokens of an earlier run are removed; those of another instance stay."""
    other = Tokens("other", Chance())
    bring(other, directory, "theirs")
    other.release()
    first = Tokens("test", Chance())
    bring(first, directory, "production", "dev")
    first.release()
    (directory / "notes").write_text("by hand")

    bring(Tokens("test", Chance()), directory, "production")

    left = {entry.name for entry in directory.iterdir()}
    assert {"production", "theirs", "notes", "tokens.credfresh"} == left


def test_a_temporary_of_a_killed_daemon_is_removed(directory: Path) -> None:
    """Also an empty one, in which no token tells whose it is."""
    directory.mkdir()
    (directory / ".production.credfresh-0123abcd.tmp").touch()

    bring(Tokens("test", Chance()), directory, "production")

    assert {"production", "tokens.credfresh"} == {entry.name for entry in directory.iterdir()}


def test_tokens_open_what_they_may_though_a_full_disk_lost_their_files(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is gone cannot be put back yet; for other readers it is made first."""
    tokens = Tokens("test", Chance())
    before = bring(tokens, directory, "production")
    (directory / "production").unlink()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert before == bring(tokens, directory, "production")
        assert ["ENOSPC"] == [problem.code for problem in tokens.problems]
        wanted = token_file(directory, mode=0o600)
        assert {} == tokens.bring(folder_of(directory), [wanted])

    assert before == bring(tokens, directory, "production")
    assert () == tokens.problems


def test_a_token_that_cannot_be_removed_is_told(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left behind, and it stops no other."""
    tokens = Tokens("test", Chance())
    bring(tokens, directory, "production", "dev")

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refused)
        assert [NAMES] == list(bring(tokens, directory, "production").values())
    [problem] = tokens.problems
    assert ("EROFS", str(directory / "dev")) == (problem.code, problem.path)

    assert [NAMES] == list(bring(tokens, directory, "production").values())
    assert () == tokens.problems
    assert not (directory / "dev").exists()


def test_a_file_larger_than_a_token_is_not_read(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sticky directory anybody may leave a thousand large files: the main thread looks."""
    directory.mkdir(0o700)
    for name in ("production", "other"):
        with (directory / name).open("wb") as file:
            file.truncate(1 << 26)
    read: list[int] = []
    true = os.read

    def counting(descriptor: int, size: int) -> bytes:
        read.append(size)
        return true(descriptor, size)

    monkeypatch.setattr(os, "read", counting)

    assert {} == bring(Tokens("test", Chance()), directory, "production")
    assert read
    assert max(read) < 100


LIKE_OURS = f"credfresh.{hashlib.sha256(b'test').hexdigest()[:8]}.{'x' * 43}"


@pytest.mark.parametrize(
    "content", ["by hand", "credfresh.00000000." + "x" * 43, f"{LIKE_OURS}\n", f"{LIKE_OURS}x"]
)
def test_a_file_that_is_not_ours_opens_nothing(directory: Path, content: str) -> None:
    """A file that is not ours is not overwritten but reported, and other tokens still work."""
    directory.mkdir(mode=0o700)
    (directory / "dev").write_text(content)
    tokens = Tokens("test", Chance())

    opened = bring(tokens, directory, "dev", "production")

    assert [NAMES] == list(opened.values())
    [problem] = tokens.problems
    assert ("foreign", str(directory / "dev")) == (problem.code, problem.path)
    assert content == (directory / "dev").read_text()


@needs_root
def test_a_token_that_somebody_else_has_put_there_is_refused(directory: Path) -> None:
    """In a sticky directory others may have made the file, with a token that they know."""
    before = Tokens("test", Chance())
    [token] = bring(before, directory, "production")
    before.release()
    directory.chmod(0o1777)
    planted = directory / "production"
    os.chown(planted, 65534, 65534)
    tokens = Tokens("test", Chance())

    assert {} == bring(tokens, directory, "production")

    [problem] = tokens.problems
    assert ("foreign", str(planted)) == (problem.code, problem.path)
    assert token == planted.read_text()


def test_a_directory_that_others_may_write_is_refused(directory: Path) -> None:
    """Others could put a token that they know into a directory that they may write."""
    directory.mkdir()
    directory.chmod(0o777)

    with pytest.raises(PublishError) as caught:
        bring(Tokens("test", Chance()), directory, "production")

    assert "writable_by_others" == caught.value.code


def test_a_failing_disk_is_a_publish_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing disk raises a PublishError, which does not end the main thread."""
    tokens = Tokens("test", Chance())
    bring(tokens, directory, "production")
    true = os.stat

    def failing(path: str, **more: Any) -> os.stat_result:
        if path == "production":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return true(path, **more)

    monkeypatch.setattr(os, "stat", failing)

    with pytest.raises(PublishError) as caught:
        bring(tokens, directory, "production")
    assert ("read", "EIO") == (caught.value.step, caught.value.code)


def test_a_second_daemon_on_the_directory_is_refused(directory: Path) -> None:
    """Two daemons in one directory would remove each other's tokens."""
    first = Tokens("test", Chance())
    bring(first, directory, "production")

    with pytest.raises(AlreadyRunningError, match="keeps this directory"):
        bring(Tokens("second", Chance()), directory, "production")

    first.release()


@needs_root
def test_a_token_has_the_group_of_its_readers(directory: Path) -> None:
    """A token file has the configured group."""
    wanted = token_file(directory)
    wanted = replace(wanted, target=wanted.target._replace(group="4711"))

    Tokens("test", Chance()).bring(folder_of(directory), [wanted])

    assert 4711 == (directory / "production").stat().st_gid


def test_the_endpoint_keeps_to_its_protocol_on_a_real_socket() -> None:
    """A wrong token is answered 401 on a connection that stays, and too long a header 431."""
    shelf = Shelf()
    shelf.update({"production": Publication(profile(), grant(profile(), clock()))})
    application = Application(shelf, hosts=frozenset({"127.0.0.1"}), clock=clock)
    application.admitted = {"production": (b"token",)}
    port = free_port()
    listener = Listener(TcpAddress("127.0.0.1", port), application)
    listener.open()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for token, expected in (("token", 200), ("wrong", 401), ("token", 200)):
            headers = {"Authorization": token}
            connection.request("GET", "/credentials/production", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            assert expected == answer.status
            assert (expected == 200) == bool(body)
        connection.request("GET", "/credentials/production", headers={"X": "x" * 20_000})
        assert 431 == connection.getresponse().status
        connection.close()
    finally:
        listener.close()
