"""Decides when a hub that leads stands down: when it can renew nothing, but another hub may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from credfresh.errors import RenewalError, Scope
from credfresh.model import Clock

PATIENCE = 60.0
"""Seconds from the first failure to the one at which a hub stands down, with no success between."""

MOST_PATIENCE = 960.0
"""The same, at most: it doubles each time, for all hubs fail if STS is down."""

_NOT_THE_PROFILES = frozenset({Scope.SOURCE, Scope.ENDPOINT})


class Fitness:
    """Watches the renewals of a hub that leads. Safe from every thread.

    Only failures of a source or an endpoint count: a role that refuses one hub refuses them all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._patience = PATIENCE
        self._unfit = False

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Note how an attempt in the block ends.

        Raises:
            RenewalError: the attempt failed.
        """
        try:
            yield
        except RenewalError as error:
            if error.scope in _NOT_THE_PROFILES:
                self._failed()
            raise
        with self._lock:
            self._since, self._patience, self._unfit = None, PATIENCE, False

    def begin(self) -> None:
        """Forget the failures from before this hub came to lead."""
        with self._lock:
            self._since, self._unfit = None, False

    def gives_up(self) -> bool:
        """Say whether the hub should stand down; it takes twice as long until the next time."""
        with self._lock:
            unfit, self._unfit = self._unfit, False
            if unfit:
                self._patience = min(2 * self._patience, MOST_PATIENCE)
            return unfit

    def _failed(self) -> None:
        with self._lock:
            now = self._clock().boot
            self._since = now if self._since is None else self._since
            self._unfit = now - self._since >= self._patience
