"""Which clients are served, and which one goes when all places are taken. Touches no socket."""

from __future__ import annotations

import resource
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

MOST_CLIENTS = 2048
"""Clients at the same time; each costs some 2 KB, and 32 KB of the kernel's while answered."""

OF_ONE_USER = 3 / 4
"""The share of these for one user who is neither root nor ourselves."""

SPARE_DESCRIPTORS = 512
"""File descriptors that are left to the rest of the daemon, whatever clients do."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who connected, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int


class State(Enum):
    """How far a client has come."""

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
    """Boot-clock second until which it has to come further."""
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
        """All of them as of now: they may leave while somebody goes through them."""
        return iter(list(self._clients.values()))

    def at(self, descriptor: int) -> Client | None:
        """Return the client whose socket has this descriptor."""
        return self._clients.get(descriptor)

    def holder(self, ticket: int) -> Client | None:
        """Return the client of a ticket, None once it has left."""
        return self._by_ticket.get(ticket)

    def admit(self, client: Client) -> Client | None:
        """Take in a client; return who has to go for it, if anybody: it may be itself.

        Where one user, or all of them, hold too many places, whoever has been silent longest of
        the user who holds most loses his; the newcomer, where nobody is silent.
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
        """Note that a client has come further."""
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
