"""Reads servers' answers up to a bound.

If something else answers in the place of a server (a proxy, a portal, a download), it may never
end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

MOST_ANSWER = 1 << 20
"""Bytes of an answer at most, decoded; one with credentials takes a few thousand."""


@lru_cache(64)  # the answers of a burst come in the same few seconds
def http_time(text: str) -> float:
    """Return the time in a header, in wall seconds; a time without a zone is UTC.

    Raises:
        ValueError: it is no time.
    """
    read = parsedate_to_datetime(text)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


class AnswerTooLongError(Exception):
    """An answer is longer than `MOST_ANSWER`."""

    def __init__(self) -> None:
        super().__init__(f"it is longer than {MOST_ANSWER >> 20} MiB")


class Bounded:
    """Wraps the body of an answer (urllib3's), for readers that would read all of it."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def stream(self, *how: Any, **more: Any) -> Iterator[bytes]:
        """Yield the body in parts, as its own `stream` does.

        Raises:
            AnswerTooLongError: it is longer than `MOST_ANSWER`; the connection is closed.
        """
        given = 0
        parts = self._chunks if self._body.chunked else self._body.stream
        for part in parts(*how, **more):
            given += len(part)
            if given > MOST_ANSWER:
                self._body.close()
                raise AnswerTooLongError
            yield part

    def _chunks(self, amt: int = 1 << 16, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: FBT001 - urllib3's signature
        # Its own `stream` would take a chunk of a negative length for all that ever comes, at once.
        while part := self._body.read1(amt, decode_content):
            yield part
