"""The provider of a host without an AWS identity: it grants what a hub has published."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from credfresh.errors import Mend, RenewalError, Scope
from credfresh.model import Clock, Grant, SessionCredentials, rfc3339
from credfresh.principals import VaultEngine
from credfresh.settings import Profile
from credfresh.vault.engine import Engine, Engines
from credfresh.vault.failures import LATE, NO_SECRET, UNREADABLE
from credfresh.vault.secret import Secret, Version, decoded

CLOCKS_AGREE = 5.0
"""Seconds by which this host's clock may differ from the engine's (which tells whole seconds).
Beyond that the engine's clock counts, as that of STS does where STS is asked."""


class OtherPermissionsError(Exception):
    """A hub has published credentials of another role, or with other permissions of this one."""


class VaultProvider:
    """Grants what stands in the engine for a profile. Called from several threads at once.

    `places` are the engines by the name of the source; `salt` (this host's name) spreads the times
    at which hosts ask.
    """

    def __init__(
        self, places: Mapping[str, VaultEngine], engines: Engines, *, clock: Clock, salt: str
    ) -> None:
        self._engines = {name: engines.at(where) for name, where in places.items()}
        self._clock = clock
        self._salt = salt
        self._lock = threading.Lock()
        self._last: dict[tuple[Engine, str], float] = {}
        """When the credentials that were granted last were issued, by engine and profile."""

    def obtain(
        self,
        profile: Profile,
        parent: SessionCredentials | None,
        waits: Callable[[Scope], None] = lambda _: None,
    ) -> Grant:
        """Return what a hub has published; the same as last time only if no renewal was due since.

        Raises:
            RenewalError: the engine is unreachable, does not permit it, or knows no such profile;
                or the hub is late: it has not renewed what it meant to renew before now.
        """
        del parent, waits  # it waits for its source throughout, and that is the engine
        return self.follow(self._engines[profile.source], profile)

    def follow(self, engine: Engine, profile: Profile, *, permissions: str | None = None) -> Grant:
        """Return what stands in `engine` for `profile`, with these `permissions`; see `obtain`.

        Hosts learn the role from the hub, and so ask for none.

        Raises:
            OtherPermissionsError: the credentials have other permissions.
            RenewalError: as from `obtain`.
        """
        version = engine.read(profile.name)
        secret = _secret(engine, profile, version)
        if permissions not in {None, secret.permissions}:
            raise OtherPermissionsError
        now = self._clock()
        wall = now.wall
        if version.read_at is not None and abs(version.read_at - wall) > CLOCKS_AGREE:
            wall = version.read_at
        with self._lock:
            last = self._last.get((engine, profile.name))
            known = last is not None and secret.issued <= last
            late = known and secret.renews <= wall  # before that, the host is early
            if not late and secret.expiration > wall:
                self._last[engine, profile.name] = secret.issued
        if late or secret.expiration <= wall:
            raise _late(engine, profile, secret)
        return secret.grant(now, wall, request=profile.request, salt=self._salt)


def _secret(engine: Engine, profile: Profile, version: Version) -> Secret:
    path = engine.shown(profile.name)
    if version.document is None:
        what = "has been deleted, or has expired" if version.number else "does not exist"
        raise RenewalError(
            f"{path}: {what}",
            code=NO_SECRET,
            mend=Mend.TIME,
            hint="the hub has no such profile, or has not published it for a long time",
        )
    try:
        return decoded(version.document)
    except ValueError as error:
        raise RenewalError(
            f"{path}: {error}",
            code=UNREADABLE,
            mend=Mend.HUMAN,
            hint="let nobody but a hub of credfresh write below the prefix",
        ) from None


def _late(engine: Engine, profile: Profile, secret: Secret) -> RenewalError:
    path = engine.shown(profile.name)
    return RenewalError(
        f"{path}: the hub {secret.writer} meant to renew it at {rfc3339(secret.renews)}",
        code=LATE,
        mend=Mend.TIME,
        hint="look at the hubs: none of them renews this profile",
    )
