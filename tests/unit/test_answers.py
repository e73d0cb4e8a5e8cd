"""Answers of servers are read up to a bound."""

from __future__ import annotations

import pytest

from credfresh.answers import MOST_ANSWER, AnswerTooLongError, Bounded

PART = 1 << 16


class Body:
    """A body of so many bytes, which counts how many of them were read."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.read = 0
        self.closed = False

    def read1(self, amt: int, decode_content: bool | None = None) -> bytes:  # noqa: FBT001 - urllib3's signature
        assert decode_content is True
        part = bytes(min(amt, self.left))
        self.left -= len(part)
        self.read += len(part)
        return part

    def close(self) -> None:
        self.closed = True


def whole(body: Body) -> bytes:
    """Read a bounded body as requests does."""
    return b"".join(Bounded(body).stream(PART, decode_content=True))


@pytest.mark.parametrize("size", [0, 5, MOST_ANSWER])
def test_an_answer_as_long_as_the_bound_is_read_whole(size: int) -> None:
    """An answer that is as long as the bound is read to its end, and its connection is kept."""
    body = Body(size)
    assert size == len(whole(body))
    assert not body.closed


@pytest.mark.parametrize("more", [1, 1 << 40])
def test_a_longer_answer_is_not_read_to_its_end(more: int) -> None:
    """The error comes soon after the bound, and the connection is closed."""
    body = Body(MOST_ANSWER + more)
    with pytest.raises(AnswerTooLongError, match="it is longer than 1 MiB"):
        whole(body)
    assert body.read <= MOST_ANSWER + PART
    assert body.closed
