"""Answers of servers are read up to a bound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from credfresh.answers import MOST_ANSWER, AnswerTooLongError, Bounded

PART = 1 << 16


class Body:
    """A body of so many bytes, which counts how many of them were read."""

    def __init__(self, size: int, *, chunked: bool = False) -> None:
        self.left = size
        self.chunked = chunked
        self.read = 0
        self.closed = False

    def read1(self, amt: int, decode_content: bool | None = None) -> bytes:  # noqa: FBT001 - urllib3's signature
        assert decode_content is True
        part = bytes(min(amt, self.left))
        self.left -= len(part)
        self.read += len(part)
        return part

    def stream(self, amt: int, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: FBT001 - the same
        assert not self.chunked, "it would take a chunk of a negative length for all that comes"
        while part := self.read1(amt, decode_content):
            yield part

    def close(self) -> None:
        self.closed = True


def whole(body: Body) -> bytes:
    """Read a bounded body as requests does."""
    return b"".join(Bounded(body).stream(PART, decode_content=True))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 5, MOST_ANSWER])
def test_an_answer_as_long_as_the_bound_is_read_whole(size: int, *, chunked: bool) -> None:
    """An answer that is as long as the bound is read to its end, and its connection is kept."""
    body = Body(size, chunked=chunked)
    assert size == len(whole(body))
    assert not body.closed


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("more", [1, 1 << 40])
def test_a_longer_answer_is_not_read_to_its_end(more: int, *, chunked: bool) -> None:
    """The error comes soon after the bound, and the connection is closed."""
    body = Body(MOST_ANSWER + more, chunked=chunked)
    with pytest.raises(AnswerTooLongError, match="it is longer than 1 MiB"):
        whole(body)
    assert body.read <= MOST_ANSWER + PART
    assert body.closed
