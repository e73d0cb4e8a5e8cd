"""Says what the engine's failures mean: who can mend them, and what to do."""

from __future__ import annotations

import hvac.exceptions
import requests.exceptions

from credfresh.answers import AnswerTooLongError
from credfresh.causes import certificate_refusal
from credfresh.errors import Mend, RenewalError, Scope

UNREACHABLE = "EngineUnreachable"
SEALED = "EngineSealed"
FORBIDDEN = "EngineForbidden"
LOGIN = "EngineLoginFailed"
NO_SECRET = "NoSuchSecret"  # noqa: S105 - a word for an error
UNREADABLE = "SecretUnreadable"
LATE = "HubLate"

_TROUBLE = (
    hvac.exceptions.BadGateway,
    hvac.exceptions.InternalServerError,
    hvac.exceptions.RateLimitExceeded,
    hvac.exceptions.UnexpectedError,  # hvac's for every status that it has no name for, as 504
)
"""What the engine, or a balancer before it, answers whoever asks."""


def failure(error: Exception, address: str, what: str) -> RenewalError:
    """Turn an error of hvac's into ours, without its text, which may quote the answer."""
    if isinstance(error, requests.exceptions.RequestException):
        return _unreachable(error, address)
    match error:
        case hvac.exceptions.Forbidden() | hvac.exceptions.Unauthorized():
            return RenewalError(
                f"{address}: not permitted to {what}",
                code=FORBIDDEN,
                mend=Mend.HUMAN,
                hint="let the policy of this daemon's token allow that: docs/fleet.md",
            )
        case hvac.exceptions.VaultDown() | hvac.exceptions.VaultNotInitialized():
            return RenewalError(
                f"{address}: the engine is sealed or not initialized",
                code=SEALED,
                mend=Mend.TIME,
                scope=Scope.ENDPOINT,
                hint="unseal it; what is published stays until it expires",
            )
        case AnswerTooLongError():
            return RenewalError(
                f"{address}: what answers cannot be understood: {error}",
                code=UNREACHABLE,
                mend=Mend.TIME,
                scope=Scope.ENDPOINT,
                hint="something other than the engine answers there: look at address and proxy",
            )
        case _:
            return RenewalError(
                f"{address}: {type(error).__name__} when asked to {what}",
                code="EngineError",
                mend=Mend.TIME,
                scope=Scope.ENDPOINT if isinstance(error, _TROUBLE) else Scope.PROFILE,
            )


def login_failed(error: Exception, address: str, method: str) -> RenewalError:
    """Return the failure of a login, which concerns every profile of the source."""
    known = failure(error, address, f"log in by {method}")
    if known.scope is Scope.ENDPOINT:
        return known
    return RenewalError(
        f"{address}: the login by {method} was refused",
        code=LOGIN,
        mend=Mend.HUMAN,
        scope=Scope.SOURCE,
        hint="look at the role and at the files that the login reads: docs/fleet.md",
    )


def _unreachable(error: requests.exceptions.RequestException, address: str) -> RenewalError:
    why, hint = f"cannot be reached ({type(error).__name__})", None
    match error:
        case requests.exceptions.SSLError():
            refused = certificate_refusal(error)
            why = f"its certificate is not trusted{f': {refused}' if refused else ''}"
            hint = "set ca_file"
        case requests.exceptions.Timeout():
            why = "no answer in time"
        case _:
            pass
    return RenewalError(
        f"{address}: {why}", code=UNREACHABLE, mend=Mend.TIME, scope=Scope.ENDPOINT, hint=hint
    )
