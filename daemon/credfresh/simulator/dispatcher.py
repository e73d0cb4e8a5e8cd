"""Takes a request, decides which faults it meets, has it answered, and keeps the journal."""

from __future__ import annotations

import itertools
import re
import threading
import uuid
from email.utils import formatdate

from credfresh.model import Clock
from credfresh.simulator import answers, query
from credfresh.simulator.faults import (
    Dated,
    Grant,
    Injection,
    Plan,
    Refuse,
    Respond,
    Truncate,
)
from credfresh.simulator.journal import Call, Journal
from credfresh.simulator.query import Query
from credfresh.simulator.refusals import StsError
from credfresh.simulator.service import Service
from credfresh.simulator.wire import HttpRequest, Reply
from credfresh.values import dataclass

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)")
_UNALTERED = Grant()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and the faults that it meets."""

    request: HttpRequest
    query: Query
    plan: Plan
    call: Call


class Dispatcher:
    """Answers requests one at a time; `changed` guards it, and the state of the service."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self.changed = threading.Condition()
        """Held for every access from outside; notified when a request arrives or ends."""
        self.journal = Journal()
        self.injections: list[Injection] = []
        self._service = service
        self._clock = clock
        self._numbers = itertools.count(1)

    def begin(self, request: HttpRequest) -> Exchange:
        """Note the arrival of a request, and decide which faults it meets."""
        asked = query.parse(request)
        credential = _CREDENTIAL.search(request.header("authorization") or "")
        plan = Plan()
        with self.changed:
            call = Call(
                number=next(self._numbers),
                at=self._clock(),
                action=asked.action,
                role_arn=asked.role_arn,
                access_key_id=credential[1] if credential else None,
            )
            self.journal.arrive(call)
            for injection in self.injections:
                injection.apply(asked, plan)
            self.injections = [each for each in self.injections if not each.spent]
            self.changed.notify_all()
        return Exchange(request, asked, plan, call)

    def reply(self, exchange: Exchange) -> Reply:
        """Return the answer to a request, made now."""
        plan = exchange.plan
        request_id = str(uuid.uuid4())
        with self.changed:
            now = self._clock().wall
            status, headers, body, outcome = self._outcome(exchange, now, request_id)
        headers = (
            ("x-amzn-RequestId", request_id),
            *headers,
            *_date(plan.date, now),
        )
        close = not exchange.request.keep_alive
        if isinstance(plan.delivery, Truncate):
            kept = body[: int(len(body) * plan.delivery.keep)]
            if plan.delivery.announced:
                return Reply(status, headers, kept, outcome, announce=len(body), close=True)
            body = kept
        return Reply(status, headers, body, outcome, close=close)

    def end(self, exchange: Exchange, outcome: str) -> None:
        """Note the outcome of a request."""
        with self.changed:
            self.journal.end(exchange.call, outcome, self._clock())
            self.changed.notify_all()

    def _outcome(
        self, exchange: Exchange, now: float, request_id: str
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes, str]:
        """Return status, headers and body, and the word for the journal."""
        fault = exchange.plan.outcome
        xml = (("Content-Type", "text/xml"),)
        match fault:
            case Respond():
                headers = (("Content-Type", fault.content_type),)
                return fault.status, headers, fault.body.encode(), fault.name
            case Refuse():
                refusal = StsError(fault.code, fault.message, status=fault.status)
                body = answers.error(refusal, request_id)
                return fault.status, xml + fault.headers, body, fault.code
            case _:
                grant = fault if isinstance(fault, Grant) else _UNALTERED
        try:
            body = self._service.answer(
                exchange.request, exchange.query, now=now, grant=grant, request_id=request_id
            )
        except StsError as refusal:
            return refusal.status, xml, answers.error(refusal, request_id), refusal.code
        return 200, xml, body, "ok"


def _date(fault: Dated | None, now: float) -> tuple[tuple[str, str], ...]:
    """Return the `Date` header, as a fault alters it; nothing if the fault leaves it out."""
    if fault is None:
        return (("Date", formatdate(now, usegmt=True)),)
    if fault.skew is None:
        return ()
    return (("Date", formatdate(now + fault.skew, usegmt=True)),)
