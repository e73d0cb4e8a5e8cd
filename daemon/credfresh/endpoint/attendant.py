"""Keeps the endpoint as the configuration says, for as long as the daemon runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from credfresh import twin
from credfresh.endpoint.application import Admitted, Application
from credfresh.endpoint.shelf import Shelf
from credfresh.endpoint.tokens import Entropy, Tokens
from credfresh.errors import AlreadyRunningError, CredfreshError, PublishError
from credfresh.events import Emit
from credfresh.life.desk import Desk
from credfresh.model import Instant
from credfresh.publication import Publication
from credfresh.settings import EndpointSettings, Settings, TcpAddress

if TYPE_CHECKING:
    from credfresh.listener import Listening

AGAIN = 30.0
"""Seconds between two checks that the token files stand and the endpoint listens."""


class Endpoint:
    """An attendant and an outlet: it serves what is in hand, even while no file can be written.

    If tokens cannot be written, or nothing can listen, an event says so and it is tried again; no
    renewal stops.
    """

    def __init__(self, instance: str, emit: Emit, entropy: Entropy) -> None:
        self._emit = emit
        self._shelf = Shelf()
        self._tokens = Tokens(instance, entropy)
        self._settings: EndpointSettings | None = None
        self._application: Application | None = None
        self._listening: Listening | None = None
        self._admitted: Admitted = {}
        self._troubles: dict[str, str] = {}

    def update(self, changes: Mapping[str, Publication | None], *, urgent: bool = False) -> None:
        """Serve these from now on."""
        del urgent
        self._shelf.update(changes)

    def open(self, desk: Desk) -> None:
        """Start to serve, if the configuration says so.

        Raises:
            AlreadyRunningError: another daemon keeps the tokens.
        """
        self._desk = desk
        desk.on_reloaded.append(self._reloaded)
        self._settings = desk.settings.endpoint
        if self._settings is not None:
            self._bring_tokens(self._settings, strict=True)
            desk.agenda.add(self._look)

    def close(self) -> None:
        """Stop serving; the tokens stay."""
        self._stop_listening()
        self._tokens.release()

    def _reloaded(self, settings: Settings) -> None:
        self._shelf.keep(settings.profiles)
        old, self._settings = self._settings, settings.endpoint
        if old == self._settings:
            return
        if old is not None and (self._settings is None or old.listen != self._settings.listen):
            self._stop_listening()
        self._desk.agenda.remove(self._look)
        new = self._settings
        if old is not None and (new is None or old.folder.path != new.folder.path):
            self._clear(old)
        if new is not None:
            self._desk.agenda.add(self._look)

    def _clear(self, old: EndpointSettings) -> None:
        """Remove the tokens: the endpoint has left the configuration, or has another directory."""
        self._admit({})
        try:
            self._tokens.bring(old.folder, ())
        except CredfreshError as error:
            self._trouble(old.folder.path, error)
        else:
            self._tell_problems()
        self._troubles.clear()  # nobody looks there any more
        self._tokens.release()

    def _look(self, _now: Instant) -> float:
        """Write tokens and listen if need be; return the seconds to the next look."""
        if self._settings is not None:
            self._bring_tokens(self._settings)
            if self._listening is None or not self._listening.alive:
                self._listen(self._settings.listen)
        return AGAIN

    def _bring_tokens(self, settings: EndpointSettings, *, strict: bool = False) -> None:
        path = settings.folder.path
        try:
            opened = self._tokens.bring(settings.folder, settings.tokens)
        except CredfreshError as error:
            if strict and isinstance(error, AlreadyRunningError):
                raise
            self._trouble(path, error)
            self._admit(self._tokens.known(settings.tokens))
            return
        self._tell_problems()
        self._admit(opened)

    def _tell_problems(self) -> None:
        problems = {problem.path: problem for problem in self._tokens.problems}
        for mended in [where for where in self._troubles if where not in problems]:
            del self._troubles[mended]
            self._emit("publish_recovered", path=mended)
        for where, problem in problems.items():
            self._trouble(where, problem)

    def _admit(self, opened: Mapping[str, Iterable[str]]) -> None:
        admitted: dict[str, tuple[bytes, ...]] = {}
        for token, profiles in opened.items():
            for profile in profiles:
                name = twin.safe_name(profile)
                admitted[name] = (*admitted.get(name, ()), token.encode())
        self._admitted = admitted
        if self._application is not None:
            self._application.admitted = admitted

    def _listen(self, address: TcpAddress) -> None:
        # Imported here: a daemon without an endpoint does not need it.
        from credfresh.listener import Listening  # noqa: PLC0415

        hosts = frozenset({address.url_host, "localhost"})
        application = Application(self._shelf, hosts=hosts, clock=self._desk.clock)
        application.admitted = self._admitted
        if self._listening is None:
            self._listening = Listening(self._emit)
        self._application = application if self._listening.open(address, application) else None

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
        self._listening = self._application = None

    def _trouble(self, path: str, error: CredfreshError) -> None:
        code = error.code if isinstance(error, PublishError) else "claimed"
        if self._troubles.get(path) == code:
            return
        self._troubles[path] = code
        self._emit(
            "publish_failed",
            path=path,
            step=error.step if isinstance(error, PublishError) else "claim",
            code=code,
            error=error.message,
            hint=error.hint,
        )
