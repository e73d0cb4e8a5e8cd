"""Looking after the lease: one hub's looks at the record, and what they tell."""

from __future__ import annotations

import contextlib

from credfresh.errors import RenewalError
from credfresh.events import Emit
from credfresh.model import Clock
from credfresh.vault import lease
from credfresh.vault.engine import ConflictError, Engine
from credfresh.vault.lease import Lease, Write

RECORD_LIFETIME = 3600.0
"""Seconds after which the engine forgets a record that nobody renews."""


class Leadership:
    """Says whether this hub leads. `look` is for one thread, `leads` for all."""

    def __init__(self, engine: Engine, name: str, *, clock: Clock, emit: Emit) -> None:
        self._engine = engine
        self._lease = Lease(name)
        self._clock = clock
        self._emit = emit
        self._told = False
        self._described = False

    @property
    def leads(self) -> bool:
        """Whether this hub may renew for all."""
        return self._lease.held(self._clock().boot)

    def look(self) -> bool:
        """Renew the lease, or take it where it is free; say whether it has just been gained.

        Raises:
            RenewalError: the engine is not there, or refuses.
        """
        try:
            step = self._lease.next(self._clock().boot)
            if step == "read":
                version = self._engine.read(lease.RECORD)
                record = lease.decoded(version.number, version.document)
                step = self._lease.saw(record, self._clock().boot) or "read"
            if isinstance(step, Write):
                self._write(step)
        finally:
            gained = self._tell()
        return gained

    def give_back(self) -> None:
        """Let another hub lead at once, if this one does and the engine can be told."""
        write = self._lease.give_back(self._clock().boot)
        if write is not None:
            with contextlib.suppress(ConflictError, RenewalError):  # else they wait for its end
                self._engine.write(lease.RECORD, lease.encoded(write.holder), write.cas)
        self._tell()

    def _write(self, write: Write) -> None:
        if not self._described:
            self._engine.describe(lease.RECORD, lifetime=RECORD_LIFETIME)
            self._described = True
        sent = self._clock().boot
        try:
            version = self._engine.write(lease.RECORD, lease.encoded(write.holder), write.cas)
        except ConflictError:
            self._lease.lost()
        else:
            self._lease.wrote(version, sent)

    def _tell(self) -> bool:
        leads, told = self.leads, self._told
        self._told = leads
        if leads and not told:
            self._emit("hub_leads", engine=self._engine.where.address)
        elif told and not leads:
            self._emit("hub_follows", engine=self._engine.where.address)
        return leads and not told
