"""Publishes in the engine, one profile at a time, and never older credentials over newer ones.

Check-and-set with the version ensures that: a hub that was paused, and wakes with old credentials,
meets a version that it does not know, and reads it before it writes.
"""

from __future__ import annotations

from credfresh import policy
from credfresh.errors import Mend, RenewalError
from credfresh.model import Clock
from credfresh.publication import Publication
from credfresh.vault.engine import ConflictError, Engine
from credfresh.vault.secret import Secret, Version, decoded, described, encoded, of_grant

TRIES = 3
"""Attempts to write one secret, if others write it at the same time."""


class Mirror:
    """Keeps the secrets of one engine equal to what this hub has renewed. For one thread."""

    def __init__(self, engine: Engine, *, writer: str, clock: Clock) -> None:
        self._engine = engine
        self._writer = writer
        self._clock = clock
        self._versions: dict[str, int] = {}

    def publish(self, name: str, publication: Publication | None) -> None:
        """Publish under `name` what `publication` says; delete it if that is None or a withdrawal.

        Raises:
            RenewalError: the engine cannot be reached, refuses, or others write the secret as well.
        """
        if publication is None or publication.withdraw:
            self._engine.delete(name)
            self._versions.pop(name, None)
            return
        grant = publication.grant
        if grant is None or grant.upstream is not None:
            return  # nothing in hand, or it came from the engine
        profile = publication.profile
        if grant.request != profile.request:
            return  # a reload has changed the request: these credentials may be of another role
        plan = policy.plan(grant, profile.renew_before, profile.rhythm)
        secret = of_grant(
            grant,
            profile,
            renews_after=plan.renew_at.boot - grant.sent_at.boot,
            writer=self._writer,
        )
        self._write(name, secret, left=self._clock().until(grant.expires_at))

    def _write(self, name: str, secret: Secret, *, left: float) -> None:
        if left <= 0:
            return
        lifetime = left if self._engine.where.delete_expired else None
        version = self._versions.get(name)
        for _ in range(TRIES):
            if version is None:
                standing = self._engine.read(name)
                version = standing.number
                if overtaken(secret, standing):
                    self._versions[name] = version
                    return
            try:
                # A version's lifetime in the engine is fixed when it is written.
                self._engine.describe(name, lifetime=lifetime)
                self._versions[name] = self._engine.write(name, encoded(secret), version)
            except ConflictError:
                version = None
            else:
                self._engine.describe(name, lifetime=lifetime, about=described(secret))
                return
        raise RenewalError(
            f"{self._engine.shown(name)}: somebody else writes it all the time",
            code="EngineContended",
            mend=Mend.TIME,
            hint="let nobody but the hubs of one fleet write below the prefix",
        )


def overtaken(ours: Secret, standing: Version) -> bool:
    """Say whether the credentials in the engine are as new as ours, or newer."""
    if standing.document is None:
        return False
    try:
        theirs = decoded(standing.document)
    except ValueError:
        return False
    return not ours.newer_than(theirs)
