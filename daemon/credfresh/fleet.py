"""A daemon's part in a fleet: it publishes in an engine (a hub), follows one (a host), or neither.

hvac is imported where an engine is named, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from credfresh.errors import CredfreshError
from credfresh.events import Emit
from credfresh.life.desk import Attendant
from credfresh.life.ports import Outlet
from credfresh.model import Clock, Roll
from credfresh.renewer import BySource, Provider
from credfresh.settings import Settings

if TYPE_CHECKING:
    from credfresh.vault import Engines, Hub


class Fleet:
    """Makes the provider of each configuration; logins and the lease outlive a reload.

    `name` is this daemon's in the fleet, by which followers spread their requests. `patience` is
    how many seconds the start waits to learn whether this hub leads.

    Raises:
        CredfreshError: an engine is named, and hvac is not installed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        clock: Clock,
        roll: Roll,
        emit: Emit,
        patience: float = 0.0,
    ) -> None:
        self._name = name
        self._clock = clock
        self._engines: Engines | None = None
        self._where = settings.vault
        self._hub: Hub | None = None
        if self._where is not None:
            engines = self._open()
            from credfresh.vault import Hub  # noqa: PLC0415 - see above

            self._hub = Hub(
                engines.at(self._where),
                # Another name at each start: this run must not go by what the last one wrote.
                name=f"{name}/{int(roll() * 16**8):08x}",
                clock=clock,
                roll=roll,
                emit=emit,
                patience=patience,
            )

    @property
    def attendants(self) -> Sequence[Attendant]:
        """What serves the fleet while the daemon runs."""
        return (self._hub,) if self._hub else ()

    @property
    def outlets(self) -> Sequence[Outlet]:
        """Where renewed credentials go, beside the files."""
        return (self._hub,) if self._hub else ()

    def provider(self, settings: Settings, sts: Provider) -> Provider:
        """Return the provider for `settings`, around the one that asks STS.

        Raises:
            CredfreshError: an engine is named, and hvac is not installed.
        """
        followed = settings.engines
        if not followed and self._hub is None:
            return sts
        engines = self._open()
        from credfresh.vault import HubProvider, VaultProvider  # noqa: PLC0415 - see above

        follow = VaultProvider(followed, engines, clock=self._clock, salt=self._name)
        leading = sts
        if self._hub is not None and self._where is not None:
            leading = HubProvider(self._hub, engines.at(self._where), sts, follow)
        return BySource(leading, dict.fromkeys(followed, follow))

    def _open(self) -> Engines:
        if self._engines is None:
            try:
                from credfresh.vault import Engines  # noqa: PLC0415 - see above
            except ImportError as error:
                raise CredfreshError(
                    f"an engine is named, and {error.name} is not installed",
                    hint="install credfresh with its extra `vault`, or hvac beside it",
                ) from None
            self._engines = Engines(clock=self._clock, salt=self._name)
        return self._engines
