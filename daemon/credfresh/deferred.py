"""A provider that is made when it is first needed, or soon after the start.

The SDK is a fifth of all that is imported. Who restarts with everything fresh needs it half a
session later; so the service is up first. Not much later, though: what is installed may be replaced
while the daemon runs, and the new would not fit the old that it has loaded.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable

from credfresh.errors import Scope
from credfresh.life.desk import Desk
from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.renewer import Provider
from credfresh.settings import Profile

SOON = 1.0
"""Seconds after the start."""


class Deferred:
    """Makes a provider in its own time; called from several threads, as any provider.

    `make` is called once, unless it fails: then again by whoever needs it next.
    """

    def __init__(self, make: Callable[[], Provider]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._provider: Provider | None = None
        self._waited = False

    def open(self, desk: Desk) -> None:
        """Have it made soon."""
        desk.agenda.add(self._look)

    def close(self) -> None:
        """Nothing is held."""

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        """Ask the provider; see there.

        Raises:
            RenewalError: this attempt failed.
        """
        return self._made().obtain(profile, parent, waits)

    def _made(self) -> Provider:
        with self._lock:
            if self._provider is None:
                self._provider = self._make()
            return self._provider

    def _look(self, _now: Instant) -> float:
        if not self._waited:
            self._waited = True
            return SOON
        threading.Thread(target=self._prepare, name="credfresh-provider", daemon=True).start()
        return math.inf

    def _prepare(self) -> None:
        with contextlib.suppress(Exception):  # the first attempt meets the same, and reports it
            self._made()
