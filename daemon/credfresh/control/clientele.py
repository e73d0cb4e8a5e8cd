"""Which clients are served, and which one goes when all places are taken. Touches no socket."""

from __future__ import annotations

import resource
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import field
from enum import Enum

from credfresh.values import dataclass

MOST_CLIENTS = 2048
"""Clients at the same time; each takes some 2 KB, and 32 KB in the kernel while it is answered."""

OF_ONE_USER = 3 / 4
"""The share of the places that one user can take who is neither root nor the daemon's."""

SPARE_DESCRIPTORS = 512
"""File descriptors that clients can never take from the rest of the daemon."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process and the user that connected, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int


class State(Enum):
    """What a client is doing."""

    ASKING = "asking"
    WAITING = "waiting"
    ANSWERED = "answered"


@dataclass(slots=True, eq=False)
class Client:
    """One connection."""

    socket: socket.socket
    ticket: int
    peer: Peer
    deadline: float
    """Boot-clock second by which it must reach another state, or have read its answer."""
    state: State = State.ASKING
    received: bytearray = field(default_factory=bytearray)
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))


class Clientele:
    """All clients. `privileged` users may take every place; there are `places` in all."""

    def __init__(self, places: int, *, privileged: frozenset[int]) -> None:
        self._places = places
        self._of_one_user = int(places * OF_ONE_USER)
        self._privileged = privileged
        self._clients: dict[int, Client] = {}
        self._by_ticket: dict[int, Client] = {}
        self._of_user: Counter[int] = Counter()
        self._silent: dict[int, dict[int, Client]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        """Iterate over a copy: clients may leave while the caller goes through them."""
        return iter(list(self._clients.values()))

    def at(self, descriptor: int) -> Client | None:
        """Return the client whose socket has this descriptor."""
        return self._clients.get(descriptor)

    def holder(self, ticket: int) -> Client | None:
        """Return the client of a ticket, None once it has left."""
        return self._by_ticket.get(ticket)

    def admit(self, client: Client) -> Client | None:
        """Add a client; return the client that has to go for it, if any. It may be the new one.

        If one user has too many clients, that user's longest silent one goes. If all users together
        have too many, the longest silent one of the user who has most goes; the new one, if that
        user has none that is silent.
        """
        uid = client.peer.uid
        self._clients[client.socket.fileno()] = self._by_ticket[client.ticket] = client
        self._silent.setdefault(uid, {})[client.ticket] = client
        self._of_user[uid] += 1
        if uid not in self._privileged and self._of_user[uid] > self._of_one_user:
            return self._longest_silent(uid)
        if len(self._clients) > self._places:
            [(heaviest, _)] = self._of_user.most_common(1)
            return self._longest_silent(heaviest) or client
        return None

    def enter(self, client: Client, state: State) -> None:
        """Note that a client is in another state."""
        if client.state is State.ASKING:
            silent = self._silent[client.peer.uid]
            del silent[client.ticket]
            if not silent:
                del self._silent[client.peer.uid]
        client.state = state

    def leave(self, client: Client) -> None:
        """Forget a client; its socket is still open."""
        self.enter(client, State.ANSWERED)
        del self._clients[client.socket.fileno()]
        del self._by_ticket[client.ticket]
        self._of_user[client.peer.uid] -= 1
        if not self._of_user[client.peer.uid]:
            del self._of_user[client.peer.uid]

    def _longest_silent(self, uid: int) -> Client | None:
        return next(iter(self._silent.get(uid, {}).values()), None)


def places() -> int:
    """Return how many clients there may be, after asking the system for as many as we want.

    systemd.exec(5): a service has a soft limit of 1,024 descriptors and a hard one far above.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CLIENTS + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MOST_CLIENTS
    return max(8, min(MOST_CLIENTS, soft - SPARE_DESCRIPTORS))
