"""The rules of STS: who may assume which role, for how long, and who a caller is."""

from __future__ import annotations

from dataclasses import replace

from credfresh.simulator import answers, bounds, refusals, signature
from credfresh.simulator.bounds import RoleRequest
from credfresh.simulator.faults import Grant
from credfresh.simulator.query import Query
from credfresh.simulator.wire import HttpRequest
from credfresh.simulator.world import (
    Principal,
    Role,
    Session,
    WebIdentity,
    World,
    account_of,
)

_VERSION = "2011-06-15"
_CHAINED_LIMIT = 3600
"""Seconds at most of a session whose caller is a role session itself."""


class Service:
    """Answers requests about a world.

    `max_skew` is how far (seconds) a signature's time may be off; None: it is not checked.
    `grant_seconds` limits the lifetime of every grant.
    """

    def __init__(
        self, world: World, *, grant_seconds: float | None, max_skew: float | None
    ) -> None:
        self._world = world
        self.grant_seconds = grant_seconds
        self._max_skew = max_skew

    def answer(
        self, request: HttpRequest, query: Query, *, now: float, grant: Grant, request_id: str
    ) -> bytes:
        """Return the body of a successful answer, or raise StsError."""
        if not query.action:
            raise refusals.missing_action()
        version = query.text("Version") or "NO_VERSION_SPECIFIED"
        known = {"AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"}
        if query.action not in known or version != _VERSION:
            raise refusals.invalid_action(query.action, version)
        if query.action == "AssumeRoleWithWebIdentity":
            return self._with_web_identity(query, now=now, grant=grant, request_id=request_id)
        claim = signature.read_claim(request)
        caller = self._world.principal(claim.access_key_id, claim.token, now)
        if self._max_skew is not None:
            signature.check_time(claim, now, self._max_skew)
        signature.check_signature(request, claim, caller.secret_access_key)
        if claim.region in self._world.disabled_regions:
            raise refusals.region_disabled(account_of(caller.arn))
        if query.action == "GetCallerIdentity":
            return answers.caller_identity(caller, request_id)
        return self._assume_role(caller, query, now=now, grant=grant, request_id=request_id)

    def _assume_role(
        self, caller: Principal, query: Query, *, now: float, grant: Grant, request_id: str
    ) -> bytes:
        asked = bounds.read_role_request(query)
        role = self._trusting_role(caller, asked)
        _check_duration(asked, role, chained=isinstance(caller, Session))
        if isinstance(caller, Session):
            asked = _inherit(caller, role, asked)
        inherited = caller.transitive_tags if isinstance(caller, Session) else {}
        return self._issue(
            role, asked, caller.arn, dict(inherited), now=now, grant=grant, request_id=request_id
        )

    def _with_web_identity(
        self, query: Query, *, now: float, grant: Grant, request_id: str
    ) -> bytes:
        token = query.text("WebIdentityToken") or ""
        # This operation ignores parameters that it does not have.
        asked = replace(
            bounds.read_role_request(query),
            external_id=None,
            tags={},
            transitive_tag_keys=(),
            source_identity=None,
        )
        identity = self._world.web_identity(token, now)
        role = self._world.roles.get(asked.role_arn)
        if role is None or not role.trusts & {identity.provider, "*"}:
            raise refusals.web_identity_denied()
        _check_duration(asked, role, chained=False)
        return self._issue(
            role,
            asked,
            identity.subject,
            {},
            now=now,
            grant=grant,
            request_id=request_id,
            identity=identity,
        )

    def _trusting_role(self, caller: Principal, asked: RoleRequest) -> Role:
        """Return the role, if it exists, trusts the caller and gets the right ExternalId."""
        role = self._world.roles.get(asked.role_arn)
        denied = refusals.access_denied(caller.arn, "AssumeRole", asked.role_arn)
        if role is None or not role.trusts & caller.principals:
            raise denied
        if role.external_id is not None and role.external_id != asked.external_id:
            raise denied
        return role

    def _issue(
        self,
        role: Role,
        asked: RoleRequest,
        caller_arn: str,
        inherited: dict[str, str],
        *,
        now: float,
        grant: Grant,
        request_id: str,
        identity: WebIdentity | None = None,
    ) -> bytes:
        lifetime: float = asked.duration
        if self.grant_seconds is not None:
            lifetime = min(lifetime, self.grant_seconds)
        if grant.lifetime is not None:
            lifetime = grant.lifetime
        chosen = {key.casefold() for key in asked.transitive_tag_keys}
        transitive = {key: value for key, value in asked.tags.items() if key.casefold() in chosen}
        key_id, secret, token = self._world.new_keys()
        session = Session(
            role=role,
            name=asked.session_name,
            access_key_id=key_id,
            secret_access_key=secret,
            session_token=token,
            issued_at=now,
            # Whole seconds, as in the answer.
            expires_at=float(int(now + lifetime)),
            caller_arn=caller_arn,
            tags=inherited | dict(asked.tags),
            transitive_tags=inherited | transitive,
            source_identity=asked.source_identity,
            policy=asked.policy,
            policy_arns=asked.policy_arns,
        )
        self._world.keep(session)
        return answers.role_credentials(
            "AssumeRole" if identity is None else "AssumeRoleWithWebIdentity",
            session,
            expiration=session.expires_at if grant.expiration else None,
            packed_percent=asked.packed_percent,
            identity=identity,
            request_id=request_id,
        )


def _check_duration(asked: RoleRequest, role: Role, *, chained: bool) -> None:
    if chained and asked.duration > _CHAINED_LIMIT:
        raise refusals.invalid_value(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining"
        )
    if asked.duration > role.max_session_duration:
        raise refusals.invalid_value(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )


def _inherit(caller: Session, role: Role, asked: RoleRequest) -> RoleRequest:
    """Apply what a chained session inherits from its caller: source identity, tags."""
    inherited = {key.casefold() for key in caller.transitive_tags}
    if any(key.casefold() in inherited for key in asked.tags):
        raise refusals.invalid_tags(
            "One of the specified transitive tag keys can't be set because it conflicts with a "
            "transitive tag key from the calling session."
        )
    if caller.source_identity is None:
        return asked
    if asked.source_identity not in {None, caller.source_identity}:
        raise refusals.access_denied(caller.arn, "SetSourceIdentity", role.arn)
    return replace(asked, source_identity=caller.source_identity)
