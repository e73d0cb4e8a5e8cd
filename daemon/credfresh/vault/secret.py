"""What stands in the engine for one profile, and which of two secrets is newer. Pure.

The secret is the `credential_process` JSON of AWS (Version 1), so that any template can use it as
it is, with a mark in it: which hub renewed it, for which role, permissions and request, and when it
will be renewed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from credfresh.model import Grant, Instant, SessionCredentials, Upstream, rfc3339
from credfresh.settings import Profile
from credfresh.values import dataclass

MARK = "credfresh"
"""The key of the mark inside the secret."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Session credentials as a hub published them.

    Times are wall seconds of STS's clock, since the hubs' own clocks may differ.
    """

    credentials: SessionCredentials
    role_arn: str
    permissions: str
    """As `Profile.permissions`; empty if the mark does not say it."""
    request: str
    issued: float
    renews: float
    """When the hub means to renew them."""
    writer: str

    @property
    def expiration(self) -> float:
        """When the credentials expire."""
        return self.credentials.expiration

    def newer_than(self, other: Secret) -> bool:
        """Say whether these are other credentials than `other`, and were issued no earlier."""
        return self.issued >= other.issued and self.key != other.key

    @property
    def key(self) -> str:
        """The access key id."""
        return self.credentials.access_key_id

    def grant(self, now: Instant, wall: float, *, request: str, salt: str) -> Grant:
        """Return the credentials as a grant to a host, counted from when the hub asked for them.

        `wall` is the true time, whatever the host's clock says. `request` is the fingerprint of the
        host's request; `salt` spreads the hosts' renewals.
        """
        age = max(0.0, wall - self.issued)
        lifetime = self.expiration - self.issued
        return Grant(
            credentials=self.credentials,
            sent_at=Instant(now.wall - age, now.boot - age),
            lifetime=lifetime,
            asked=lifetime,
            request=request,
            upstream=Upstream(renews_after=self.renews - self.issued, salt=salt),
        )


def of_grant(grant: Grant, profile: Profile, *, renews_after: float, writer: str) -> Secret:
    """Return what a hub publishes for its own grant, renewed `renews_after` seconds after issue.

    `grant` answers the request of `profile`.
    """
    issued = float(int(grant.credentials.expiration - grant.lifetime))
    return Secret(
        credentials=grant.credentials,
        role_arn=profile.role_arn,
        permissions=profile.permissions,
        request=grant.request,
        issued=issued,
        renews=float(int(issued + renews_after)),
        writer=writer,
    )


def encoded(secret: Secret) -> dict[str, object]:
    """Return the secret's document."""
    return {
        "Version": 1,
        "AccessKeyId": secret.key,
        "SecretAccessKey": secret.credentials.secret_access_key,
        "SessionToken": secret.credentials.session_token,
        "Expiration": rfc3339(secret.expiration),
        MARK: {
            "v": 1,
            **described(secret),
            "permissions": secret.permissions,
            "request": secret.request,
        },
    }


def described(secret: Secret) -> dict[str, str]:
    """Return the metadata: it holds no secret, and may be read without the right to read those."""
    return {
        "role": secret.role_arn,
        "issued": rfc3339(secret.issued),
        "expiration": rfc3339(secret.expiration),
        "renews": rfc3339(secret.renews),
        "writer": secret.writer,
    }


def decoded(document: Mapping[str, object]) -> Secret:
    """Read a secret's document.

    Raises:
        ValueError: credfresh did not write it; the message names the field and never the value.
    """
    mark = document.get(MARK)
    if not isinstance(mark, Mapping):
        raise ValueError(f"it has no {MARK} mark")  # noqa: TRY004 - a wrong value, not a wrong call
    if mark.get("v") != 1:
        raise ValueError(f"its {MARK} mark is of another version")
    issued, expiration = _time(mark, "issued"), _time(document, "Expiration")
    if expiration <= issued:
        raise ValueError("its Expiration is not after its issue")
    return Secret(
        credentials=SessionCredentials(
            access_key_id=_text(document, "AccessKeyId"),
            secret_access_key=_text(document, "SecretAccessKey"),
            session_token=_text(document, "SessionToken"),
            expiration=expiration,
        ),
        role_arn=_text(mark, "role"),
        permissions=str(mark.get("permissions", "")),
        request=_text(mark, "request"),
        issued=issued,
        renews=_time(mark, "renews"),
        writer=_text(mark, "writer"),
    )


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret in the engine; `document` is None if it was deleted or never was."""

    number: int
    """0 if there has never been one: to check-and-set, 0 means that there must not be one."""
    document: Mapping[str, object] | None = field(repr=False)
    read_at: float | None = None
    """When it was read by the engine's clock, wall seconds; None if the engine does not say."""


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"its {name} is no text")
    return value


def _time(fields: Mapping[str, object], name: str) -> float:
    try:
        time = datetime.fromisoformat(_text(fields, name))
    except ValueError:
        raise ValueError(f"its {name} is no time") from None
    if time.tzinfo is None:  # a hub cannot mean this host's zone
        raise ValueError(f"its {name} has no zone")
    return time.timestamp()
