"""The simulated AWS: its users, roles and web identities, and the sessions that were issued.

Plain values and rules; times are passed in. There are no identity policies: only the trust of a
role decides.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b32encode, b64encode
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import field

from credfresh.simulator import refusals
from credfresh.values import dataclass

LEAST_MAX_SESSION = 3600
MOST_MAX_SESSION = 43_200


def account_of(arn: str) -> str:
    """Return the account of an ARN."""
    return arn.split(":")[4]


def _unique_id(prefix: str, arn: str) -> str:
    """Return an IAM unique id (21 characters), always the same for an ARN."""
    return prefix + b32encode(hashlib.sha256(arn.encode()).digest())[:17].decode()


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user with its one access key."""

    arn: str
    access_key_id: str
    secret_access_key: str = field(repr=False)

    @property
    def user_id(self) -> str:
        """`AIDA…`, as GetCallerIdentity gives it."""
        return _unique_id("AIDA", self.arn)

    @property
    def principals(self) -> frozenset[str]:
        """Every name by which a trust policy may mean this user."""
        return frozenset({self.arn, *_account_principals(self.arn), "*"})


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role. `trusts` names principals as a trust policy does.

    Each is a user's or role's ARN, an assumed role's session ARN, an account (its 12 digits, or
    `arn:…:root`), the provider of web identities, or `*`.
    """

    arn: str
    trusts: frozenset[str]
    external_id: str | None = None
    max_session_duration: int = LEAST_MAX_SESSION
    """Seconds: 3,600 to 43,200."""

    @property
    def name(self) -> str:
        """The name without its path, as it stands in session ARNs."""
        return self.arn.rpartition("/")[2]

    @property
    def role_id(self) -> str:
        """`AROA…`, the first half of an AssumedRoleId."""
        return _unique_id("AROA", self.arn)


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """An OIDC token that a provider is taken to have issued."""

    token: str = field(repr=False)
    provider: str
    subject: str
    audience: str
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Session credentials issued for a role, with the parameters of the request."""

    role: Role
    name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    issued_at: float
    expires_at: float
    """Wall seconds; from then on the session is refused with ExpiredToken."""
    caller_arn: str
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tags: Mapping[str, str] = field(default_factory=dict)
    source_identity: str | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        """`arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`."""
        partition = self.role.arn.split(":")[1]
        account = account_of(self.role.arn)
        return f"arn:{partition}:sts::{account}:assumed-role/{self.role.name}/{self.name}"

    @property
    def user_id(self) -> str:
        """The AssumedRoleId, `AROA…:SESSION`."""
        return f"{self.role.role_id}:{self.name}"

    @property
    def principals(self) -> frozenset[str]:
        """Every name by which a trust policy may mean this session."""
        return frozenset({self.arn, self.role.arn, *_account_principals(self.arn), "*"})


Principal = User | Session


def _account_principals(arn: str) -> tuple[str, str]:
    account = account_of(arn)
    return account, f"arn:{arn.split(':')[1]}:iam::{account}:root"


def _new_key_id(prefix: str) -> str:
    """Return an access key id: the prefix and 16 characters."""
    return prefix + b32encode(os.urandom(10)).decode()


def _new_secret() -> str:
    """Return a secret access key: 40 characters."""
    return b64encode(os.urandom(30)).decode()


def _new_token() -> str:
    """Return a session token: 416 characters, beginning as the real ones do."""
    return "IQoJb3JpZ2luX2Vj" + b64encode(os.urandom(300)).decode()


class World:
    """Users, roles, web identities and sessions; not thread-safe."""

    def __init__(self, *, max_sessions: int) -> None:
        self._max_sessions = max_sessions
        self.users: dict[str, User] = {}
        self.roles: dict[str, Role] = {}
        self.web_identities: dict[str, WebIdentity] = {}
        self.sessions: OrderedDict[str, Session] = OrderedDict()
        """By access key id, oldest first; beyond `max_sessions` the oldest are forgotten."""
        self.disabled_regions: set[str] = set()

    def add_user(self, arn: str) -> User:
        """Make a user with a new access key."""
        user = User(arn, _new_key_id("AKIA"), _new_secret())
        self.users[user.access_key_id] = user
        return user

    def add_role(
        self, arn: str, trusts: Iterable[str], external_id: str | None, max_session_duration: int
    ) -> Role:
        """Make a role, or change the one of that ARN."""
        if not LEAST_MAX_SESSION <= max_session_duration <= MOST_MAX_SESSION:
            raise ValueError(
                f"max_session_duration must be {LEAST_MAX_SESSION} to {MOST_MAX_SESSION} seconds "
                f"(got {max_session_duration})"
            )
        role = Role(arn, frozenset(trusts), external_id, max_session_duration)
        self.roles[arn] = role
        return role

    def remove_role(self, arn: str) -> None:
        """Delete a role and revoke its sessions; KeyError if there is no such role."""
        del self.roles[arn]
        for session in [each for each in self.sessions.values() if each.role.arn == arn]:
            del self.sessions[session.access_key_id]

    def revoke(self, access_key_id: str) -> None:
        """Revoke a session or a user's access key; KeyError if there is no such key."""
        if access_key_id in self.users:
            del self.users[access_key_id]
        else:
            del self.sessions[access_key_id]

    def principal(self, access_key_id: str, token: str | None, now: float) -> Principal:
        """Return the principal with this key; raise StsError if there is none or it has expired."""
        if token is None:
            user = self.users.get(access_key_id)
            if user is None:
                raise refusals.invalid_client_token()
            return user
        session = self.sessions.get(access_key_id)
        if session is None or session.session_token != token:
            raise refusals.invalid_client_token()
        if now >= session.expires_at:
            raise refusals.expired_token()
        return session

    def web_identity(self, token: str, now: float) -> WebIdentity:
        """Return a token's identity; raise StsError if it is not registered, or has expired."""
        identity = self.web_identities.get(token)
        if identity is None:
            raise refusals.invalid_identity_token("The ID Token provided is not a valid JWT.")
        if identity.expires_at is not None and now >= identity.expires_at:
            raise refusals.expired_identity_token(now, identity.expires_at)
        return identity

    def new_keys(self) -> tuple[str, str, str]:
        """Return the key id, secret and token for a new session; `keep` must store it."""
        return _new_key_id("ASIA"), _new_secret(), _new_token()

    def keep(self, session: Session) -> None:
        """Store an issued session."""
        self.sessions[session.access_key_id] = session
        while len(self.sessions) > self._max_sessions:
            self.sessions.popitem(last=False)
