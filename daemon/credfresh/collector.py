"""The collector of cycles, kept away from what stays for good.

Modules and a configuration of thousands of profiles are hundreds of thousands of objects: to go
through them time and again while they are made took a tenth of each start, and found nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

GARBAGE = 100_000
"""How many new objects make it look in a daemon; Python's default is 700."""


def settle() -> None:
    """Let it look seldom from now on: much stays, and little goes."""
    gc.set_threshold(GARBAGE, 20, 100)


@contextmanager
def paused() -> Iterator[None]:
    """Let it not look until the end of the block."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
