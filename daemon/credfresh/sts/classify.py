"""Says what a failed call means: who can mend it, what else it concerns, what to do.

Of an unforeseen error only its type and place are repeated: its text may quote the answer, which
holds the secrets. The code and the message of an error of STS are repeated, scrubbed.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import traceback
from collections.abc import Mapping
from typing import Any

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from credfresh.answers import AnswerTooLongError, http_time
from credfresh.causes import beneath, certificate_refusal
from credfresh.errors import Mend, RenewalError, Scope, unforeseen
from credfresh.sts.assume import server_time
from credfresh.sts.codes import CLOCK_CODES, PROXY_LOGIN, RULES, THROTTLES, Rule, rule_of
from credfresh.sts.scrub import scrubbed
from credfresh.values import dataclass

CLOCK_TOLERANCE = 300.0
"""Seconds that signatures may be off; beyond, the clock is blamed and not the signature.

https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
"""

_TLS_HINT = (
    "a proxy that opens TLS needs AWS_CA_BUNDLE; a wrong clock makes certificates invalid too"
)
_BUNDLE_HINT = (
    "it must name a file of certificates (PEM) that the daemon's user may read; where the daemon's"
    " environment has to change: restart it"
)
_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""The variables that name the certificates that the SDK trusts; the first that is set counts."""

_NOT_STS = "something other than STS answered: look at endpoint_url and proxy"

_PROXY_HINT = (
    "look whether the proxy allows that host, and reaches it; NO_PROXY names hosts without"
)
"""For a proxy that answers CONNECT with anything but 200."""

_PROXY_TLS_HINT = "a proxy that speaks no TLS itself is named as http://, in HTTPS_PROXY too"

_NO_CODE = Rule(Mend.TIME, Scope.ENDPOINT, _NOT_STS)
"""For an answer without a code: from a proxy or a portal in the place of the whole endpoint."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose keys signed: those of a source, or of a parent profile."""

    source: str | None = None
    parent: str | None = None

    def __str__(self) -> str:
        """Name the source or the profile, as messages do."""
        return f"source {self.source}" if self.source else f"source_profile {self.parent}"


def classify(
    error: Exception, caller: Caller, *, wall: float, secrets: tuple[str, ...] = ()
) -> RenewalError:
    """Return what a failed call means. `wall` is the local wall clock when it failed."""
    match error:
        case RenewalError():
            return error
        case sdk.ClientError():
            return _refusal(error.response, caller, wall, secrets)
        case sdk.ConnectionError() | sdk.HTTPClientError() | sdk.IncompleteReadError():
            return _transport(error)
        case _ if isinstance(error, AnswerTooLongError) or not_understood(error):
            return RenewalError(
                f"the answer of STS cannot be understood: {_what_cannot_be_read(error)}",
                code=type(error).__name__,
                mend=Mend.TIME,
                scope=Scope.ENDPOINT,
                hint=_NOT_STS,
            )
        case (
            sdk.ParamValidationError()
            | sdk.EndpointProviderError()
            | sdk.BaseEndpointResolverError()
            | sdk.InvalidRegionError()
            | sdk.InvalidEndpointConfigurationError()
            | sdk.InvalidProxiesConfigError()
        ):
            return RenewalError(
                f"the SDK refuses the request: {scrubbed(str(error), secrets)}",
                code=type(error).__name__,
                mend=Mend.HUMAN,
                scope=Scope.NONE,
                hint="look at region, endpoint_url, fips and the profile's own keys",
            )
        case _:
            return RenewalError(
                unforeseen(error),
                code=type(error).__name__,
                mend=Mend.TIME,
                scope=Scope.NONE,
            )


def not_understood(error: Exception) -> bool:
    """Say whether an error was raised where the SDK parses an answer, which its text may quote.

    botocore has an error of its own for what is no XML; for a wrong value in it (a time in
    milliseconds, or none) Python's own error comes through.
    """
    return isinstance(error, ResponseParserError) or bool(_parsing(error))


def _what_cannot_be_read(error: Exception) -> str:
    if isinstance(error, ResponseParserError):
        return "it could not be parsed"
    if isinstance(error, AnswerTooLongError):
        return str(error)
    part = "a time" if "_handle_timestamp" in _parsing(error) else "a part"
    return f"{part} in it cannot be read"


def _parsing(error: Exception) -> set[str]:
    """Return the names of the functions of the SDK's parser through which an error came."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return {f.f_code.co_name for f in frames if f.f_globals.get("__name__") == "botocore.parsers"}


def _refusal(
    response: Mapping[str, Any], caller: Caller, wall: float, secrets: tuple[str, ...]
) -> RenewalError:
    """Return what a server's error means; servers other than AWS's may leave out any part of it."""
    metadata = response.get("ResponseMetadata") or {}
    status = metadata.get("HTTPStatusCode")
    told = response.get("Error") or response  # S3-flavoured servers have no `Error`
    code = _code(told.get("Code"), status, secrets)
    said = scrubbed(str(told.get("Message") or ""), secrets)
    skew = _skew(response, wall)
    if code in CLOCK_CODES and (
        (skew is not None and abs(skew) > CLOCK_TOLERANCE) or _names_time(code, said)
    ):
        return _clock(code, skew, said)
    if code in THROTTLES or status == 429:  # noqa: PLR2004 - HTTP's own number for it
        return RenewalError(
            said or "too many requests",
            code=code,
            mend=Mend.THROTTLE,
            hint="lower sts.calls_per_second, or ask AWS for a higher STS quota",
            retry_after=_retry_after(metadata.get("HTTPHeaders") or {}, wall),
        )
    rule = rule_of(code, status) if told.get("Code") else RULES.get(code, _NO_CODE)
    scope = rule.scope
    if scope is Scope.SOURCE and caller.source is None:
        scope = Scope.PROFILE  # the parent is a profile of its own, with its own renewals
    return RenewalError(
        said or "the server says no more",
        code=code,
        mend=Mend.TIME if rule.scope is not scope else rule.mend,
        scope=scope,
        hint=rule.hint.format(caller=caller) if rule.hint else None,
        retry_after=_retry_after(metadata.get("HTTPHeaders") or {}, wall),
    )


def _code(code: object, status: object, secrets: tuple[str, ...]) -> str:
    text = str(code or "")
    if re.fullmatch(r"[A-Za-z][\w.:-]{0,63}", text) and text not in secrets:
        return text
    return f"HTTP{status}" if status else "Unknown"


def _skew(response: Mapping[str, Any], wall: float) -> float | None:
    there = server_time(response)
    return None if there is None else there - wall


def _names_time(code: str, said: str) -> bool:
    return code in {"RequestExpired", "RequestTimeTooSkewed"} or bool(
        re.search(r"signature (expired|not yet current)", said, re.IGNORECASE)
    )


def _clock(code: str, skew: float | None, said: str) -> RenewalError:
    if skew is None or abs(skew) <= CLOCK_TOLERANCE:
        off = "this host's clock and the server's differ"
    else:
        off = f"this host's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} STS's"
    return RenewalError(
        f"clock: {off}" + (f" ({said})" if said else ""),
        code=code,
        mend=Mend.TIME,
        scope=Scope.ENDPOINT,
        hint="mend this host's clock (`timedatectl`, `chronyc tracking`)",
    )


def _retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Return the seconds that the server asks to wait, None if it does not ask.

    `x-amz-retry-after` is in milliseconds (as botocore's standard mode reads it); `Retry-After`
    in seconds or a date (RFC 9110, section 10.2.3).
    """
    for name, unit in (("x-amz-retry-after", 0.001), ("retry-after", 1.0)):
        value = str(headers.get(name, "")).strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
            return float(value) * unit
        if value and unit == 1.0:
            try:
                return max(0.0, http_time(value) - wall)
            except (TypeError, ValueError, OverflowError):
                return None
    return None


def _transport(error: sdk.BotoCoreError) -> RenewalError:
    where = scrubbed(str(error.kwargs.get("endpoint_url") or "the endpoint"))
    hint = "look at network, proxy and endpoint_url"
    match error:
        case sdk.SSLError():
            refused = certificate_refusal(error)
            what, hint = f"TLS with {where} failed", _TLS_HINT
            if refused:
                what = f"{what}: its certificate is not trusted: {refused}"
            if told := _unusable_bundle(error):
                what, hint = f"{what}: {told}", _BUNDLE_HINT
        case sdk.ConnectTimeoutError():
            what = f"no connection to {where} in time"
        case sdk.ReadTimeoutError():
            what = f"no answer from {where} in time"
        case sdk.ConnectionClosedError() | sdk.IncompleteReadError():
            what = f"{where} closed the connection before it had answered"
        case sdk.ProxyConnectionError():
            what, hint = _proxy_failure(error, where)
        case _:
            what = f"cannot reach {where}"
            if any(isinstance(e, socket.gaierror) for e in beneath(error)):
                what = f"{where}: its name does not resolve"
                hint = "look at DNS, region and endpoint_url"
    return RenewalError(
        what, code=type(error).__name__, mend=Mend.TIME, scope=Scope.ENDPOINT, hint=hint
    )


def _proxy_failure(error: Exception, where: str) -> tuple[str, str]:
    """Return what a proxy did, and a hint. Its own words are not repeated but for the status."""
    for each in beneath(error):
        if refusal := re.search(r"Tunnel connection failed: (\d{3})\b", str(each)):
            status = refusal[1]
            hint = PROXY_LOGIN if status == "407" else _PROXY_HINT
            return f"the proxy refuses a connection to {where}: HTTP {status}", hint
        if isinstance(each, ConnectionRefusedError | TimeoutError | socket.gaierror):
            return "the proxy cannot be reached", "look at the proxy, HTTPS_PROXY and HTTP_PROXY"
        if isinstance(each, ssl.SSLError):
            return "TLS with the proxy itself failed", _PROXY_TLS_HINT
    return "the proxy does not let us through", "look at network, proxy and endpoint_url"


def _unusable_bundle(error: Exception) -> str | None:
    """Name the variable whose file holds no readable certificate; None if that is not the cause."""
    name = next((name for name in _BUNDLES if name in os.environ), None)
    if name is None:
        return None
    why = next(filter(None, map(_unreadable, beneath(error))), None)
    return f"{name}={os.environ[name]}: {why}" if why else None


def _unreadable(error: BaseException) -> str | None:
    match error:
        case ssl.SSLError(reason="NO_CERTIFICATE_OR_CRL_FOUND"):
            return "no certificate in it"
        case ssl.SSLError(library="X509"):
            return "a certificate in it cannot be read"
        case ssl.SSLError():
            return None
        case FileNotFoundError() | PermissionError() | IsADirectoryError() | NotADirectoryError():
            return error.strerror
        case _:
            return None
