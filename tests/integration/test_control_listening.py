"""The control socket at its path: who may connect, what stands in the way, what is left."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from credfresh.control.listening import ListeningSocket
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.settings import ControlSettings
from disk import needs_root


@pytest.fixture(name="path")
def _path(open_directory: Path) -> Path:
    # Not in pytest's directory: the path of the temporary, too, must fit into 108 bytes.
    return open_directory / "control.sock"


@contextmanager
def opened(path: Path, mode: int = 0o600, group: str | None = None) -> Iterator[ListeningSocket]:
    """Listen at `path` within the context."""
    listening = ListeningSocket(ControlSettings(str(path), mode, group))
    listener = listening.open()
    try:
        yield listening
    finally:
        listener.close()
        listening.close()


def reachable(path: Path) -> bool:
    """Say whether somebody listens at `path`."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def names(path: Path) -> list[str]:
    """Return what is in the socket's directory."""
    return sorted(entry.name for entry in path.parent.iterdir())


def left_by_a_dead_daemon(path: Path) -> None:
    """Leave a socket on which nobody listens."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_socket_has_its_mode_whatever_the_umask(path: Path, mode: int, umask: int) -> None:
    """The socket has exactly the configured mode, and nothing is left after it is closed."""
    before = os.umask(umask)
    try:
        with opened(path, mode):
            info = path.stat()
            assert stat.S_ISSOCK(info.st_mode)
            assert mode == stat.S_IMODE(info.st_mode)
            assert reachable(path)
            assert ["control.sock"] == names(path)
    finally:
        os.umask(before)
    assert [] == names(path)


def test_nobody_can_connect_before_mode_and_group_are_set(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its temporary name the socket is 0600 until mode and group are set."""
    seen: list[tuple[str, int]] = []
    real = os.chmod

    def watched(name: str, mode: int, *, dir_fd: int) -> None:
        info = os.stat(name, dir_fd=dir_fd)
        seen.append((name, stat.S_IMODE(info.st_mode)))
        assert not path.exists()
        real(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "chmod", watched)
    before = os.umask(0)
    try:
        with opened(path, 0o666):
            pass
    finally:
        os.umask(before)

    [(name, mode)] = seen
    assert name.startswith(".control.sock.credfresh-")
    assert 0o600 == mode


@needs_root
def test_the_socket_has_the_configured_group(path: Path) -> None:
    """The group may be configured by name or by number."""
    for group, number in (("daemon", None), ("54321", 54321)):
        with opened(path, 0o660, group):
            import grp  # noqa: PLC0415 - only here

            expected = number if number is not None else grp.getgrnam(group).gr_gid
            assert expected == path.stat().st_gid


@needs_root
def test_a_group_that_we_may_not_give_is_named() -> None:
    """The error says that only root may give the group, and nothing is left behind."""
    code = (
        "import os, sys\n"
        "from credfresh.control.listening import ListeningSocket\n"
        "from credfresh.settings import ControlSettings\n"
        "from credfresh.errors import PublishError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: ListeningSocket(ControlSettings(sys.argv[1], 0o660, '54321')).open()\n"
        "except PublishError as error: print(error.code, error.hint)\n"
    )
    with tempfile.TemporaryDirectory(prefix="credfresh-test-") as directory:
        Path(directory).chmod(0o1777)
        socket_ = Path(directory) / "c.sock"
        done = subprocess.run(
            [sys.executable, "-c", code, str(socket_)], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("EPERM only root may set another owner"), done.stdout
        assert [] == names(socket_)


def test_a_group_that_does_not_exist_is_named(path: Path) -> None:
    """An unknown group stops the start, and the error names the group and its key."""
    with pytest.raises(PublishError, match="no group is called nonesuch") as caught:
        ListeningSocket(ControlSettings(str(path), 0o660, "nonesuch")).open()
    assert "control.group" in str(caught.value.hint)
    assert not path.exists()


def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    """A dead socket is replaced, and the temporary socket of a dead daemon removed."""
    left_by_a_dead_daemon(path)
    left_by_a_dead_daemon(path.with_name(".control.sock.credfresh-0badcafe.tmp"))
    path.with_name(".control.sock.credfresh-0badcaff.tmp").touch()

    with opened(path):
        assert reachable(path)
        assert [".control.sock.credfresh-0badcaff.tmp", "control.sock"] == names(path)


def test_a_living_daemon_keeps_its_socket(path: Path) -> None:
    """A second daemon is refused and does not touch the first one's socket."""
    with opened(path) as first:
        with pytest.raises(AlreadyRunningError, match=r"listens on this socket") as caught:
            ListeningSocket(ControlSettings(str(path))).open()
        assert "control.socket" in str(caught.value.hint)
        assert first.stands()


def test_a_daemon_that_does_not_accept_counts_as_living(path: Path) -> None:
    """A daemon whose backlog is full still keeps its socket."""
    with socket.socket(socket.AF_UNIX) as hung, socket.socket(socket.AF_UNIX) as client:
        hung.bind(str(path))
        hung.listen(0)
        client.connect(str(path))
        with pytest.raises(AlreadyRunningError):
            ListeningSocket(ControlSettings(str(path))).open()


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "link to a file"])
def test_a_file_that_is_no_socket_is_not_touched(path: Path, kind: str) -> None:
    """A file, directory, fifo or link at the path stays, and the error says what to do."""
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case _:
            path.with_name("precious").write_text("precious")
            path.symlink_to("precious")
    before = path.lstat()

    with pytest.raises(PublishError, match=r"no socket|is a directory") as caught:
        ListeningSocket(ControlSettings(str(path))).open()

    assert caught.value.hint
    assert before == path.lstat()


@needs_root
def test_the_socket_of_another_user_is_not_replaced(path: Path) -> None:
    """Even a dead one stays: in a sticky directory anybody may have put it there."""
    left_by_a_dead_daemon(path)
    os.chown(path, 65534, 65534)

    with pytest.raises(PublishError, match="uid 65534"):
        ListeningSocket(ControlSettings(str(path))).open()


def test_a_directory_that_others_may_write_is_refused(path: Path) -> None:
    """Others could replace the socket in a directory that they may write, and answer jobs."""
    path.parent.chmod(0o777)

    with pytest.raises(PublishError, match="others may write this directory"):
        ListeningSocket(ControlSettings(str(path))).open()


def test_a_missing_directory_is_named(path: Path) -> None:
    """The error says that the directory is missing, and to create it."""
    with pytest.raises(PublishError, match="No such file") as caught:
        ListeningSocket(ControlSettings(str(path.parent / "absent" / "c.sock"))).open()
    assert "create the missing directory" in str(caught.value.hint)


def test_a_socket_that_replaced_ours_is_not_removed(path: Path) -> None:
    """A daemon whose socket was replaced does not remove the other one at its end."""
    with opened(path) as listening:
        path.unlink()
        assert not listening.stands()
        left_by_a_dead_daemon(path)
        assert not listening.stands()
    assert path.exists()


def test_a_path_of_107_bytes_works(path: Path) -> None:
    """A path of 107 bytes works, though that of the temporary socket is longer."""
    deep = path.parent / ("d" * 40)
    deep.mkdir(mode=0o755)
    room = 107 - len(str(deep).encode()) - 1
    if room < 10:
        deep = path.parent
        room = 107 - len(str(deep).encode()) - 1
    longest = deep / ("s" * room)

    with opened(longest):
        assert reachable(longest)


def test_of_two_daemons_that_start_at_once_one_gets_the_socket(path: Path) -> None:
    """Of two daemons that start on one path at once, exactly one finds its socket there."""
    sockets = [ListeningSocket(ControlSettings(str(path))) for _ in range(2)]
    barrier = threading.Barrier(2)
    listeners: list[socket.socket] = []

    def start(listening: ListeningSocket) -> None:
        barrier.wait()
        try:
            listeners.append(listening.open())
        except (AlreadyRunningError, PublishError):  # or the other removed its temporary
            return

    threads = [threading.Thread(target=start, args=[listening]) for listening in sockets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == sum(listening.stands() for listening in sockets)
    for listener in listeners:
        listener.close()


def test_the_socket_of_a_killed_daemon_is_replaced_by_the_next(path: Path) -> None:
    """A daemon killed with SIGKILL leaves a dead socket, which the next one replaces."""
    code = (
        "import os, signal, sys\n"
        "from credfresh.control.listening import ListeningSocket\n"
        "from credfresh.settings import ControlSettings\n"
        "listener = ListeningSocket(ControlSettings(sys.argv[1])).open()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.exists()
    assert not reachable(path)

    with opened(path):
        assert reachable(path)
