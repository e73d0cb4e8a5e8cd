"""Records signals; nothing is done about them in their handlers."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal has come in."""

    number: int


@contextlib.contextmanager
def held(numbers: Iterable[int]) -> Iterator[None]:
    """Let these signals wait until they are recorded: before that, they would end the process.

    Start neither a thread nor a process meanwhile: it would never get them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def recorded(numbers: Iterable[int], record: Callable[[Signal], None]) -> Iterator[None]:
    """Have `record`, which must be reentrant, called for these signals; restore them afterwards.

    Those that were `held` come in at once.
    """

    def handler(number: int, _frame: FrameType | None) -> None:
        record(Signal(number))

    before = {number: signal.signal(number, handler) for number in numbers}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
