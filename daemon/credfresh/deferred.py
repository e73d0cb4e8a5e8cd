"""Makes a provider when it is first needed, or soon after the start.

The SDK is a fifth of all that is imported, and after a restart with everything fresh it is needed
half a session later. So the service comes up first. But the SDK is imported soon after: an upgrade
may replace it on disk while the daemon runs, and the new version would not fit the loaded modules.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from credfresh.errors import Scope
from credfresh.events import Emit
from credfresh.life.desk import Desk
from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.renewer import Provider
from credfresh.settings import Profile

SOON = 1.0
"""Seconds from the start to the making of the provider."""

_HINT = "no renewal can succeed: reinstall credfresh with what it needs, and restart"


class Deferred:
    """A provider that is made when first needed. Called from several threads, as any provider.

    `make` is called once, or again after each failure.
    """

    def __init__(self, make: Callable[[], Provider], emit: Emit) -> None:
        self._make = make
        self._emit = emit
        self._lock = threading.Lock()
        self._provider: Provider | None = None

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        """Ask the provider; see `Provider`.

        Raises:
            RenewalError: this attempt failed.
        """
        return self._made().obtain(profile, parent, waits)

    def prepare(self) -> None:
        """Make the provider now; emit an event if that fails: the first attempt may be far off."""
        try:
            self._made()
        except Exception as error:  # noqa: BLE001 - whatever it is, each attempt meets it too
            self._emit("provider_unusable", code=type(error).__name__, hint=_HINT)

    def _made(self) -> Provider:
        with self._lock:
            if self._provider is None:
                self._provider = self._make()
            return self._provider


class Soon:
    """An attendant that calls `do` once, soon after the start, in a thread of its own."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do: Callable[[], None] | None = do
        self._waited = False

    def open(self, desk: Desk) -> None:
        """Start to wait."""
        desk.agenda.add(self._look)

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _look(self, _now: Instant) -> float:
        if not self._waited:
            self._waited = True
            return SOON
        try:
            threading.Thread(target=self._do, name="credfresh-soon", daemon=True).start()
        except RuntimeError:  # the system gives no more threads: try again a little later
            return SOON
        self._do = None  # it may hold a provider that a reload replaces
        return math.inf
