"""The error codes of STS, and what to make of each. Data.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors and
https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from credfresh.errors import Mend, Scope
from credfresh.values import dataclass

REFUSED_KEYS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    }
)
"""STS does not, or no longer, accept the keys that signed: looking them up again may help."""

WRONG_KEYS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "IncompleteSignature",
        "InvalidSignatureException",
        "NotAuthorized",
        "SignatureDoesNotMatch",
    }
)
"""The keys may be another's than was meant, or mistyped: whoever gave them may give others now."""

THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""The spellings of "slower, please" that the SDK knows."""

CLOCK_CODES = frozenset(
    {
        "InvalidSignatureException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Refusals that a wrong clock may cause."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What to make of a code. In a hint, `{caller}` is replaced by the source of the keys."""

    mend: Mend
    scope: Scope = Scope.PROFILE
    hint: str | None = None


_DENIED = Rule(
    Mend.HUMAN,
    hint="check that the role has exactly this ARN, that its trust policy names the principal of"
    " {caller} (and admits its ExternalId, tags, source identity), and that this principal is"
    " allowed sts:AssumeRole on it: docs/aws-setup.md, section 7",
)
_EXPIRED = Rule(
    Mend.TIME,
    Scope.SOURCE,
    "the keys of {caller} have expired: check what should have renewed them",
)
_UNKNOWN_KEY = Rule(
    Mend.HUMAN,
    Scope.SOURCE,
    "STS does not know the keys of {caller}: they were deleted or deactivated, or belong to another"
    " partition; give it valid ones",
)
_WRONG_SIGNATURE = Rule(
    Mend.HUMAN,
    Scope.SOURCE,
    "the secret access key of {caller} does not belong to its key id: correct it there",
)
_POLICY = Rule(Mend.HUMAN, hint="look at policy, policy_arns and session_tags")
_SICK = Rule(
    Mend.TIME,
    Scope.ENDPOINT,
    "the endpoint has a fault; it is tried again by itself. If it is AWS's: AWS Health Dashboard",
)
PROXY_LOGIN = (
    "the proxy wants a user and a password, or others: they are part of the URL in HTTPS_PROXY and"
    " HTTP_PROXY: docs/operations.md"
)

RULES = {
    "HTTP407": Rule(Mend.TIME, Scope.ENDPOINT, PROXY_LOGIN),
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "NotAuthorized": _DENIED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "MissingAuthenticationToken": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": _WRONG_SIGNATURE,
    "InvalidSignatureException": _WRONG_SIGNATURE,
    "IncompleteSignature": _WRONG_SIGNATURE,
    "OptInRequired": Rule(
        Mend.HUMAN, hint="enable this region for the account, or set another region"
    ),
    "RegionDisabledException": Rule(
        Mend.HUMAN,
        hint="activate STS in that region (IAM console, Account settings) or set another region",
    ),
    "MalformedPolicyDocument": _POLICY,
    "PackedPolicyTooLarge": _POLICY,
    "PackedPolicyTooLargeException": _POLICY,
    "ValidationError": Rule(
        Mend.HUMAN,
        hint="often a duration beyond the role's MaxSessionDuration, or beyond 1h for a chained"
        " role: docs/aws-setup.md",
    ),
    "IDPCommunicationError": Rule(
        Mend.TIME, Scope.SOURCE, "AWS cannot reach the identity provider of {caller}"
    ),
    "InvalidIdentityToken": Rule(
        Mend.HUMAN,
        Scope.SOURCE,
        "AWS does not accept the token of {caller}: look at its issuer, audience and expiry",
    ),
    "IDPRejectedClaim": Rule(
        Mend.HUMAN, Scope.SOURCE, "the identity provider of {caller} rejected the token"
    ),
    "InternalFailure": _SICK,
    "InternalError": _SICK,
    "ServiceUnavailable": _SICK,
}


def rule_of(code: str, status: object) -> Rule:
    """Return what to make of a code; if it is unknown, the HTTP status decides the scope."""
    known = RULES.get(code)
    if known is not None:
        return known
    sick = isinstance(status, int) and status >= 500  # noqa: PLR2004 - HTTP's server errors
    return _SICK if sick else Rule(Mend.TIME)
