"""Answers over HTTP: `/metrics`, `/healthz`, `/readyz`, and the status page at `/`.

Any local process can ask, and so can any web page that a browser on this host shows: a Host header
that does not name us is refused. Nothing can be changed here, there are no cookies, and only pages
of the same origin may read answers.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from credfresh.host_header import host_in
from credfresh.metrics import exposition, page
from credfresh.metrics.page_cache import PageCache
from credfresh.metrics.view import View
from credfresh.model import Clock
from credfresh.values import dataclass

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TEXT = "text/plain; charset=utf-8"

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names under which this host answers."""

MOST_NAMED = 20
"""Profiles that `/healthz` names at most."""

REST = 20.0
"""`/metrics` is good for this many times as long as it took to make: making takes at most 5 %."""

OVERDUE = 30.0
"""Seconds beyond that for which the previous text may be sent while another one is made."""

BUSY = b"too many filters at once: ask again in a second\n"

SILENT = b"the daemon's main thread does not answer\n"

HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", page.POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status line, the type of its content, and the content."""

    status: str
    kind: str
    body: bytes
    more: tuple[tuple[str, str], ...] = ()
    """Further headers, beside those of every answer."""


class Site:
    """A WSGI application. `hosts` are the names it answers to, None for any (a unix socket)."""

    def __init__(
        self,
        view: Callable[[], View | None],
        *,
        hosts: frozenset[str] | None,
        hostname: str,
        clock: Clock,
    ) -> None:
        self._view = view
        self._clock = clock
        self._hosts = hosts
        self._cache = PageCache(hostname=hostname, clock=clock)
        self._lock = threading.Lock()
        self._exposed = b""
        self._exposed_until = -math.inf
        self._routes: dict[str, Callable[[View, str], Answer]] = {
            "/": self._page,
            "/metrics": self._metrics,
            "/healthz": self._health,
            "/readyz": self._readiness,
        }

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._answer(environ)
        headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))]
        start(answer.status, [*headers, *answer.more, *HEADERS])
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        # A file is sent without being copied for each client that is slow to read it.
        wrapper: Any = environ.get("wsgi.file_wrapper")
        body = io.BytesIO(answer.body)
        return wrapper(body) if wrapper else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        host = host_in(environ.get("HTTP_HOST", ""))
        if self._hosts is not None and host not in self._hosts:
            return Answer("421 Misdirected Request", TEXT, b"ask for localhost\n")
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            allowed = (("Allow", "GET, HEAD"),)
            return Answer("405 Method Not Allowed", TEXT, b"nothing can be changed here\n", allowed)
        answer = self._routes.get(environ.get("PATH_INFO", ""))
        if answer is None:
            return Answer("404 Not Found", TEXT, f"there is {' '.join(self._routes)}\n".encode())
        view = self._view()
        if view is None:
            return Answer("503 Service Unavailable", TEXT, SILENT)
        return answer(view, environ.get("QUERY_STRING", ""))

    def _metrics(self, view: View, _query: str) -> Answer:
        # While another thread renders, the previous text is sent, so that probes need not wait,
        # unless that is too old.
        old = self._clock().boot >= self._exposed_until + OVERDUE
        if self._lock.acquire(blocking=old):
            try:
                self._expose(view)
            finally:
                self._lock.release()
        return Answer("200 OK", exposition.CONTENT_TYPE, self._exposed)

    def _expose(self, view: View) -> None:
        began = self._clock().boot
        if began >= self._exposed_until:
            self._exposed = exposition.render(view)
            self._exposed_until = began + REST * (self._clock().boot - began)

    def _health(self, view: View, _query: str) -> Answer:
        if view.healthy:
            return Answer("200 OK", TEXT, b"ok\n")
        wrong = view.unhealthy()
        lines = [f"{one.profile.name}: {one.state}\n" for one in wrong[:MOST_NAMED]]
        if len(wrong) > MOST_NAMED:
            lines.append(f"and {len(wrong) - MOST_NAMED:,} more\n")
        return Answer("503 Service Unavailable", TEXT, "".join(lines).encode())

    def _readiness(self, view: View, _query: str) -> Answer:
        if view.snapshot.ready:
            return Answer("200 OK", TEXT, b"ready\n")
        return Answer("503 Service Unavailable", TEXT, b"not ready\n")

    def _page(self, view: View, query: str) -> Answer:
        asked = parse_qs(query) if len(query) <= page.MOST_QUERY else {}
        chosen = page.Filter(asked.get("q", [""])[0], asked.get("state", [""])[0])
        body = self._cache.get(view, chosen)
        if body is None:
            return Answer("503 Service Unavailable", TEXT, BUSY, (("Retry-After", "1"),))
        return Answer("200 OK", "text/html; charset=utf-8", body)
