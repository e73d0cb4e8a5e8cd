"""The main thread's side of the control socket: mistakes, floods, and the end."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

import pytest

from asking import STATUS, connect, exchange, received
from credfresh.cli.clock import clock
from credfresh.control import attendant
from credfresh.control.attendant import ControlSocket
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk, Errand
from credfresh.life.guard import Guard
from credfresh.settings import ControlSettings
from fakes import EventLog, failure, profile, settings
from host import wait_until
from simulation import Simulation


class Home:
    """A desk whose main thread is a thread of the test, with a control socket at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = EventLog()
        self.sim = Simulation(settings(profile("dev"), profile("prod")))
        self.sim.clock.now = clock()
        self.sim.start()
        self.inbox: SimpleQueue[Errand | None] = SimpleQueue()
        self.posted = 0
        guard = Guard(self.log)
        self.desk = Desk(
            settings=self.sim.settings,
            supervisor=self.sim.supervisor,
            agenda=Agenda(guard),
            clock=clock,
            post=self._post,
            guard=guard,
        )
        self.attendant = ControlSocket(ControlSettings(str(path)), self.log)
        self.thread = threading.Thread(target=self._run)

    def _post(self, errand: Errand) -> None:
        self.inbox.put(errand)
        self.posted += 1

    def _run(self) -> None:
        while (errand := self.inbox.get()) is not None:
            self.desk.guard(errand.run)
            self.desk.agenda.turn(clock())

    def __enter__(self) -> Self:
        self.attendant.open(self.desk)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.inbox.put(None)
        self.thread.join(20)
        self.attendant.close()


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Iterator[Home]:
    tmp_path.chmod(0o755)
    with Home(tmp_path / "control.sock") as home:
        yield home


def test_an_unforeseen_error_is_told_to_the_client_and_ends_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets `internal`, the log names the place, and the next client is served."""

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("with what may be a secret")

    with monkeypatch.context() as patched:
        patched.setattr(home.desk, "reload", broken)
        answer = exchange(home.path, b'{"version": 1, "ask": "reload"}\n')
    assert "internal" == answer["error"]["code"]
    [told] = home.log.of("unexpected_error")
    assert ("attendant", "ZeroDivisionError") == (told["where"], told["error_type"])
    assert "secret" not in str(told)
    assert "profiles" in exchange(home.path)["answer"]


def test_an_unforeseen_error_in_a_look_leaves_the_daemon_running(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients who asked before the mistake get no answer, and the main thread goes on."""

    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(home.sim.supervisor.roster, "statuses", broken)
        with connect(home.path) as client:
            client.sendall(STATUS)
            wait_until(lambda: bool(home.log.of("unexpected_error")), "the mistake")
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(1)
    assert home.thread.is_alive()
    assert "profiles" in exchange(home.path)["answer"]


def test_without_a_configuration_file_a_reload_is_refused(home: Home) -> None:
    """The answer says that there is nothing to read again."""
    answer = exchange(home.path, b'{"version": 1, "ask": "reload"}\n')
    assert "no_reload" == answer["error"]["code"]


def test_a_request_for_another_instance_is_refused(home: Home) -> None:
    """A request that names other instances is refused: several daemons may run on a host."""
    asked = b'{"version": 1, "ask": "withdraw", "instances": ["%s"]}\n'

    answer = exchange(home.path, asked % b"other")
    assert "another_daemon" == answer["error"]["code"]
    assert not any(entry.withdrawn for entry in home.sim.supervisor.roster)

    home.sim.settle()
    instance = home.desk.settings.instance.encode()
    with connect(home.path) as client:
        client.sendall(asked % instance)
        wait_until(
            lambda: all(entry.withdrawn for entry in home.sim.supervisor.roster), "it is done"
        )


WAITS = b'{"version": 1, "ask": "ensure", "profile": "dev", "valid_for_s": 600, "timeout_s": 60}\n'


@pytest.fixture(name="watchful")
def _watchful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home that checks its socket every 0.05 s, and whose main thread turns every 0.02 s."""
    monkeypatch.setattr(attendant, "LOOK", 0.05)
    tmp_path.chmod(0o755)
    with Home(tmp_path / "control.sock") as home:
        over = threading.Event()

        def turns() -> None:
            while not over.wait(0.02):
                home.inbox.put(Errand(lambda: None))

        clockwork = threading.Thread(target=turns)
        clockwork.start()
        yield home
        over.set()
        clockwork.join()


def test_clients_that_ask_status_at_once_share_one_answer(
    watchful: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a look is costly, clients take at most a tenth of the main thread's time."""
    home, looks = watchful, []
    real = home.sim.supervisor.roster.statuses

    def slow(now: Any) -> Any:
        looks.append(now.boot)
        threading.Event().wait(0.1)
        return real(now)

    monkeypatch.setattr(home.sim.supervisor.roster, "statuses", slow)
    for _ in range(2):
        clients = [connect(home.path) for _ in range(50)]
        for client in clients:
            client.sendall(STATUS)
        assert all(b'"answer"' in received(client) for client in clients)
        for client in clients:
            client.close()
    assert 2 <= len(looks) < 10
    assert all(later - sooner >= 0.9 for sooner, later in itertools.pairwise(looks))


def waiting(home: Home) -> socket.socket:
    """Return a client that waits for a profile whose renewal fails."""
    home.sim.supervisor.roster["dev"].published = None
    home.sim.provider.fault = lambda _: failure()
    client = connect(home.path)
    asks(home, client, WAITS)
    return client


def asks(home: Home, client: socket.socket, request: bytes) -> None:
    """Send a request, and wait until it is in the inbox of the main thread."""
    before = home.posted
    client.sendall(request)
    wait_until(lambda: home.posted > before, "the question")


def test_a_deleted_socket_is_made_again_and_connected_clients_stay(watchful: Home) -> None:
    """If /run is cleaned up, the socket is made again; waiting clients still get their answers."""
    home = watchful
    with waiting(home) as client:
        home.path.unlink()
        wait_until(lambda: len(home.log.of("control_opened")) == 2, "another socket")
        assert "profiles" in exchange(home.path)["answer"]

        def withdraw() -> None:
            home.desk.supervisor.withdraw(["dev"])
            home.desk.agenda.hasten(home.attendant.look)

        home.inbox.put(Errand(withdraw))
        assert b"withdrawn" in received(client)
    assert [] == home.log.of("control_lost")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_that_has_ended_is_replaced(
    watchful: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its thread died of: who was in is let go, and who comes next is served."""
    home = watchful
    first = home.attendant._server
    assert first is not None

    def dies(_timeout: float | None) -> None:
        raise SystemExit

    with waiting(home) as client:
        monkeypatch.setattr(first, "_turn", dies)
        connect(home.path).close()
        wait_until(lambda: len(home.log.of("control_opened")) == 2, "another server")
        assert "profiles" in exchange(home.path)["answer"]
        assert b"" == received(client)


def test_a_foreign_file_in_the_place_of_the_socket_is_left_and_told_once(watchful: Home) -> None:
    """When the other file is gone, the socket is made again; connected clients stay connected."""
    home = watchful
    with waiting(home) as client:
        other = home.path.with_name("other")
        other.write_text("somebody's")
        other.replace(home.path)
        wait_until(lambda: bool(home.log.of("control_lost")), "the loss")
        threading.Event().wait(0.3)
        assert "somebody's" == home.path.read_text()
        assert 1 == len(home.log.of("control_lost"))

        home.path.unlink()
        wait_until(lambda: len(home.log.of("control_opened")) == 2, "another socket")
        assert "profiles" in exchange(home.path)["answer"]
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_a_socket_that_was_moved_away_and_back_is_told_again(watchful: Home) -> None:
    """After `control_lost`, another `control_opened` says that clients get through again."""
    home = watchful
    aside = home.path.with_name("aside")
    aside.hardlink_to(home.path)
    other = home.path.with_name("other")
    other.touch()
    other.replace(home.path)
    wait_until(lambda: bool(home.log.of("control_lost")), "the loss")
    aside.replace(home.path)
    wait_until(lambda: len(home.log.of("control_opened")) == 2, "the socket")

    assert "profiles" in exchange(home.path)["answer"]


def test_closing_is_quick_and_leaves_no_socket(home: Home) -> None:
    """A client that waits is told that the daemon is stopping, and the socket is removed."""
    home.sim.provider.fault = lambda _: None
    ask = (
        b'{"version": 1, "ask": "ensure", "profile": "dev", "valid_for_s": 3594, "timeout_s": 60}\n'
    )
    home.sim.supervisor.roster["dev"].published = None
    with connect(home.path) as client:
        asks(home, client, ask)
        home.attendant.close()
        assert b"stopping" in received(client)
    assert not home.path.exists()
