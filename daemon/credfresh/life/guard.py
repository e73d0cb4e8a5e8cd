"""Keeps mistakes of attendants from ending the daemon or delaying a renewal (I1)."""

from __future__ import annotations

from collections.abc import Callable

from credfresh.causes import frames
from credfresh.events import Emit


class Guard:
    """Calls what attendants want done in the main thread, and tells of what they raise.

    The core is not guarded: a restart mends what goes wrong there, and costs no call.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def __call__(self, act: Callable[[], object]) -> bool:
        """Call `act`; say whether it went well.

        Of an error, type and places are told. Its text is not: it may hold a secret.
        """
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is, the renewals go on
            self._emit(
                "unexpected_error",
                where="attendant",
                error_type=type(error).__name__,
                frames=frames(error.__traceback__),
            )
            return False
        return True
