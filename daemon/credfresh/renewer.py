"""The use case: one attempt to renew, and the protocols of what it needs.

Where credentials come from (STS today, another service tomorrow) is a `Provider`; where they are
published is a `Destination`. A new one of either is a new module, not a new branch here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from credfresh import policy
from credfresh.errors import Mend, RenewalError, Scope, unforeseen
from credfresh.model import Grant, SessionCredentials
from credfresh.publication import Outcomes, Wanted
from credfresh.settings import Profile

STARVED = "SourceProfileUnusable"
"""The code of an attempt that could not start without the parent's credentials."""


@dataclass(slots=True)
class Progress:
    """How far an attempt has come. Its worker writes it; whoever gives the attempt up reads it."""

    waits_for: Scope = Scope.SOURCE
    """What is to blame if the attempt never ends."""

    def tell(self, waits_for: Scope) -> None:
        """Note what the attempt waits for from now on."""
        self.waits_for = waits_for


class Provider(Protocol):
    """Grants session credentials. Called from several threads at once."""

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        """Return fresh credentials for `profile`.

        `parent` are the credentials of its `source_profile`, if it has one. `waits` is called with
        what the attempt waits for from now on: at first its source, then its endpoint.

        Raises:
            RenewalError: this attempt failed; the error says who can mend it.
        """


class BySource:
    """Several providers as one: the one in `others` with the name of the source, else `default`."""

    def __init__(self, default: Provider, others: Mapping[str, Provider]) -> None:
        self._default = default
        self._others = others

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        """Ask the provider of the profile's source; see `Provider`.

        Raises:
            RenewalError: this attempt failed.
        """
        source = "" if profile.source_profile is not None else profile.source
        return self._others.get(source, self._default).obtain(profile, parent, waits)


class Destination(Protocol):
    """A place where readers find credentials. Called from one thread only."""

    def publish(self, wanted: Wanted) -> Outcomes:
        """Make what stands there equal to `wanted`; report the outcome for each target."""

    def tick(self) -> bool:
        """Look after what was published; True asks for another `publish`."""


def attempt(
    provider: Provider,
    profile: Profile,
    parent: SessionCredentials | None,
    progress: Progress | None = None,
) -> Grant | RenewalError:
    """Carry out one attempt. Never raises: an unforeseen error is returned as a failure, too."""
    try:
        return provider.obtain(profile, parent, (progress or Progress()).tell)
    except RenewalError as error:
        # Kept for as long as the profile fails: without the frames, whose variables hold keys.
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - nothing may kill the worker or lose the attempt
        return RenewalError(
            unforeseen(error),
            code=type(error).__name__,
            mend=Mend.TIME,
            scope=Scope.NONE,
            hint="a mistake in credfresh, or an answer that no STS should give: please report it",
        )


def hung(progress: Progress) -> RenewalError:
    """Return the failure of an attempt that has not ended by its deadline."""
    late = f"no answer within {policy.ATTEMPT_LIMIT:.0f} s"
    if progress.waits_for is Scope.ENDPOINT:
        return RenewalError(
            f"{late} from the endpoint",
            code="Hung",
            mend=Mend.TIME,
            scope=Scope.ENDPOINT,
            hint="something accepts the connection and does not answer: look at proxy and resolver",
        )
    return RenewalError(
        f"{late} from the source",
        code="Hung",
        mend=Mend.TIME,
        scope=Scope.SOURCE,
        hint="something hangs while its keys are looked up: look at its file, process or service",
    )


def threadless() -> RenewalError:
    """Return the failure of an attempt for which the system gave no thread."""
    return RenewalError(
        "no thread could be had",
        code="NoThread",
        mend=Mend.TIME,
        scope=Scope.NONE,
        hint="too many threads or processes: look at the unit's TasksMax and at its hooks",
    )


def parent_unusable(parent: str, error: RenewalError | None) -> RenewalError:
    """Return the failure of an attempt whose `source_profile` has no valid credentials.

    `error` is why the parent is not renewed: whoever can mend that can mend this.
    """
    return RenewalError(
        f"source_profile {parent} has no valid credentials",
        code=STARVED,
        mend=error.mend if error else Mend.TIME,
        scope=Scope.NONE,
        hint=f"mend {parent} first; this profile follows by itself",
    )


def withdrawn() -> RenewalError:
    """Return the failure of a profile that is not renewed because it was withdrawn by hand."""
    return RenewalError(
        "was withdrawn by hand",
        code="Withdrawn",
        mend=Mend.HUMAN,
        scope=Scope.NONE,
        hint="`credfresh renew` with its name, a reload or a restart brings it back",
    )
