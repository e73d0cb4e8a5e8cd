"""The errors that STS answers with: codes, HTTP statuses and wording as AWS gives them.

Sources: the AWS STS API reference (errors of AssumeRole, AssumeRoleWithWebIdentity and the
common errors) and, for the wording, answers of the real service.
"""

from __future__ import annotations

from collections.abc import Sequence


class StsError(Exception):
    """A request is refused. `status` is the HTTP status; the message holds no secret."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def missing_action() -> StsError:
    """No `Action` parameter."""
    return StsError("MissingAction", "The request must contain the parameter Action")


def invalid_action(action: str, version: str) -> StsError:
    """An action that this service, or this version of its API, does not know."""
    return StsError("InvalidAction", f"Could not find operation {action} for version {version}")


def missing_authentication_token() -> StsError:
    """The request is not signed."""
    return StsError(
        "MissingAuthenticationToken", "Request is missing Authentication Token", status=403
    )


def incomplete_signature(reason: str) -> StsError:
    """The Authorization header lacks a part."""
    return StsError("IncompleteSignature", reason)


def invalid_client_token() -> StsError:
    """There is no such access key, or another session token was issued with it."""
    return StsError(
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
        status=403,
    )


def expired_token() -> StsError:
    """The session of the caller has ended."""
    return StsError(
        "ExpiredToken", "The security token included in the request is expired", status=403
    )


def signature_mismatch(reason: str | None = None) -> StsError:
    """The signature is wrong, was made too early or too late, or for another region or service."""
    wrong = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. "
        "Consult the service documentation for details."
    )
    return StsError("SignatureDoesNotMatch", reason or wrong, status=403)


def access_denied(caller: str, action: str, role_arn: str) -> StsError:
    """The role does not exist or does not trust the caller: STS does not say which."""
    return StsError(
        "AccessDenied",
        f"User: {caller} is not authorized to perform: sts:{action} on resource: {role_arn}",
        status=403,
    )


def web_identity_denied() -> StsError:
    """The role does not exist or does not trust the provider of the web identity."""
    return StsError(
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        status=403,
    )


def invalid_identity_token(reason: str) -> StsError:
    """The web identity token is not one that was registered."""
    return StsError("InvalidIdentityToken", reason)


def expired_identity_token(now: float, expires_at: float) -> StsError:
    """The web identity token has expired."""
    return StsError(
        "ExpiredTokenException",
        f"Token expired: current date/time {now:.0f} must be before the expiration date/time "
        f"{expires_at:.0f}",
    )


def region_disabled(account: str) -> StsError:
    """STS is switched off in the region that the request was signed for."""
    return StsError(
        "RegionDisabledException",
        f"STS is not activated in this region for account:{account}. Your account administrator "
        "can activate STS in this region using the IAM Console.",
        status=403,
    )


def validation(failures: Sequence[str]) -> StsError:
    """Single parameters break these constraints."""
    noun = "error" if len(failures) == 1 else "errors"
    return StsError(
        "ValidationError", f"{len(failures)} validation {noun} detected: {'; '.join(failures)}"
    )


def invalid_value(message: str) -> StsError:
    """The parameters are each valid by themselves but not together."""
    return StsError("ValidationError", message)


def invalid_tags(message: str) -> StsError:
    """The session tags conflict with each other, or with inherited ones."""
    return StsError("InvalidParameterValue", message)


def malformed_policy(reason: str) -> StsError:
    """The session policy is no policy."""
    return StsError("MalformedPolicyDocument", reason)


def packed_policy_too_large(percent: int) -> StsError:
    """Policies and tags, packed, exceed the space for them."""
    return StsError(
        "PackedPolicyTooLarge",
        f"Packed policy consumes {percent}% of allotted space, please use smaller policy.",
    )
