"""Makes one call for each line of stdin, and prints each outcome as one line."""

from __future__ import annotations

import sys
from collections.abc import Callable


def take(call: Callable[[], object]) -> None:
    """Make a call for each line until stdin ends."""
    for _ in sys.stdin:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - whatever the SDK raises is the answer
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"error {text[-300:]}", flush=True)
        else:
            print("ok", flush=True)
