"""The XML of STS's answers, in the namespace of its API of 2011-06-15."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from credfresh.simulator.refusals import StsError
from credfresh.simulator.world import Principal, Session, WebIdentity, account_of

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold; requests may hold them, and errors repeat requests."""


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape(_NOT_XML.sub('?', value))}</{name}>"


def _response(action: str, result: str, request_id: str) -> bytes:
    return (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata>{_element('RequestId', request_id)}</ResponseMetadata>"
        f"</{action}Response>\n"
    ).encode()


def _iso(wall: float) -> str:
    """Render seconds since the epoch as AWS does: whole seconds, UTC, `Z`."""
    return datetime.fromtimestamp(int(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def role_credentials(
    action: str,
    session: Session,
    *,
    expiration: float | None,
    packed_percent: int,
    identity: WebIdentity | None,
    request_id: str,
) -> bytes:
    """Render the answer of AssumeRole, or of AssumeRoleWithWebIdentity with its identity.

    An `expiration` of None leaves that element out, which the real service never does.
    """
    credentials = (
        _element("AccessKeyId", session.access_key_id)
        + _element("SecretAccessKey", session.secret_access_key)
        + _element("SessionToken", session.session_token)
    )
    if expiration is not None:
        credentials += _element("Expiration", _iso(expiration))
    result = (
        f"<Credentials>{credentials}</Credentials>"
        f"<AssumedRoleUser>{_element('AssumedRoleId', session.user_id)}"
        f"{_element('Arn', session.arn)}</AssumedRoleUser>"
        f"{_element('PackedPolicySize', str(packed_percent))}"
    )
    if session.source_identity is not None:
        result += _element("SourceIdentity", session.source_identity)
    if identity is not None:
        result += _element("SubjectFromWebIdentityToken", identity.subject)
        result += _element("Audience", identity.audience)
        result += _element("Provider", identity.provider)
    return _response(action, result, request_id)


def caller_identity(principal: Principal, request_id: str) -> bytes:
    """Render the answer of GetCallerIdentity."""
    result = (
        _element("Arn", principal.arn)
        + _element("UserId", principal.user_id)
        + _element("Account", account_of(principal.arn))
    )
    return _response("GetCallerIdentity", result, request_id)


def error(refusal: StsError, request_id: str) -> bytes:
    """Render an error in the shape of the query protocol."""
    kind = "Sender" if refusal.status < 500 else "Receiver"  # noqa: PLR2004 - HTTP's own classes
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error>{_element("Type", kind)}'
        f"{_element('Code', refusal.code)}{_element('Message', refusal.message)}</Error>"
        f"{_element('RequestId', request_id)}</ErrorResponse>\n"
    ).encode()
