"""A hub publishes what it renews in the engine, too; of several hubs only the leader renews.

A thread of its own looks after the lease and works off the backlog, so that an engine that is
slow, sealed or gone delays no file of this host. The leader asks STS; the other hubs follow what
it publishes, as hosts do. While the engine cannot be reached, each hub asks STS for its own files.
A leader that can renew nothing stands down, so that another hub can try.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from credfresh import policy
from credfresh.errors import RenewalError, Scope
from credfresh.events import Emit
from credfresh.life.desk import Desk, Errand
from credfresh.life.entry import Phase
from credfresh.life.supervisor import Supervisor
from credfresh.model import Clock, Grant, Roll, SessionCredentials
from credfresh.publication import Publication
from credfresh.renewer import Provider
from credfresh.settings import Profile
from credfresh.vault import lease
from credfresh.vault.backlog import Backlog
from credfresh.vault.engine import Engine
from credfresh.vault.failures import failure
from credfresh.vault.fitness import Fitness
from credfresh.vault.leadership import Leadership
from credfresh.vault.mirror import Mirror
from credfresh.vault.provider import OtherPermissionsError, VaultProvider

FLUSH = 5.0
"""Seconds that the last writes to the engine may take when the daemon ends."""

ASIDE = 3
"""Beats for which a hub that stands down leaves the lease to others: each looks once a beat."""


class Hub:
    """A hub's outlet and attendant. `name` is unique among hubs, and different at each start.

    `open` waits at most `patience` seconds to learn whether this hub leads.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        clock: Clock,
        roll: Roll,
        emit: Emit,
        patience: float = 0.0,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._roll = roll
        self._emit = emit
        self._patience = patience
        self._leadership = Leadership(engine, name, clock=clock, emit=emit)
        self.fitness = Fitness(clock)
        self._aside_until = 0.0
        self._mirror = Mirror(engine, writer=name, clock=clock)
        self._backlog = Backlog()
        self._failing: str | None = None
        self._failures = 0
        self._wake = threading.Event()
        self._looked = threading.Event()
        self._ending = threading.Event()
        self._desk: Desk | None = None
        self._thread = threading.Thread(target=self._run, name="credfresh-hub", daemon=True)

    @property
    def leads(self) -> bool:
        """Whether this hub renews for all hubs."""
        return self._leadership.leads

    @property
    def cut_off(self) -> bool:
        """Of a hub that does not lead: whether the engine does not even let it know who does."""
        return self._failing is not None

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Publish these in the engine too, as soon as possible."""
        del urgent
        if self._backlog.note(changes):
            self._wake.set()

    def open(self, desk: Desk) -> None:
        """Start to look after the lease and the backlog."""
        self._desk = desk
        self._thread.start()
        if self._patience:
            self._looked.wait(self._patience)

    def close(self) -> None:
        """Publish what waits, give the lease back, and end; takes at most `FLUSH` seconds."""
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(FLUSH)

    def _run(self) -> None:
        pause = 0.0
        while not self._ending.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            pause = self._turn()
            self._looked.set()
            if self._failures:  # an engine in trouble is not asked as often as profiles renew
                self._ending.wait(policy.FLOOR)
        # What was noted during the last turn.
        while self._backlog.waiting() and self._turn() == 0.0:
            pass
        self._leadership.give_back()

    def _turn(self) -> float:
        """Look after the lease and the backlog once; return the seconds until the next time."""
        try:
            if not self._may_lead():
                return lease.BEAT  # the engine was not asked: it has not recovered either
            if self._leadership.look():
                self._gained()
            if self._work_off():
                return 0.0
        except RenewalError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - a hub that ended would be missed at expiry
            address = self._engine.where.address
            return self._failed(failure(error, address, "keep the lease and what it publishes"))
        if self._failing is not None:
            self._emit("engine_recovered", engine=self._engine.where.address)
        self._failing, self._failures = None, 0
        return lease.BEAT

    def _may_lead(self) -> bool:
        """Stand down if this hub is unfit; say whether it may hold the lease, or take it."""
        now = self._clock().boot
        if self._leadership.leads and self.fitness.gives_up():
            self._emit("hub_stands_down", engine=self._engine.where.address)
            self._leadership.give_back()
            self._aside_until = now + ASIDE * lease.BEAT
        return now >= self._aside_until

    def _work_off(self) -> bool:
        """Publish what waits, for a beat: the lease must be looked after. Say if more could go."""
        began = self._clock().boot
        for name, publication in self._backlog.waiting():
            if not self._leadership.leads:
                break
            if self._clock().boot - began >= lease.BEAT:
                return True
            try:
                self._mirror.publish(name, publication)
            except RenewalError:
                self._backlog.postpone(name)  # it may fail for ever, and alone
                raise
            self._backlog.done(name, publication)
        return False

    def _failed(self, error: RenewalError) -> float:
        self._failures += 1
        if self._failing != error.code:
            self._failing = error.code
            self._emit(
                "engine_failed",
                engine=self._engine.where.address,
                code=error.code,
                mend=error.mend.value,
                error=error.message,
                hint=error.hint,
            )
        delay = policy.retry_delay(self._failures, error.mend, 0.0, self._roll())
        return min(delay, lease.BEAT)

    def _gained(self) -> None:
        """Renew at once the profiles whose last attempts failed: no hub has renewed them."""
        self.fitness.begin()
        if self._desk is not None:
            supervisor = self._desk.supervisor
            self._desk.post(Errand(lambda: _hasten(supervisor)))


class HubProvider:
    """The provider of a hub: STS if it leads, else what the leader has published."""

    def __init__(self, hub: Hub, engine: Engine, sts: Provider, follow: VaultProvider) -> None:
        self._hub = hub
        self._engine = engine
        self._sts = sts
        self._follow = follow

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        """Return fresh credentials: see `renewer.Provider`.

        Raises:
            RenewalError: this attempt failed.
        """
        if self._hub.leads:
            with self._hub.fitness.judged():
                return self._sts.obtain(profile, parent, waits)
        try:
            permissions = profile.permissions
            grant = self._follow.follow(self._engine, profile, permissions=permissions)
            return replace(grant, from_another_hub=True)
        except OtherPermissionsError:
            pass  # the hubs' configurations differ
        except RenewalError as error:
            # It may still give what it has, of which nothing is renewed: a node without the others.
            if error.scope is not Scope.ENDPOINT and not self._hub.cut_off:
                error.scope = Scope.NONE  # STS was not asked
                raise
        return self._sts.obtain(profile, parent, waits)


def _hasten(supervisor: Supervisor) -> None:
    for entry in supervisor.roster:
        if entry.failures and entry.phase is not Phase.WITHDRAWN:
            supervisor.renew(entry.profile.name)
