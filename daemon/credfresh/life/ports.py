"""What the supervisor needs of the world, and the messages by which the world answers.

The supervisor is the consumer, so it owns the protocols. Threads behind them never touch its
state; they post a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from credfresh.errors import RenewalError
from credfresh.model import Grant
from credfresh.publication import Publication
from credfresh.publisher import Published
from credfresh.values import dataclass


class Timers(Protocol):
    """Alarm clocks: a key that was armed comes back as a `Due` message, or may fail to."""

    def arm(self, key: str, at: float) -> None:
        """Ring at wall-clock second `at`, and not at the time that was set for `key` before."""

    def armed(self, key: str) -> bool:
        """Say whether the key will ring."""

    def wakeup(self, wall: float) -> None:
        """Read the clock again if an alarm should have rung by now."""


class Workers(Protocol):
    """Threads for attempts."""

    @property
    def free(self) -> int:
        """How many more may start."""

    @property
    def exhausted(self) -> bool:
        """Whether too many hang for any to start."""

    def start(self, ticket: int, job: Callable[[], None]) -> None:
        """Run `job` in a free thread.

        Raises:
            RuntimeError: no thread could be had for it.
        """

    def finish(self, ticket: int) -> None:
        """Take back the thread of a job that has reported."""

    def write_off(self, ticket: int) -> bool:
        """Give up the thread of a job that hangs; False if it has none."""

    def recovered(self) -> list[int]:
        """Return the tickets that were written off and have ended since, each once."""


class Outlet(Protocol):
    """Where publications go: the publisher, the endpoint, hooks, a hub."""

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Publish these too."""


@dataclass(frozen=True, slots=True)
class Due:
    """A profile's alarm has rung."""

    profile: str


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt has ended."""

    ticket: int
    result: Grant | RenewalError


Message = Due | Finished | Published
