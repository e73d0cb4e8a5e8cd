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


class Harness:
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


@pytest.fixture(name="harness")
def _harness(tmp_path: Path) -> Iterator[Harness]:
    tmp_path.chmod(0o755)
    with Harness(tmp_path / "control.sock") as harness:
        yield harness


def test_an_unforeseen_error_is_told_to_the_client_and_ends_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets `internal`, the log names the place, and the next client is served."""

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("with what may be a secret")

    with monkeypatch.context() as patched:
        patched.setattr(harness.desk, "reload", broken)
        answer = exchange(harness.path, b'{"version": 1, "ask": "reload"}\n')
    assert "internal" == answer["error"]["code"]
    [told] = harness.log.of("unexpected_error")
    assert ("attendant", "ZeroDivisionError") == (told["where"], told["error_type"])
    assert "secret" not in str(told)
    assert "profiles" in exchange(harness.path)["answer"]


def test_an_unforeseen_error_in_a_look_leaves_the_daemon_running(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients who asked before the mistake get no answer, and the main thread goes on."""

    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(harness.sim.supervisor.roster, "statuses", broken)
        with connect(harness.path) as client:
            client.sendall(STATUS)
            wait_until(lambda: bool(harness.log.of("unexpected_error")), "the mistake")
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(1)
    assert harness.thread.is_alive()
    assert "profiles" in exchange(harness.path)["answer"]


def test_without_a_configuration_file_a_reload_is_refused(harness: Harness) -> None:
    """The answer says that there is nothing to read again."""
    answer = exchange(harness.path, b'{"version": 1, "ask": "reload"}\n')
    assert "no_reload" == answer["error"]["code"]


def test_a_request_for_another_instance_is_refused(harness: Harness) -> None:
    """A request that names other instances is refused: several daemons may run on a host."""
    asked = b'{"version": 1, "ask": "withdraw", "instances": ["%s"]}\n'

    answer = exchange(harness.path, asked % b"other")
    assert "another_daemon" == answer["error"]["code"]
    assert not any(entry.withdrawn for entry in harness.sim.supervisor.roster)

    harness.sim.settle()
    instance = harness.desk.settings.instance.encode()
    with connect(harness.path) as client:
        client.sendall(asked % instance)
        wait_until(
            lambda: all(entry.withdrawn for entry in harness.sim.supervisor.roster), "it is done"
        )


WAITS = b'{"version": 1, "ask": "ensure", "profile": "dev", "valid_for_s": 600, "timeout_s": 60}\n'


@pytest.fixture(name="watchful")
def _watchful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A harness that checks its socket every 0.05 s, and whose main thread turns every 0.02 s."""
    monkeypatch.setattr(attendant, "LOOK", 0.05)
    tmp_path.chmod(0o755)
    with Harness(tmp_path / "control.sock") as harness:
        over = threading.Event()

        def turns() -> None:
            while not over.wait(0.02):
                harness.inbox.put(Errand(lambda: None))

        clockwork = threading.Thread(target=turns)
        clockwork.start()
        yield harness
        over.set()
        clockwork.join()


def test_clients_that_ask_status_at_once_share_one_answer(
    watchful: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a look is costly, clients take at most a tenth of the main thread's time."""
    harness, looks = watchful, []
    real = harness.sim.supervisor.roster.statuses

    def slow(now: Any) -> Any:
        looks.append(now.boot)
        threading.Event().wait(0.1)
        return real(now)

    monkeypatch.setattr(harness.sim.supervisor.roster, "statuses", slow)
    for _ in range(2):
        clients = [connect(harness.path) for _ in range(50)]
        for client in clients:
            client.sendall(STATUS)
        assert all(b'"answer"' in received(client) for client in clients)
        for client in clients:
            client.close()
    assert 2 <= len(looks) < 10
    assert all(later - sooner >= 0.9 for sooner, later in itertools.pairwise(looks))


def waiting(harness: Harness) -> socket.socket:
    """Return a client that waits for a profile whose renewal fails."""
    harness.sim.supervisor.roster["dev"].published = None
    harness.sim.provider.fault = lambda _: failure()
    client = connect(harness.path)
    asks(harness, client, WAITS)
    return client


def asks(harness: Harness, client: socket.socket, request: bytes) -> None:
    """Send a request, and wait until it is in the inbox of the main thread."""
    before = harness.posted
    client.sendall(request)
    wait_until(lambda: harness.posted > before, "the question")


def test_a_deleted_socket_is_made_again_and_connected_clients_stay(watchful: Harness) -> None:
    """If /run is cleaned up, the socket is made again; waiting clients still get their answers."""
    harness = watchful
    with waiting(harness) as client:
        harness.path.unlink()
        wait_until(lambda: len(harness.log.of("control_opened")) == 2, "another socket")
        assert "profiles" in exchange(harness.path)["answer"]

        def withdraw() -> None:
            harness.desk.supervisor.withdraw(["dev"])
            harness.desk.agenda.hasten(harness.attendant.look)

        harness.inbox.put(Errand(withdraw))
        assert b"withdrawn" in received(client)
    assert [] == harness.log.of("control_lost")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_that_has_ended_is_replaced(
    watchful: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its thread died of: who was in is let go, and who comes next is served."""
    harness = watchful
    first = harness.attendant._server
    assert first is not None

    def dies(_timeout: float | None) -> None:
        raise SystemExit

    with waiting(harness) as client:
        monkeypatch.setattr(first, "_turn", dies)
        connect(harness.path).close()
        wait_until(lambda: len(harness.log.of("control_opened")) == 2, "another server")
        assert "profiles" in exchange(harness.path)["answer"]
        assert b"" == received(client)


def test_a_foreign_file_in_the_place_of_the_socket_is_left_and_told_once(watchful: Harness) -> None:
    """When the other file is gone, the socket is made again; connected clients stay connected."""
    harness = watchful
    with waiting(harness) as client:
        other = harness.path.with_name("other")
        other.write_text("somebody's")
        other.replace(harness.path)
        wait_until(lambda: bool(harness.log.of("control_lost")), "the loss")
        threading.Event().wait(0.3)
        assert "somebody's" == harness.path.read_text()
        assert 1 == len(harness.log.of("control_lost"))

        harness.path.unlink()
        wait_until(lambda: len(harness.log.of("control_opened")) == 2, "another socket")
        assert "profiles" in exchange(harness.path)["answer"]
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_a_socket_that_was_moved_away_and_back_is_told_again(watchful: Harness) -> None:
    """After `control_lost`, another `control_opened` says that clients get through again."""
    harness = watchful
    aside = harness.path.with_name("aside")
    aside.hardlink_to(harness.path)
    other = harness.path.with_name("other")
    other.touch()
    other.replace(harness.path)
    wait_until(lambda: bool(harness.log.of("control_lost")), "the loss")
    aside.replace(harness.path)
    wait_until(lambda: len(harness.log.of("control_opened")) == 2, "the socket")

    assert "profiles" in exchange(harness.path)["answer"]


def test_closing_is_quick_and_leaves_no_socket(harness: Harness) -> None:
    """A client that waits is told that the daemon is stopping, and the socket is removed."""
    harness.sim.provider.fault = lambda _: None
    ask = (
        b'{"version": 1, "ask": "ensure", "profile": "dev", "valid_for_s": 3594, "timeout_s": 60}\n'
    )
    harness.sim.supervisor.roster["dev"].published = None
    with connect(harness.path) as client:
        asks(harness, client, ask)
        harness.attendant.close()
        assert b"stopping" in received(client)
    assert not harness.path.exists()
