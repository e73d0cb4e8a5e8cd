"""Framing of HTTP/1.1: the same requests however the bytes arrive."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credfresh.simulator.wire import Framing, HttpRequest, Reply, WireError

REQUESTS = (
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Two: 1\r\nx-two:  2 \r\nContent-Length: 5\r\n\r\nA=\r\n\r"
    b"GET /?Action=x HTTP/1.1\r\nHost: b\r\n\r\n"
    b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n"
)
EXPECTED = [
    HttpRequest(
        "POST",
        "/",
        (("host", "a"), ("x-two", "1"), ("x-two", "2"), ("content-length", "5")),
        b"A=\r\n\r",
    ),
    HttpRequest("GET", "/?Action=x", (("host", "b"),), b""),
    HttpRequest("POST", "/", (("content-length", "0"),), b"", keep_alive=False),
]


def requests_of(*pieces: bytes) -> list[HttpRequest]:
    """Feed the pieces one by one; return the requests as they become whole."""
    framing = Framing()
    found = []
    for piece in pieces:
        framing.feed(piece)
        while (request := framing.next()) is not None:
            found.append(request)
    assert 0 == framing.pending
    return found


@given(st.sets(st.integers(0, len(REQUESTS))))
def test_the_cuts_between_packets_do_not_matter(cuts: set[int]) -> None:
    """The same three requests are read, wherever the bytes are cut."""
    edges = [0, *sorted(cuts), len(REQUESTS)]
    pieces = [REQUESTS[a:b] for a, b in itertools.pairwise(edges)]
    assert EXPECTED == requests_of(*pieces)


@given(st.binary(max_size=200))
def test_any_bytes_are_requests_or_refused(data: bytes) -> None:
    """Garbage raises WireError and nothing else."""
    framing = Framing()
    framing.feed(data + b"\r\n\r\n")
    status, target = 400, "/"
    try:
        target = (framing.next() or EXPECTED[0]).target
    except WireError as error:
        status = error.status
    assert status in {400, 413, 431, 501}
    assert target.startswith("/")


def test_a_head_without_an_end_is_refused_at_64_kib() -> None:
    """The buffer of a client that never ends its headers is bounded."""
    framing = Framing()
    framing.feed(b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000)
    assert framing.next() is None
    framing.feed(b"x" * 6_000)
    with pytest.raises(WireError, match="64 KiB") as caught:
        framing.next()
    assert 431 == caught.value.status


def test_a_reply_says_its_length_and_may_lie_about_it() -> None:
    """Content-Length is the truth unless a fault announces more."""
    headers = (("Date", "today"),)
    assert (
        b"HTTP/1.1 503 Service Unavailable\r\nDate: today\r\nContent-Length: 2\r\n\r\nno"
        == Reply(503, headers, b"no").render()
    )
    assert (
        b"HTTP/1.1 299 Unknown\r\nContent-Length: 9\r\nConnection: close\r\n\r\nno"
        == Reply(299, (), b"no", announce=9, close=True).render()
    )
