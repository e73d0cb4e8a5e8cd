"""One call for each line of stdin, and what came of it as one line of stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable


def take(call: Callable[[], object]) -> None:
    """Call once a line until stdin ends."""
    for _ in sys.stdin:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - whatever the SDK raises is the answer
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"error {text[-300:]}", flush=True)
        else:
            print("ok", flush=True)
