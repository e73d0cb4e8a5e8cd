"""The simulator as a whole: a world, its STS, faults, a journal and a server."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from credfresh.model import Clock
from credfresh.simulator.dispatcher import Dispatcher
from credfresh.simulator.faults import Fault, Injection, Predicate
from credfresh.simulator.journal import Call
from credfresh.simulator.server import Server
from credfresh.simulator.service import Service
from credfresh.simulator.world import Role, Session, User, WebIdentity, World


class Simulator:
    """AWS STS on loopback. Every method may be called from any thread, at any time.

    Times are those of `clock` (wall); only latencies and drips are real seconds.
    `grant_seconds` limits every grant: for instance to half a minute, even if an hour is asked for.
    `max_skew` (seconds) is how far a signature's time may be off; None allows any, if clients sign
    by another clock than `clock`. `port` 0 takes a free one, which stays the same over restarts.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        grant_seconds: float | None = None,
        max_skew: float | None = 900.0,
        max_sessions: int = 100_000,
    ) -> None:
        self._world = World(max_sessions=max_sessions)
        self._service = Service(self._world, grant_seconds=grant_seconds, max_skew=max_skew)
        self._dispatcher = Dispatcher(self._service, clock)
        self._server = Server(self._dispatcher, host, port)

    def start(self) -> Self:
        """Listen and serve. Raises OSError if the port cannot be used."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Close the port and all connections, as an outage does; users, roles and sessions stay.

        Raises the first error of the simulator itself, if there was one.
        """
        self._server.stop()
        if self._server.crashes:
            raise self._server.crashes[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The endpoint URL; valid after the first start."""
        return f"http://{self._server.host}:{self._server.port}"

    # The world

    def add_user(self, arn: str) -> User:
        """Make an IAM user with a new long-term access key."""
        with self._dispatcher.changed:
            return self._world.add_user(arn)

    def add_role(
        self,
        arn: str,
        *,
        trusts: Iterable[str],
        external_id: str | None = None,
        max_session_duration: int = 3600,
    ) -> Role:
        """Make a role, or change the one of that ARN. `trusts`: see `Role`."""
        with self._dispatcher.changed:
            return self._world.add_role(arn, trusts, external_id, max_session_duration)

    def remove_role(self, arn: str) -> None:
        """Delete a role; its sessions are refused from now on."""
        with self._dispatcher.changed:
            self._world.remove_role(arn)

    def add_web_identity(
        self,
        token: str,
        *,
        provider: str,
        subject: str,
        audience: str = "sts.amazonaws.com",
        expires_at: float | None = None,
    ) -> WebIdentity:
        """Accept this token as issued by the provider, for roles that trust the provider."""
        identity = WebIdentity(token, provider, subject, audience, expires_at)
        with self._dispatcher.changed:
            self._world.web_identities[token] = identity
        return identity

    def disable_region(self, region: str) -> None:
        """Answer RegionDisabledException to requests that are signed for this region."""
        with self._dispatcher.changed:
            self._world.disabled_regions.add(region)

    def enable_region(self, region: str) -> None:
        """Undo `disable_region`."""
        with self._dispatcher.changed:
            self._world.disabled_regions.discard(region)

    def revoke(self, access_key_id: str) -> None:
        """Withdraw a session or a user's key: InvalidClientTokenId from now on."""
        with self._dispatcher.changed:
            self._world.revoke(access_key_id)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The latest `max_sessions` sessions, oldest first, expired ones too."""
        with self._dispatcher.changed:
            return tuple(self._world.sessions.values())

    @property
    def grant_seconds(self) -> float | None:
        """The limit of every grant, in seconds; may be set at any time."""
        return self._service.grant_seconds

    @grant_seconds.setter
    def grant_seconds(self, seconds: float | None) -> None:
        self._service.grant_seconds = seconds

    # Faults

    def inject(
        self,
        *faults: Fault,
        times: int | None = 1,
        after: int = 0,
        action: str | None = None,
        role: str | None = None,
        when: Predicate | None = None,
    ) -> Injection:
        """Strike the next `times` matching requests (None: all) with these faults together.

        `action`, `role` (an ARN) and `when` say which requests match; `after` lets so many of them
        pass first. Of two injections whose faults share a slot (see `faults`), the earlier one is
        used up first.
        """
        injection = Injection(faults, times=times, after=after, action=action, role=role, when=when)
        with self._dispatcher.changed:
            self._dispatcher.injections.append(injection)
        return injection

    def clear_faults(self) -> None:
        """Withdraw every injection; requests that hang do so until `release`."""
        with self._dispatcher.changed:
            for injection in self._dispatcher.injections:
                injection.withdraw()

    def release(self) -> None:
        """Let the requests that hang at this moment be answered."""
        self._server.release()

    # The journal

    @property
    def calls(self) -> tuple[Call, ...]:
        """The latest 100,000 calls, in the order of their arrival."""
        with self._dispatcher.changed:
            return self._dispatcher.journal.calls()

    def count(
        self, action: str | None = None, *, role: str | None = None, outcome: str | None = None
    ) -> int:
        """Return how many calls were made, or how many had this `outcome`: see `Call`."""
        with self._dispatcher.changed:
            return self._dispatcher.journal.count(action, role, outcome)

    @property
    def in_flight(self) -> int:
        """Requests that have arrived and are not answered."""
        return self._dispatcher.journal.in_flight

    @property
    def high_water(self) -> int:
        """The most requests that were ever in flight at once."""
        return self._dispatcher.journal.high_water

    def clear_journal(self) -> None:
        """Forget all calls and counts."""
        with self._dispatcher.changed:
            self._dispatcher.journal.clear()

    def wait_for(
        self,
        number: int,
        action: str | None = None,
        *,
        role: str | None = None,
        outcome: str | None = None,
        timeout: float = 10.0,
    ) -> bool:
        """Wait (at most `timeout` real seconds) until `count` reaches a number; say if it did."""
        with self._dispatcher.changed:
            return self._dispatcher.changed.wait_for(
                lambda: self._dispatcher.journal.count(action, role, outcome) >= number, timeout
            )
