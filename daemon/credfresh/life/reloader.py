"""Judging another configuration while the daemon runs: validate first, then swap (I7).

A configuration that is not valid changes nothing: the old one stays in force, and the problems are
told.
"""

from __future__ import annotations

from dataclasses import field
from typing import Protocol

from credfresh.errors import ConfigError, CredfreshError, Problem, unforeseen
from credfresh.events import Emit
from credfresh.life.roster import Changes
from credfresh.regular import identity_at
from credfresh.renewer import Provider
from credfresh.settings import Settings
from credfresh.values import dataclass

POLL = 1.0
"""Seconds between two looks at the configuration file, with `reload: auto`.

A changed file is taken when two looks find it the same: somebody may still be writing it.
"""

GONE = 10
"""Looks in a row that find no file, after which it counts as taken away: editors unlink first."""

MOST_TOLD = 20
"""Problems of one refused configuration that are logged one by one."""


class SettingsSource(Protocol):
    """Where settings come from. The composition root knows the file and the environment."""

    def load(self) -> Settings:
        """Read the configuration again.

        Raises:
            ConfigError: it cannot be read, or is not valid.
        """

    def provider(self, settings: Settings) -> Provider:
        """Make a provider for other sources or limits.

        Raises:
            CredfreshError: this host lacks what they need.
        """

    def apply(self, settings: Settings) -> None:
        """Apply what lies outside the daemon: the log's level."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A configuration that was accepted, and the provider that goes with it."""

    settings: Settings
    other: bool
    """Whether it differs from what was in force."""
    provider: Provider | None
    """None when sources and limits are as before: the old provider, and what it caches, stays."""
    needs_restart: tuple[str, ...]
    """Keys that have changed since the start and take effect at the next one."""


@dataclass(frozen=True, slots=True)
class Reload:
    """The outcome of one reload: `changes`, or the `problems` for which the old settings stay."""

    changes: Changes = field(default_factory=Changes)
    problems: tuple[Problem, ...] = ()
    needs_restart: tuple[str, ...] = ()

    @property
    def refusal(self) -> str | None:
        """Why the old settings stay, in one line; None if they do not."""
        return brief(self.problems[0]) if self.problems else None


class Reloader:
    """Judges what stands in the configuration file now."""

    def __init__(self, settings: Settings, source: SettingsSource, emit: Emit) -> None:
        self._settings = settings
        self._began_with = settings
        self._source = source
        self._emit = emit
        # Not the identity of today: it may have been written since it was read.
        self._seen = self._last = settings.identity or identity_at(settings.path)
        self._missed = 0

    def changed(self) -> bool:
        """Say whether the file has changed since it was read, and no more since the last look.

        True once for each change; for a file that is gone, once it stays away.
        """
        before, self._last = self._last, identity_at(self._settings.path)
        self._missed = self._missed + 1 if self._last is None else 0
        if self._last == self._seen or self._last != before or 0 < self._missed < GONE:
            return False
        self._seen = self._last
        return True

    def take(self) -> Taken | tuple[Problem, ...]:
        """Read and judge the configuration; return its problems if the old one stays."""
        self._seen = self._last = identity_at(self._settings.path)
        try:
            settings = self._source.load()
            old = self._settings
            same_provider = (old.sources, old.sts) == (settings.sources, settings.sts)
            provider = None if same_provider else self._source.provider(settings)
        except ConfigError as error:
            return self._refused(error.problems)
        except CredfreshError as error:
            return self._refused(self._whole(error.message, error.hint))
        except Exception as error:  # noqa: BLE001 - whatever it is, the old configuration goes on
            reason = f"{unforeseen(error)} while it was read"
            hint = "please report it; a restart may meet the same"
            return self._refused(self._whole(reason, hint))
        self._settings = settings
        self._source.apply(settings)
        return Taken(
            settings=settings,
            other=settings != old,
            provider=provider,
            needs_restart=tuple(_needs_restart(self._began_with, settings)),
        )

    def _whole(self, reason: str, hint: str | None) -> tuple[Problem]:
        """Return a problem that has no position in the file."""
        return (Problem(self._settings.path, 0, 0, "", reason, hint),)

    def _refused(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        for problem in problems[:MOST_TOLD]:
            self._emit(
                "config_refused",
                file=problem.source,
                line=problem.line,
                column=problem.column,
                path=problem.path,
                reason=problem.reason,
                hint=problem.hint,
            )
        self._emit("config_reload_failed", problems=len(problems), first=brief(problems[0]))
        return problems


def brief(problem: Problem) -> str:
    """Return a problem as one line without its hint."""
    where = f"{problem.source}:{problem.line}" if problem.line else problem.source
    return (
        f"{where}: {problem.path}: {problem.reason}"
        if problem.path
        else f"{where}: {problem.reason}"
    )


def _needs_restart(old: Settings, new: Settings) -> list[str]:
    kept = {
        "instance": old.instance != new.instance,
        "control": old.control != new.control,
        "vault": old.vault != new.vault,
        "log.format": old.log.format != new.log.format,
    }
    return [name for name, changed in kept.items() if changed]
