"""The sources' current keys: looked up once for all attempts, kept until they change or expire.

A lookup may read files, ask a metadata service or STS, or run a process. If several attempts need
the same source, one of them looks and the others get its keys (or its error).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from json import JSONDecodeError

from botocore import exceptions as sdk

from credfresh.answers import AnswerTooLongError
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.model import Clock
from credfresh.principals import DEFAULT_SOURCE, DefaultChain, Principal
from credfresh.settings import StsLimits
from credfresh.sts.classify import Caller, classify, not_understood
from credfresh.sts.clients import Clients, StsEndpoint, client_config
from credfresh.sts.keys import FoundKeys, SourceKeys
from credfresh.sts.lookups import Lookup, Lookups
from credfresh.sts.scrub import scrubbed
from credfresh.sts.token_file import UnusableTokenError

PATIENCE = 40.0
"""Seconds that an attempt waits for the lookup of another attempt."""

WRITTEN_OFF = 60.0
"""Seconds after which a lookup that has not ended is given up: another may start."""

_SAYS_WHAT_IS_MISSING = (
    sdk.ConfigNotFound,
    sdk.ConfigParseError,
    sdk.InvalidConfigError,
    sdk.LoginError,
    sdk.PartialCredentialsError,
    sdk.SSOError,
    sdk.TokenRetrievalError,
    sdk.UnknownCredentialError,
)
"""Errors whose text holds names only; that of others may quote what was read."""

_STILL_EXPIRED = "refreshed credentials are still expired"
"""What botocore's RuntimeError says if the keys that it has just got have expired."""


class Sources:
    """The keys of every source, by name. Thread-safe."""

    def __init__(
        self,
        sources: Mapping[str, Principal],
        *,
        clients: Clients,
        limits: StsLimits,
        clock: Clock,
        issued: Callable[[str], bool],
        environ: Mapping[str, str],
    ) -> None:
        # botocore logs each failed refresh with a traceback, which may quote the answer.
        logging.getLogger("botocore.credentials").setLevel(logging.CRITICAL)
        lookups = Lookups(clients, client_config(limits), environ)
        named = {DEFAULT_SOURCE: DefaultChain(), **sources}
        self._lookups = {name: lookups.of(name, source) for name, source in named.items()}
        self._clock = clock
        self._issued = issued
        self._sources: dict[tuple[str, StsEndpoint | None], _Source] = {}
        self._lock = threading.Lock()

    def keys(self, name: str, endpoint: StsEndpoint) -> SourceKeys:
        """Return the source's current keys; `endpoint` is asked if they come from STS.

        Raises:
            RenewalError: no keys could be got from the source.
        """
        return self._source(name, endpoint).keys(endpoint)

    def after_refusal(
        self, name: str, endpoint: StsEndpoint, *, refused: SourceKeys, known: bool
    ) -> SourceKeys:
        """Return the keys after STS refused `refused`: look again, unless that was done since.

        Keys that are `known` to STS may be good for other roles: they are kept if none are found.

        Raises:
            RenewalError: no keys could be got from the source.
        """
        return self._source(name, endpoint).after_refusal(endpoint, refused, known=known)

    def _source(self, name: str, endpoint: StsEndpoint) -> _Source:
        """Return the source; if its keys come from STS, there is one for each endpoint.

        Else one endpoint that fails would fail the profiles of the others, too.
        """
        lookup = self._lookups[name]
        place = (name, endpoint if lookup.asks_sts else None)
        source = self._sources.get(place)
        if source is None:
            with self._lock:
                source = self._sources.setdefault(
                    place, _Source(name, lookup, self._clock, self._issued)
                )
        return source


@dataclass(slots=True)
class _Flight:
    """A lookup that is under way."""

    since: float
    outcome: concurrent.futures.Future[SourceKeys | RenewalError] = field(
        default_factory=concurrent.futures.Future
    )


class _Source:
    """One source: how it is looked up, the keys that were found, and the lookup under way."""

    def __init__(
        self, name: str, lookup: Lookup, clock: Clock, issued: Callable[[str], bool]
    ) -> None:
        self._name = name
        self._lookup = lookup
        self._clock = clock
        self._issued = issued
        self._lock = threading.Lock()
        self._held: FoundKeys | None = None
        self._flight: _Flight | None = None

    def keys(self, endpoint: StsEndpoint) -> SourceKeys:
        held = self._held
        if held is not None and held.good(self._lookup.seen()):
            return held.keys
        return self._look(endpoint, held)

    def after_refusal(
        self, endpoint: StsEndpoint, refused: SourceKeys, *, known: bool
    ) -> SourceKeys:
        held = self._held
        if held is not None and held.keys != refused:
            return self.keys(endpoint)
        if not known:
            return self._look(endpoint, None)
        if held is not None and held.replaceable:
            with contextlib.suppress(RenewalError):
                return self._look(endpoint, None, keep=held)
        return refused

    def _look(
        self, endpoint: StsEndpoint, held: FoundKeys | None, *, keep: FoundKeys | None = None
    ) -> SourceKeys:
        """Look the keys up, or wait for another thread's lookup.

        `held` may refresh its credentials; None means to look from scratch. `keep` is kept if
        nothing is found.
        """
        now = self._clock().boot
        with self._lock:
            flight, mine = self._flight, False
            if flight is None or now - flight.since > WRITTEN_OFF:
                flight, mine = _Flight(now), True
                self._flight = flight
        outcome = self._fly(flight, endpoint, held, keep) if mine else self._wait(flight)
        if isinstance(outcome, RenewalError):
            raise outcome
        return outcome

    def _wait(self, flight: _Flight) -> SourceKeys | RenewalError:
        try:
            return flight.outcome.result(timeout=PATIENCE)
        except concurrent.futures.TimeoutError:
            return self._failure("source_timeout", "the lookup has not ended", Mend.TIME)

    def _fly(
        self, flight: _Flight, endpoint: StsEndpoint, held: FoundKeys | None, keep: FoundKeys | None
    ) -> SourceKeys | RenewalError:
        found = self._found(endpoint, held)
        with self._lock:
            if self._flight is flight:  # else it was given up, and comes too late
                self._flight = None
                self._held = found if isinstance(found, FoundKeys) else keep
        outcome = found.keys if isinstance(found, FoundKeys) else found
        flight.outcome.set_result(outcome)
        return outcome

    def _found(self, endpoint: StsEndpoint, held: FoundKeys | None) -> FoundKeys | RenewalError:
        try:
            seen = self._lookup.seen()  # first, so that a change while we read shows next time
            credentials = (
                held.credentials
                if held is not None and held.seen == seen
                else self._lookup.load(endpoint)
            )
            if credentials is None:
                return self._failure("source_missing", self._lookup.missing(), Mend.HUMAN)
            frozen = credentials.get_frozen_credentials()
        except Exception as error:  # noqa: BLE001 - whatever a provider raises, the source failed
            return self._explained(error)
        if not (frozen.access_key and frozen.secret_key):
            return self._failure("source_missing", "the keys are empty", Mend.HUMAN)
        if not all(map(_can_be_sent, frozen[:3])):  # else the endpoint would be blamed
            return self._failure(
                "source_unreadable", "the keys are not each one word of plain text", Mend.HUMAN
            )
        if self._issued(frozen.access_key):
            return self._failure(
                "source_own_output",
                f"{frozen.access_key} is a key that credfresh itself has published",
                Mend.HUMAN,
                hint="the source must not read a section that credfresh writes: name another file"
                " or profile, or unset AWS_PROFILE and AWS_SHARED_CREDENTIALS_FILE",
            )
        return FoundKeys(
            seen, credentials, SourceKeys(frozen.access_key, frozen.secret_key, frozen.token)
        )

    def _explained(self, error: Exception) -> RenewalError:
        if isinstance(error, RenewalError):
            return error
        told = classify(error, Caller(source=self._name), wall=self._clock().wall)
        code, what, mend = "source_failed", _named(error), Mend.TIME
        scope, hint = self._blamed(told)
        match error:
            case sdk.ClientError():
                code, mend, hint = "source_refused", told.mend, told.hint
                what = f"{told.code}: {told.message}"
            case sdk.ConnectionError() | sdk.HTTPClientError():
                code, what = "source_unreachable", told.message
            case sdk.ProfileNotFound():
                code, what, mend = "source_missing", self._lookup.missing(), Mend.HUMAN
            case _ if isinstance(error, _SAYS_WHAT_IS_MISSING):
                code, what, mend = "source_incomplete", scrubbed(str(error)), Mend.HUMAN
            case UnusableTokenError():
                code, what, mend, hint = (
                    "source_unreadable",
                    error.message,
                    error.mend,
                    error.hint,
                )
            case RuntimeError() if _STILL_EXPIRED in str(error):
                what, hint = "the keys that it gave have expired already", self._lookup.stale
            case _ if not_understood(error):
                what, hint = told.message, told.hint
            case OSError():
                why = f"{error.filename or 'reading'}: {error.strerror or type(error).__name__}"
                code, what, mend = "source_unreadable", scrubbed(why), Mend.HUMAN
        return self._failure(code, what, mend, scope=scope, hint=hint)

    def _blamed(self, told: RenewalError) -> tuple[Scope, str | None]:
        """Return what failed, and a hint: for keys from STS it may be the endpoint that failed."""
        if self._lookup.asks_sts and told.scope is Scope.ENDPOINT:
            return Scope.ENDPOINT, told.hint
        return Scope.SOURCE, None

    def _failure(
        self,
        code: str,
        what: str,
        mend: Mend,
        *,
        scope: Scope = Scope.SOURCE,
        hint: str | None = None,
    ) -> RenewalError:
        return RenewalError(
            f"source {self._name}: wanted {self._lookup.wanted}: {what}",
            code=code,
            mend=mend,
            scope=scope,
            hint=hint or self._lookup.hint,
        )


def _named(error: Exception) -> str:
    """Describe an error without its text, which may quote what was read."""
    kind = type(error).__name__
    if isinstance(error, AnswerTooLongError):
        return f"what it gave cannot be understood: {error}"
    if isinstance(error, KeyError | TypeError | AttributeError | JSONDecodeError | UnicodeError):
        return f"what it gave cannot be understood ({kind})"
    return kind


def _can_be_sent(part: object) -> bool:
    """Say whether a part of the keys can be sent in a request's header; None is not sent at all."""
    if part is None:
        return True
    return isinstance(part, str) and part.isascii() and part.isprintable() and " " not in part
