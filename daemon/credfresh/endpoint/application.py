"""Answers one request to the endpoint, if its token opens the name that it asks for.

    GET /credentials/NAME
    Authorization: TOKEN

Any local process can connect, and so can a browser on this host for a web page that it shows: a
Host header that does not name us is refused. Only an answer with credentials has a body, and none
redirects.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from credfresh.endpoint.shelf import Shelf
from credfresh.host_header import host_in
from credfresh.model import Clock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PREFIX = "/credentials/"

_NOBODY = (b"\0",)
"""Compared with what is shown for an unknown name: never equal, as no header can hold a NUL."""

Admitted = Mapping[str, tuple[bytes, ...]]
"""The tokens that open each name (`/credentials/NAME`)."""


class Application:
    """A WSGI application. `hosts` are the names it answers to."""

    def __init__(self, shelf: Shelf, *, hosts: frozenset[str], clock: Clock) -> None:
        self._shelf = shelf
        self._hosts = hosts
        self._clock = clock
        self.admitted: Admitted = {}
        """Replaced as a whole, from another thread."""

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        status, body = self._answer(environ)
        headers = [
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if body:
            headers.append(("Content-Type", "application/json"))
        start(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: WSGIEnvironment) -> tuple[HTTPStatus, bytes]:
        if host_in(environ.get("HTTP_HOST", "")) not in self._hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, b""
        if environ["REQUEST_METHOD"] != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, b""
        name = environ.get("PATH_INFO", "").removeprefix(PREFIX)
        shown = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
        if not self._opens(name, shown):
            return HTTPStatus.UNAUTHORIZED, b""
        body = self._shelf.take(name, self._clock())
        if body is None:
            return HTTPStatus.SERVICE_UNAVAILABLE, b""
        return HTTPStatus.OK, body

    def _opens(self, name: str, shown: bytes) -> bool:
        """Compare with every token of the name, in a time that does not depend on their content."""
        opened = False
        for token in self.admitted.get(name, _NOBODY):
            opened |= hmac.compare_digest(token, shown)
        return opened
