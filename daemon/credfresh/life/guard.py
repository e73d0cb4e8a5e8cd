"""No mistake in serving others ends the daemon, or keeps a renewal from anybody (I1)."""

from __future__ import annotations

from collections.abc import Callable

from credfresh.causes import places
from credfresh.events import Emit


class Guard:
    """Does in the main thread what attendants want done there, and tells what went wrong.

    The core is not guarded: what went wrong there is mended by a restart, which costs no call.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def __call__(self, act: Callable[[], object]) -> bool:
        """Do it; say whether it went well.

        Type and places of an error are told. Its text is not: it may hold a secret.
        """
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is, the renewals go on
            self._emit(
                "unexpected_error",
                where="attendant",
                error_type=type(error).__name__,
                frames=places(error.__traceback__),
            )
            return False
        return True
