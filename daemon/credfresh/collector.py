"""Keeps Python's collector of cycles from looking at objects that stay for good.

Modules and a configuration of thousands of profiles are hundreds of thousands of objects: to look
at them again and again while they are made took a tenth of each start, and found nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

GARBAGE = 100_000
"""How many new objects make the collector look in a daemon; Python's default is 700."""


def settle() -> None:
    """Let the collector look seldom from now on: most objects stay."""
    gc.set_threshold(GARBAGE, 20, 100)


def keep() -> None:
    """Let the collector never look again at what there is now.

    Call it where it is paused: once it runs again it looks at all that was made meanwhile.
    """
    gc.freeze()


def pause() -> None:
    """Switch the collector off until `resume`."""
    gc.disable()


def resume() -> None:
    """Let the collector run again."""
    gc.enable()


@contextmanager
def paused() -> Iterator[None]:
    """Switch the collector off until the end of the block."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
