"""The main thread's side of the control socket: it answers what clients ask."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from functools import partial
from typing import Any

from credfresh.control import protocol
from credfresh.control.listening import ListeningSocket
from credfresh.control.server import Question, Server
from credfresh.control.waiting_room import WaitingRoom
from credfresh.errors import ControlCode, ControlError, CredfreshError
from credfresh.events import Emit
from credfresh.life.desk import Desk, Errand
from credfresh.life.reloader import Reload
from credfresh.model import Instant
from credfresh.settings import ControlSettings
from credfresh.statuses import ProfileStatus

LOOK = 10.0
"""Seconds between two checks that the socket is still at its path."""

STATUS_REST = 9.0
"""After a status the next one waits this many times as long as it took: so status takes at most a
tenth of the main thread's time, however often clients ask."""

GOODBYE = 0.5
"""Seconds that clients have, when the daemon ends, to read their answers."""


class ControlSocket:
    """Answers what clients ask on the control socket; a `desk.Attendant`."""

    def __init__(self, settings: ControlSettings, emit: Emit) -> None:
        self._settings = settings
        self._emit = emit
        self._listening = ListeningSocket(settings)
        self._server: Server | None = None
        self._tickets = itertools.count(1)
        self._lost = False
        self._next_look = 0.0
        self._want_status: list[int] = []
        self._next_status = 0.0

    def open(self, desk: Desk) -> None:
        """Listen, and begin to answer.

        Raises:
            AlreadyRunningError: another daemon listens at the path.
            PublishError: the socket cannot be made at the path.
        """
        self._desk = desk
        self._room = WaitingRoom(desk, self._answer)
        desk.on_published.append(self._room.published)
        desk.on_reloaded.append(self._room.reloaded)
        self._listen()
        self._next_look = desk.clock().boot + LOOK
        desk.agenda.add(self.look)

    def close(self) -> None:
        """Disconnect all clients, and remove the socket."""
        if self._server is not None:
            self._server.stop(GOODBYE)
            self._server = None
        self._listening.close()

    def look(self, now: Instant) -> float:
        """Answer what is due; return the seconds until something may be due again."""
        if now.boot >= self._next_look:
            self._next_look = now.boot + LOOK
            self._look_after()
        if self._want_status and now.boot >= self._next_status:
            self._tell_status(now)
        times = [self._next_look]
        if self._want_status:
            times.append(self._next_status)
        room = self._room.look(now)
        if room is not None:
            times.append(now.boot + room)
        return max(0.0, min(times) - now.boot)

    def _listen(self) -> None:
        desk = self._desk
        listener = self._listening.open()
        if self._server is not None:
            self._server.move(listener)
        else:
            self._server = Server(
                listener,
                clock=desk.clock,
                tickets=self._tickets,
                ask=lambda question: desk.post(Errand(partial(self._take, question))),
                left=lambda ticket: desk.post(Errand(partial(self._forget, ticket))),
            )
            self._server.start()
        self._tell_open()

    def _tell_open(self) -> None:
        mode = f"{self._settings.mode:04o}"
        path, group = self._settings.socket, self._settings.group
        self._emit("control_opened", path=path, mode=mode, group=group)

    def _look_after(self) -> None:
        """Listen anew if somebody has removed the socket; clients that are connected stay."""
        serves = self._server is not None and self._server.alive()
        if serves and self._listening.stands():
            if self._lost:  # somebody has put the socket back
                self._lost = False
                self._tell_open()
            return
        if not serves:
            self.close()
        try:
            self._listen()
        except CredfreshError as error:
            if not self._lost:
                path = self._settings.socket
                self._emit("control_lost", path=path, error=error.message, hint=error.hint)
            self._lost = True
        else:
            self._lost = False

    def _take(self, question: Question) -> None:
        """Answer a question, or keep it until it can be answered."""

        def act() -> None:
            try:
                self._act(question)
            except ControlError as error:
                self._refuse(question.ticket, error)

        if not self._desk.guard(act):
            message = "a mistake in credfresh; the daemon's log says where"
            self._refuse(question.ticket, ControlError(ControlCode.INTERNAL, message))

    def _act(self, question: Question) -> None:
        protocol.check_instance(question.request, self._desk.settings.instance)
        match question.request:
            case protocol.Status():
                self._want_status.append(question.ticket)
            case protocol.Reload():
                self._answer(question.ticket, self._reload())
            case protocol.Ensure() as asked:
                self._room.ensure(question.ticket, asked)
            case protocol.Renew(names):
                self._room.renew(question.ticket, names)
            case protocol.Withdraw(names):
                self._withdraw(question, names)
        self._desk.agenda.hasten(self.look)

    def _reload(self) -> dict[str, Any]:
        if self._desk.reload is None:
            raise ControlError(
                ControlCode.NO_RELOAD, "this daemon has no configuration file to read again"
            )
        return reload_as_json(self._desk.reload())

    def _withdraw(self, question: Question, names: tuple[str, ...]) -> None:
        names = self._room.withdraw(question.ticket, names)
        self._emit(
            "profiles_withdrawn",
            profiles=len(names),
            profile=names[0] if names else None,
            uid=question.peer.uid,
            pid=question.peer.pid,
        )

    def _tell_status(self, now: Instant) -> None:
        tickets, self._want_status = self._want_status, []
        statuses = self._desk.supervisor.roster.statuses(now)
        instance, last = self._desk.settings.instance, self._desk.last_reload
        refused = last.refusal if last is not None else None
        if self._server is not None:
            self._server.answer(tickets, lambda: status_as_json(instance, statuses, refused))
        ended = self._desk.clock().boot
        self._next_status = ended + STATUS_REST * (ended - now.boot)

    def _forget(self, ticket: int) -> None:
        """Forget the question of a client that has gone away."""
        if ticket in self._want_status:
            self._want_status.remove(ticket)
        self._room.forget(ticket)

    def _answer(self, ticket: int, body: dict[str, Any]) -> None:
        if self._server is not None:
            self._server.answer([ticket], lambda: body)

    def _refuse(self, ticket: int, error: ControlError) -> None:
        if self._server is not None:
            self._server.refuse([ticket], error)


def status_as_json(
    instance: str, statuses: list[ProfileStatus], refused: str | None
) -> dict[str, Any]:
    """Return the answer to `status`; `refused` says why the last reload was refused, if it was."""
    profiles = [status.as_json() for status in statuses]
    return {"instance": instance, "reload_refused": refused, "profiles": profiles}


def reload_as_json(done: Reload) -> dict[str, Any]:
    """Return the answer to `reload`."""
    if done.problems:
        return {"accepted": False, "problems": [asdict(problem) for problem in done.problems]}
    return {
        "accepted": True,
        "added": sorted(done.changes.added),
        "removed": sorted(done.changes.removed),
        "changed": sorted(done.changes.changed),
        "needs_restart": list(done.needs_restart),
    }
