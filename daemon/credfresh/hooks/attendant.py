"""Runs the configured commands after renewals, which never wait for them.

A command is run once the new bytes are on disk, for that profile or (if set at the top of the file)
for the whole publish. However often a profile is renewed while its command waits, it runs once; a
renewal while it runs causes one more run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from functools import partial

from credfresh.errors import unforeseen
from credfresh.events import Emit
from credfresh.hooks.process import Ended, Order, Run
from credfresh.hooks.secrets import Secrets
from credfresh.life.desk import Desk, Errand
from credfresh.life.rate_limited import RateLimited
from credfresh.model import Grant, rfc3339
from credfresh.publication import Publication, PublishReport, has_landed
from credfresh.publisher import Published
from credfresh.settings import Hook, Profile, Settings
from credfresh.values import dataclass

AT_ONCE = 4
"""Commands that run at the same time at most."""

OVERDUE = 10.0
"""Seconds past its time limit from which a command is not waited for: it hangs in being started, or
cannot be killed."""

PATIENCE = 0.5
"""Seconds that killed commands are waited for at the end."""

WHOLE = ""
"""The name under which the command for the whole publish waits; no profile has this name."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """A command that is to be run, and what it is told."""

    hook: Hook
    variables: Mapping[str, str]
    names: frozenset[str] = frozenset()

    def merged(self, newer: _Wish) -> _Wish:
        """Return one wish in place of both."""
        return _Wish(newer.hook, newer.variables, self.names | newer.names)

    def order(self) -> Order:
        """Return the order to run it. Only the command for the whole publish is told names."""
        told = "".join(f"{name}\n" for name in sorted(self.names)).encode()
        return Order(self.hook.command, self.hook.timeout, self.variables, told)


@dataclass(frozen=True, slots=True)
class _Running:
    """A run, its thread, and secrets that it may have read and `_secrets` has dropped since."""

    run: Run
    thread: threading.Thread
    until: float
    """Boot-clock second from which it is overdue."""
    seen: list[str] = field(default_factory=list, repr=False)


class Hooks:
    """An attendant and an outlet: it runs commands for what is renewed after the start.

    All state belongs to the main thread; each run has a thread of its own, which sends an errand.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._desk: Desk
        self._limited: RateLimited | None = None
        self._known: dict[str, str] | None = None
        """The access key id that was last seen for each profile; None before the first look."""
        self._hooked = False
        """Whether any command is configured."""
        self._secrets = Secrets()
        self._renewed: dict[str, str] = {}
        """The new access key ids, by profile, that are not known to be on disk yet."""
        self._refused: dict[str, Publication] = {}
        """Publications that were refused, by profile, although others of the same publish stand."""
        self._waiting: dict[str, _Wish] = {}
        self._running: dict[str, _Running] = {}

    def open(self, desk: Desk) -> None:
        """Start to listen for publishes."""
        self._desk = desk
        self._hooked = _hooked(desk.settings)
        # So that a command which fails for ten thousand profiles causes no flood of lines.
        self._limited = RateLimited(self._emit, desk.clock)
        desk.agenda.add(self._limited.look)
        desk.on_published.append(self._published)
        desk.on_reloaded.append(self._reloaded)
        desk.unfinished.append(lambda: self._unfinished(desk.clock().boot))

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Note what was renewed; the first call tells what stands at the start."""
        del urgent
        keys: dict[str, str] = {}
        for name, publication in changes.items():
            if publication is not None and publication.grant is not None:
                own = publication.grant.credentials
                if not publication.withdraw:
                    keys[name] = own.access_key_id
                dropped = self._secrets.note(name, own, keep=self._hooked)
                for running in self._running.values():
                    running.seen.extend(dropped)
        for name in changes.keys() - keys.keys():
            self._renewed.pop(name, None)
        if self._known is None:
            self._known = keys
            return
        self._renewed |= {n: key for n, key in keys.items() if self._known.get(n) != key}
        self._known |= keys

    def close(self) -> None:
        """Kill the commands that run, and drop those that wait; log each."""
        for name, wish in self._waiting.items():
            ended = Ended("dropped: the daemon ended first", "", 0.0)
            self._tell(name, wish.hook.command[0], ended)
        self._waiting.clear()
        for running in self._running.values():
            running.run.kill("killed: the daemon ended")
        until = time.monotonic() + PATIENCE
        for name, running in self._running.items():
            running.thread.join(max(0.0, until - time.monotonic()))
            self._tell(name, running.run.command, Ended("killed: the daemon ended", "", 0.0))
        self._running.clear()
        if self._limited is not None:
            self._limited.close()

    def _published(self, message: Published) -> None:
        """Start the commands for the credentials that are new on disk, or let them wait."""
        stands = {
            name: publication.grant
            for name, publication in self._standing(message).items()
            if publication.grant is not None
            and self._renewed.get(name) == publication.grant.credentials.access_key_id
        }
        if not stands:
            return
        settings = self._desk.settings
        for name, grant in stands.items():
            del self._renewed[name]
            hook = _hook(settings, name)
            if hook is not None:
                variables = _variables(settings.profiles[name], grant)
                self._wish(name, _Wish(hook, variables))
        if settings.on_renew is not None:
            names = frozenset(stands)
            variables = {"CREDFRESH_CREDENTIALS_FILE": settings.target.path}
            self._wish(WHOLE, _Wish(settings.on_renew, variables, names))
        self._start()

    def _standing(self, message: Published) -> dict[str, Publication]:
        """Return what is on disk now: what has landed and is not, or no longer, refused."""
        refused = {
            refusal.profile
            for outcome in message.outcomes.values()
            if isinstance(outcome, PublishReport)
            for refusal in outcome.refused
        }
        tried = {**self._refused, **message.landed}
        stands = {
            name: publication
            for name, publication in tried.items()
            if name not in refused and has_landed(publication, message.outcomes)
        }
        self._refused = {name: tried[name] for name in tried.keys() - stands.keys()}
        return stands

    def _reloaded(self, settings: Settings) -> None:
        """Drop waiting commands that are not configured any more, and update those that changed."""
        self._hooked = _hooked(settings)
        for name in list(self._waiting):
            hook = _hook(settings, name)
            if hook is None:
                del self._waiting[name]
            else:
                self._waiting[name] = replace(self._waiting[name], hook=hook)
        for name in self._refused.keys() - settings.profiles.keys():
            del self._refused[name]

    def _unfinished(self, now: float) -> bool:
        """Say whether one runs that will end; what waits does so for one of them."""
        return any(now < running.until for running in self._running.values())

    def _wish(self, name: str, wish: _Wish) -> None:
        waiting = self._waiting.get(name)
        self._waiting[name] = waiting.merged(wish) if waiting else wish

    def _start(self) -> None:
        while len(self._running) < AT_ONCE:
            name = next((name for name in self._waiting if name not in self._running), None)
            if name is None:
                return
            wish = self._waiting.pop(name)
            run, until = Run(wish.order()), self._desk.clock().boot + wish.hook.timeout + OVERDUE
            thread = threading.Thread(
                target=self._carry_out, args=(name, run), name="credfresh-hook", daemon=True
            )
            self._running[name] = _Running(run, thread, until)
            try:
                thread.start()
            except RuntimeError:  # too many threads or processes: go on with the next one
                del self._running[name]
                ended = Ended("cannot be started: no thread could be had", "", 0.0)
                self._tell(name, run.command, ended)

    def _carry_out(self, name: str, run: Run) -> None:
        try:
            ended = run.carry_out()
        except Exception as error:  # noqa: BLE001 - whatever it is, others must be able to run
            ended = Ended(unforeseen(error), "", 0.0)
        self._desk.post(Errand(partial(self._ended, name, ended)))

    def _ended(self, name: str, ended: Ended) -> None:
        running = self._running.pop(name, None)
        if running is None:  # `close` has logged it already
            return
        self._tell(name, running.run.command, ended, running.seen)
        self._start()

    def _tell(self, name: str, command: str, ended: Ended, seen: Iterable[str] = ()) -> None:
        emit = self._limited or self._emit
        output = self._secrets.taken_out(ended.output, seen)
        fields = {"profile": name or None, "command": command, "output": output or None}
        if ended.failure is None:
            emit("hook_ran", took_ms=round(ended.took * 1000, 1), **fields)
        else:
            emit("hook_failed", error=ended.failure, **fields)


def _hooked(settings: Settings) -> bool:
    return bool(settings.on_renew or any(p.on_renew for p in settings.profiles.values()))


def _hook(settings: Settings, name: str) -> Hook | None:
    """Return the command of a profile, or that for the whole publish."""
    if name == WHOLE:
        return settings.on_renew
    profile = settings.profiles.get(name)
    return None if profile is None else profile.on_renew


def _variables(profile: Profile, grant: Grant) -> dict[str, str]:
    return {
        "CREDFRESH_PROFILE": profile.name,
        "CREDFRESH_SECTION": profile.section,
        "CREDFRESH_CREDENTIALS_FILE": profile.target.path,
        "CREDFRESH_ACCESS_KEY_ID": grant.credentials.access_key_id,
        "CREDFRESH_EXPIRATION": rfc3339(grant.credentials.expiration),
    }
