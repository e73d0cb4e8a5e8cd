"""Faults that can be injected, as values, and the requests that they strike.

A fault belongs to one of four slots: what is answered (`Refuse`, `Respond`, `Hang`, `Reset`,
`Grant`), how long that takes (`Latency`), how it is delivered (`Drip`, `Truncate`) and its `Date`
header (`Dated`). Faults of different slots combine in one request; of one slot, the fault that was
injected first is used up first.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from credfresh.simulator.query import Query
from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an error in the shape of the query protocol."""

    code: str
    status: int = 400
    message: str = "injected by a test"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer with this body, whatever was asked."""

    body: str
    status: int = 200
    content_type: str = "text/xml"
    name: str = "respond"


@dataclass(frozen=True, slots=True)
class Hang:
    """Do not answer until `Simulator.release`; then answer as if the request had just come."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Close the connection with RST instead of an answer."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Alter the grant of a request; requests that are refused anyway stay refused.

    `lifetime` is in seconds; if negative, the grant has expired. `expiration` False leaves the
    Expiration out.
    """

    lifetime: float | None = None
    expiration: bool = True


@dataclass(frozen=True, slots=True)
class Latency:
    """Answer after so many (real) seconds; the answer is made at the end of the wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drip:
    """Send the whole response byte by byte, one each `seconds` (real)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Truncate:
    """Send only the fraction `keep` of the body.

    With `announced`, Content-Length still claims all of it and the connection is closed early;
    without, the response is sound HTTP around a cut document.
    """

    keep: float = 0.5
    announced: bool = True


@dataclass(frozen=True, slots=True)
class Dated:
    """Set the `Date` header `skew` seconds off, or leave it out if None; alter nothing else."""

    skew: float | None


Outcome = Refuse | Respond | Hang | Reset | Grant
Delivery = Drip | Truncate
Fault = Outcome | Latency | Delivery | Dated
Predicate = Callable[[Query], bool]


@dataclass(slots=True)
class Plan:
    """The faults of one request, at most one in each slot."""

    outcome: Outcome | None = None
    latency: Latency | None = None
    delivery: Delivery | None = None
    date: Dated | None = None

    def takes(self, fault: Fault) -> bool:
        """Say whether the slot of this fault is free."""
        return getattr(self, _slot(fault)) is None

    def put(self, fault: Fault) -> None:
        """Fill the slot of this fault."""
        setattr(self, _slot(fault), fault)


def _slot(fault: Fault) -> str:
    match fault:
        case Latency():
            return "latency"
        case Drip() | Truncate():
            return "delivery"
        case Dated():
            return "date"
        case _:
            return "outcome"


class Injection:
    """Faults that wait for their requests; `used` says how many requests they have struck."""

    def __init__(
        self,
        faults: tuple[Fault, ...],
        *,
        times: int | None,
        after: int,
        action: str | None,
        role: str | None,
        when: Predicate | None,
    ) -> None:
        slots = [_slot(fault) for fault in faults]
        if not faults or len(set(slots)) < len(slots):
            raise ValueError(f"an injection takes one fault or more, one of a slot (got {faults})")
        self.faults = faults
        self.used = 0
        self._left: float = math.inf if times is None else times
        self._skip = after
        self._action = action
        self._role = role
        self._when = when

    def withdraw(self) -> None:
        """Strike no more."""
        self._left = 0

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it should."""
        return self._left <= 0

    def apply(self, query: Query, plan: Plan) -> None:
        """Strike this request, if it matches and the slots are free."""
        if self.spent or not self._meant(query):
            return
        if self._skip > 0:
            self._skip -= 1
            return
        if not all(map(plan.takes, self.faults)):
            return
        self._left -= 1
        self.used += 1
        for fault in self.faults:
            plan.put(fault)

    def _meant(self, query: Query) -> bool:
        return (
            self._action in {None, query.action}
            and self._role in {None, query.role_arn}
            and (self._when is None or self._when(query))
        )


def throttle(
    code: str = "Throttling", *, status: int = 400, retry_after: str | None = None
) -> Refuse:
    """Too many requests: STS's own spelling, or for instance ("ThrottlingException", 503).

    `retry_after` is sent as both `Retry-After` (seconds or an HTTP date) and, when it is a
    number, `x-amz-retry-after` (milliseconds).
    """
    headers: tuple[tuple[str, str], ...] = ()
    if retry_after is not None:
        headers = (("Retry-After", retry_after),)
        if retry_after.isdecimal():
            headers += (("x-amz-retry-after", str(int(retry_after) * 1000)),)
    return Refuse(code, status, "Rate exceeded", headers)


def internal_error() -> Refuse:
    """500, as the service fails by itself."""
    return Refuse("InternalFailure", 500, "The request processing has failed")


def unavailable() -> Refuse:
    """503 of the service itself."""
    return Refuse("ServiceUnavailable", 503, "Service is currently unavailable")


def html_page(status: int = 503) -> Respond:
    """Answer as a load balancer or a captive portal does."""
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
    return Respond(body, status, "text/html", "html")


def garbage_xml(status: int = 200) -> Respond:
    """A body that says it is XML and is none."""
    return Respond("<AssumeRoleResponse><<>&nope;\x00", status, "text/xml", "garbage")


def s3_error(code: str = "AccessDenied", status: int = 403) -> Respond:
    """An error without the ErrorResponse around it, as S3-flavoured STS servers answer."""
    body = f"<Error><Code>{code}</Code><Message>injected by a test</Message></Error>"
    return Respond(body, status, "application/xml", code)


def access_denied() -> Refuse:
    """The trust policy says no."""
    return Refuse("AccessDenied", 403, "User is not authorized to perform: sts:AssumeRole")


def malformed_policy() -> Refuse:
    """The session policy is no policy."""
    return Refuse("MalformedPolicyDocument", 400, "Syntax errors in policy.")


def packed_policy_too_large() -> Refuse:
    """Policies and tags do not fit."""
    return Refuse("PackedPolicyTooLarge", 400, "Packed policy consumes 103% of allotted space")


def region_disabled() -> Refuse:
    """STS is switched off in the region."""
    return Refuse("RegionDisabledException", 403, "STS is not activated in this region")


def request_expired() -> Refuse:
    """The request took too long to arrive, in the spelling of other AWS services."""
    return Refuse("RequestExpired", 400, "Request has expired")


def expired_grant(seconds_ago: float = 60.0) -> Grant:
    """A grant that has expired."""
    return Grant(lifetime=-seconds_ago)


def short_grant(seconds: float) -> Grant:
    """A grant shorter (or longer) than asked."""
    return Grant(lifetime=seconds)


def grant_without_expiration() -> Grant:
    """A grant without an Expiration."""
    return Grant(expiration=False)


def skewed_date(seconds: float) -> Dated:
    """A `Date` that many seconds ahead of (or, negative, behind) the simulator's clock."""
    return Dated(seconds)


def no_date() -> Dated:
    """No `Date` header."""
    return Dated(None)
