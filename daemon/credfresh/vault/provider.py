"""The provider of a host that holds no AWS identity: what a hub published, before it expires."""

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
"""Seconds by which this host's clock may differ from the engine's, which tells whole ones: beyond,
the engine's counts, as STS's does where STS is asked."""


class OtherRoleError(Exception):
    """What a hub published are credentials of another role."""


class VaultProvider:
    """Grants what stands in the engine for a profile. Called from several threads at once.

    `places` are the engines by the name of the source; `salt` (this host's name) spreads hosts.
    """

    def __init__(
        self, places: Mapping[str, VaultEngine], engines: Engines, *, clock: Clock, salt: str
    ) -> None:
        self._engines = {name: engines.at(where) for name, where in places.items()}
        self._clock = clock
        self._salt = salt
        self._lock = threading.Lock()
        self._last: dict[tuple[Engine, str], float] = {}
        """When the credentials that we handed out last were issued, by engine and profile."""

    def obtain(
        self,
        profile: Profile,
        parent: SessionCredentials | None,
        waits: Callable[[Scope], None] = lambda _: None,
    ) -> Grant:
        """Return what a hub has published: what it has renewed since the last time, if it was to.

        Raises:
            RenewalError: the engine is unreachable, does not permit it, or knows no such profile;
                or the hub is late: it has not renewed yet what it meant to have renewed by now.
        """
        del parent, waits  # the engine is its source: that is what it waits for
        return self.follow(self._engines[profile.source], profile)

    def follow(self, engine: Engine, profile: Profile, *, role_arn: str | None = None) -> Grant:
        """Return what stands in `engine` for `profile`, which must be of `role_arn`; see `obtain`.

        Hosts are told the role by the hub: they want none.

        Raises:
            OtherRoleError: it is of another one.
            RenewalError: as from `obtain`.
        """
        version = engine.read(profile.name)
        secret = _secret(engine, profile, version)
        if role_arn not in {None, secret.role_arn}:
            raise OtherRoleError
        now = self._clock()
        wall = now.wall
        if version.read_at is not None and abs(version.read_at - wall) > CLOCKS_AGREE:
            wall = version.read_at
        with self._lock:
            last = self._last.get((engine, profile.name))
            known = last is not None and secret.issued <= last
            late = known and secret.renews <= wall  # before that, who asks is early
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
            hint="the hub has no such profile, or has not published it for long",
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
