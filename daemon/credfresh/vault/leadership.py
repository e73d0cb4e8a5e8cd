"""Looks after the lease: reads and writes its record in the engine for one hub."""

from __future__ import annotations

import contextlib

from credfresh.errors import RenewalError
from credfresh.events import Emit
from credfresh.model import Clock
from credfresh.vault import lease
from credfresh.vault.engine import ConflictError, Engine
from credfresh.vault.lease import Lease, Write

RECORD_LIFETIME = 3600.0
"""Seconds after which the engine deletes a record that nobody renews."""


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
        """Whether this hub renews for all hubs."""
        return self._lease.held(self._clock().boot)

    def look(self) -> bool:
        """Renew the lease, or take it if it is free; say whether it has just been gained.

        Raises:
            RenewalError: the engine cannot be reached, or refuses.
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
        """If this hub leads, free the lease, so that another one can lead at once."""
        write = self._lease.give_back(self._clock().boot)
        if write is not None:
            with contextlib.suppress(ConflictError, RenewalError):  # then it ends by itself
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
