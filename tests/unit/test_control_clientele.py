"""Which client of the control socket is dropped when all places are taken."""

from __future__ import annotations

import itertools
import resource
import socket
from collections.abc import Iterator

import pytest

from credfresh.control import clientele
from credfresh.control.clientele import Client, Clientele, Peer, State

OWN, BUILD, DEPLOY, MALLORY = 998, 1001, 1002, 1003


class Socket(socket.socket):
    """A socket that has a descriptor number and nothing else."""

    numbers = itertools.count(100)

    def __init__(self) -> None:
        super().__init__(fileno=None)
        self.number = next(self.numbers)

    def fileno(self) -> int:
        return self.number


class Harness:
    """A clientele, and the sockets of a test's clients."""

    def __init__(self, places: int = 8) -> None:
        self.clients = Clientele(places, privileged=frozenset({0, OWN}))
        self._tickets = itertools.count(1)
        self.sockets: list[Socket] = []

    def enters(self, uid: int, state: State = State.ASKING) -> tuple[Client, Client | None]:
        """Let a client of this user in; return it, and the client that has to leave for it."""
        self.sockets.append(Socket())
        client = Client(self.sockets[-1], next(self._tickets), Peer(1, uid), 0.0)
        leaves = self.clients.admit(client)
        if leaves is not None:
            self.clients.leave(leaves)
        if leaves is not client and state is not State.ASKING:
            self.clients.enter(client, state)
        return client, leaves


@pytest.fixture(name="harness")
def _harness() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    for one in harness.sockets:
        socket.socket.close(one)


def test_no_client_leaves_while_places_are_free(harness: Harness) -> None:
    """No client has to leave; each is found by its descriptor and by its ticket."""
    for _ in range(8):
        client, leaves = harness.enters(OWN)
        assert leaves is None
        assert client is harness.clients.at(client.socket.fileno())
        assert client is harness.clients.holder(client.ticket)
    assert 8 == len(harness.clients) == len(list(harness.clients))


def test_the_client_that_was_silent_longest_leaves_first(harness: Harness) -> None:
    """Silent clients leave in the order in which they came; one that waits for an answer stays."""
    waiting, _ = harness.enters(OWN, State.WAITING)
    silent = [harness.enters(OWN)[0] for _ in range(7)]
    assert silent[0] is harness.enters(OWN)[1]
    assert silent[1] is harness.enters(OWN)[1]
    assert waiting is harness.clients.holder(waiting.ticket)
    assert None is harness.clients.holder(silent[0].ticket)


def test_a_new_client_leaves_if_all_others_wait_for_answers(harness: Harness) -> None:
    """A client that has been promised an answer is not dropped for a new one."""
    for _ in range(8):
        harness.enters(OWN, State.WAITING)
    client, leaves = harness.enters(OWN)
    assert client is leaves
    assert 8 == len(harness.clients)


def test_one_user_gets_at_most_three_quarters_of_the_places(harness: Harness) -> None:
    """One user gets three quarters at most; one of the user's silent clients makes room."""
    silent = [harness.enters(MALLORY)[0] for _ in range(6)]
    _, leaves = harness.enters(MALLORY)
    assert silent[0] is leaves
    assert [None, None] == [harness.enters(BUILD)[1] for _ in range(2)]


def test_when_full_the_user_with_most_places_loses_one(harness: Harness) -> None:
    """The user with most places loses a client, whoever comes; users with few lose none."""
    deploy = [harness.enters(DEPLOY)[0] for _ in range(2)]
    build = [harness.enters(BUILD)[0] for _ in range(6)]
    assert build[0] is harness.enters(0)[1]
    assert build[1] is harness.enters(DEPLOY)[1]
    assert all(harness.clients.holder(client.ticket) for client in deploy)


def test_a_client_that_left_gives_its_place_back(harness: Harness) -> None:
    """A client that has left gives its place back, to the same user too."""
    for _ in range(50):
        client, leaves = harness.enters(BUILD, State.ANSWERED)
        assert leaves is None
        harness.clients.leave(client)
    assert 0 == len(harness.clients)
    assert None is harness.clients.at(client.socket.fileno())


def test_clients_leave_512_descriptors_to_the_rest_of_the_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the limit 512 descriptors are kept back; clients get the rest, from 8 to 2048 places."""
    limits = {"soft": 1024, "hard": 524288}

    def get(_what: int) -> tuple[int, int]:
        return limits["soft"], limits["hard"]

    def put(_what: int, both: tuple[int, int]) -> None:
        limits["soft"], limits["hard"] = both

    monkeypatch.setattr(resource, "getrlimit", get)
    monkeypatch.setattr(resource, "setrlimit", put)
    assert (2048, 2560) == (clientele.places(), limits["soft"])
    limits.update(soft=1024, hard=1024)
    assert 512 == clientele.places()
    limits.update(soft=256, hard=256)
    assert 8 == clientele.places()
    limits.update(soft=resource.RLIM_INFINITY, hard=resource.RLIM_INFINITY)
    assert 2048 == clientele.places()
