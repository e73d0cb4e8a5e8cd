"""Records signals; nothing is done about them in their handlers."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal has come in."""

    number: int


@contextlib.contextmanager
def recorded(numbers: Iterable[int], record: Callable[[Signal], None]) -> Iterator[None]:
    """Have `record`, which must be reentrant, called for these signals; restore them afterwards."""

    def handler(number: int, _frame: FrameType | None) -> None:
        record(Signal(number))

    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
