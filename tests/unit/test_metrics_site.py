"""What is answered over HTTP, to whom, and with which headers."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from credfresh.metrics import exposition, page
from credfresh.metrics.site import LOCAL_HOSTS, Site
from credfresh.metrics.view import View
from credfresh.model import Instant
from fakes import FakeClock
from views import figures, view


class Asked:
    """One request to a site, and its answer."""

    def __init__(
        self,
        shown: View | None,
        path: str = "/",
        *,
        host: str = "127.0.0.1:9464",
        method: str = "GET",
        hosts: frozenset[str] | None = LOCAL_HOSTS,
        query: str = "",
        site: Site | None = None,
    ) -> None:
        environ: dict[str, Any] = {
            "PATH_INFO": path,
            "REQUEST_METHOD": method,
            "QUERY_STRING": query,
            "HTTP_HOST": host,
        }
        setup_testing_defaults(environ)
        site = site or Site(lambda: shown, hosts=hosts, hostname="build-7", clock=FakeClock())
        self.status = ""
        self.headers: dict[str, str] = {}
        self.body = b"".join(site(environ, self._start))

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        self.status = status[:3]
        self.headers = dict(headers)


WELL = view(figures("dev"), figures("production"))
ILL = view(figures("dev"), figures("production", "expired", age=4000))


def test_health_follows_the_view() -> None:
    """It is 200 while every profile has valid credentials on disk, else 503 with their names."""
    assert ("200", b"ok\n") == (Asked(WELL, "/healthz").status, Asked(WELL, "/healthz").body)
    ill = Asked(ILL, "/healthz")
    assert ("503", b"production: expired\n") == (ill.status, ill.body)


def test_health_names_a_bounded_number() -> None:
    """Of ten thousand dead profiles twenty are named, and the others are counted."""
    many = view(*(figures(f"p{n:05d}", "missing") for n in range(10_000)))

    body = Asked(many, "/healthz").body.decode()

    assert 21 == len(body.splitlines())
    assert body.endswith("and 9,980 more\n")


def test_readiness_follows_what_the_service_manager_was_told() -> None:
    """/readyz is 503 before READY, and 200 after it."""
    assert "503" == Asked(view(figures(), ready=False), "/readyz").status
    assert "200" == Asked(view(figures(), ready=True), "/readyz").status


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz"])
def test_while_the_main_thread_is_silent_every_path_answers_503(path: str) -> None:
    """Without a snapshot every path answers 503: nothing old is served as new."""
    answer = Asked(None, path)

    assert ("503", b"the daemon's main thread does not answer\n") == (answer.status, answer.body)


def test_metrics_are_served_as_prometheus_wants_them() -> None:
    """The content type is that of the text format."""
    answer = Asked(WELL, "/metrics")

    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
    assert b'credfresh_profiles{state="fresh"} 2.0\n' in answer.body


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9464", "localhost:8080", "LOCALHOST", "[::1]:9464", "[::1]"],
)
def test_names_of_this_host_are_answered(host: str) -> None:
    """The port does not matter, for a tunnel has another one."""
    assert "200" == Asked(WELL, host=host).status


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", "localhost.evil.example", "",
     "127.0.0.1:9464@evil.example", "[::1].evil.example", "10.0.0.1", "[::1", "a b", ":9464"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/nothing"])
def test_a_foreign_host_header_is_refused(host: str, path: str) -> None:
    """A page's own host name in the Host header is DNS rebinding, and gets nothing."""
    answer = Asked(WELL, path, host=host)

    assert ("421", b"ask for localhost\n") == (answer.status, answer.body)


def test_a_unix_socket_answers_to_any_name() -> None:
    """No browser can be made to connect to a Unix socket."""
    assert "200" == Asked(WELL, host="whatever", hosts=None).status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_only_get_and_head_are_allowed(method: str) -> None:
    """Methods other than GET and HEAD are refused."""
    answer = Asked(WELL, method=method)

    assert ("405", "GET, HEAD") == (answer.status, answer.headers["Allow"])


def test_head_is_get_without_the_body() -> None:
    """It has the same status and length as GET."""
    head, get = Asked(WELL, "/metrics", method="HEAD"), Asked(WELL, "/metrics")

    assert (get.status, b"") == (head.status, head.body)
    assert int(head.headers["Content-Length"]) == pytest.approx(len(get.body), abs=200)


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/nothing"])
def test_every_answer_is_closed_to_other_origins(path: str) -> None:
    """It sets no cookie and allows no sniffing, framing, caching, or exception to its policy."""
    headers = Asked(WELL, path).headers

    assert "Set-Cookie" not in headers
    assert not [name for name in headers if name.startswith("Access-Control")]
    assert "nosniff" == headers["X-Content-Type-Options"]
    assert "DENY" == headers["X-Frame-Options"]
    assert "no-store" == headers["Cache-Control"]
    assert "same-origin" == headers["Cross-Origin-Resource-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")


def test_the_query_chooses_the_rows_of_the_page() -> None:
    """`q` and `state` choose the rows; a query that is too long is ignored."""
    assert b'id="p-dev"' not in Asked(WELL, query="q=prod").body
    assert b'id="p-production"' not in Asked(ILL, query="state=fresh").body
    assert b'id="p-dev"' in Asked(WELL, query="q=prod&" + "a=b&" * 5000).body
    assert "200" == Asked(WELL, query="q=%ff%fe&q=&state=%00&=;").status


def test_an_unknown_path_says_what_there_is() -> None:
    """The answer lists the paths that there are."""
    answer = Asked(WELL, "/status")

    assert ("404", b"there is / /metrics /healthz /readyz\n") == (answer.status, answer.body)


def test_a_flood_of_requests_for_metrics_is_bounded() -> None:
    """An answer that took long to make is served for twenty times as long."""
    clock = FakeClock()
    made: list[View] = []

    def slow() -> Instant:
        clock.advance(0.25)
        return clock()

    def fresh() -> View:
        made.append(view(figures(), ready=len(made) % 2 == 0))
        return made[-1]

    site = Site(fresh, hosts=None, hostname="build-7", clock=slow)
    bodies = [Asked(None, "/metrics", site=site).body for _ in range(41)]

    assert 41 == len(made)
    changes = sum(one != other for one, other in itertools.pairwise(bodies))
    assert changes <= 3


@pytest.mark.parametrize(("later", "body"), [(1.0, b"old"), (3600.0, b"new")])
def test_metrics_of_long_ago_are_not_served_while_new_ones_are_made(
    later: float, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a moment ago are, so that nobody waits; else two scrapers at once alert falsely."""
    clock, began, go_on = FakeClock(), threading.Event(), threading.Event()
    site = Site(lambda: WELL, hosts=None, hostname="build-7", clock=clock)
    monkeypatch.setattr(exposition, "render", lambda _: b"old")
    Asked(None, "/metrics", site=site)
    clock.advance(later)

    def slow(_: View) -> bytes:
        began.set()
        go_on.wait()
        return b"new"

    monkeypatch.setattr(exposition, "render", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(Asked, None, "/metrics", site=site)
        began.wait()
        second = pool.submit(Asked, None, "/metrics", site=site)
        wait([second], 0.2)
        go_on.set()

        assert (b"new", body) == (first.result().body, second.result().body)


class Counted:
    """Counts renderings, each of which takes `took` seconds of a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, took: float) -> None:
        self.clock = FakeClock()
        self.made: list[page.Filter] = []
        self._took = took
        self._true = page.render
        monkeypatch.setattr(page, "render", self._render)

    def _render(self, shown: View, chosen: page.Filter, *, hostname: str) -> str:
        self.clock.advance(self._took)
        self.made.append(chosen)
        return self._true(shown, chosen, hostname=hostname)


def test_a_flood_of_requests_for_the_page_costs_one_rendering_a_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand requests within a view get the same bytes; the next view is shown at once."""
    counted, shown = Counted(monkeypatch, took=0.25), [WELL]
    site = Site(lambda: shown[0], hosts=None, hostname="build-7", clock=counted.clock)

    assert 1 == len({Asked(None, site=site).body for _ in range(1000)})
    assert 1 == len(counted.made)
    shown[0] = ILL
    assert b"expired" in Asked(None, site=site).body
    assert 2 == len(counted.made)


def test_a_bounded_number_of_pages_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of the oldest filters go first; the page of everything stays as long as its view."""
    counted = Counted(monkeypatch, took=0.0)
    site = Site(lambda: WELL, hosts=None, hostname="build-7", clock=counted.clock)
    for query in ["", *(f"q={n}" for n in range(40)), "", "q=39", "q=0"]:
        Asked(None, site=site, query=query)

    assert ["", *map(str, range(40)), "0"] == [chosen.text for chosen in counted.made]


def test_a_flood_of_filters_is_bounded_and_told_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """New filters cost a fifth of the time at most; known filters, and none, are answered."""
    counted = Counted(monkeypatch, took=0.04)
    site = Site(lambda: WELL, hosts=None, hostname="build-7", clock=counted.clock)
    began = counted.clock().boot
    statuses: list[str] = []
    for n in range(1000):
        answer = Asked(None, site=site, query=f"q={n}")
        statuses.append(answer.status)
        if answer.status == "503":
            assert ("1", b"too many filters at once: ask again in a second\n") == (
                answer.headers["Retry-After"],
                answer.body,
            )
        counted.clock.advance(0.001)

    assert {"200", "503"} == set(statuses)
    spent = 0.04 * len(counted.made)
    assert 0 < spent <= 0.2 * (counted.clock().boot - began) + 0.04
    assert "200" == Asked(None, site=site).status
    assert "200" == Asked(None, site=site, query=f"q={counted.made[-2].text}").status
