"""`credfresh run` in which one part can be made to hang, as a mistake in it could.

SIGUSR2 hangs the main thread. A file `.wedge-PART` in the runtime directory hangs the thread of
that part at its next work, and is removed then. This runs in the service, not in the tests.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

PLACES = {
    # It is called with the scheduler's own lock held, so whoever arms a timer then waits as well.
    ("timers.py", "get_due_jobs"): "scheduler",
    ("workers.py", "_run"): "workers",
    ("publisher.py", "_publish"): "publisher",
}


def tracer(frame: FrameType, _event: str, _argument: Any) -> Any:
    """Hang at a place in PLACES for which there is a file."""
    code = frame.f_code
    part = PLACES.get((os.path.basename(code.co_filename), code.co_name))  # noqa: PTH119 - cheap
    if part is None:
        return None
    wish = f"{os.environ['RUNTIME_DIRECTORY']}/.wedge-{part}"
    if os.path.exists(wish):  # noqa: PTH110 - cheap
        os.unlink(wish)  # noqa: PTH108 - cheap
        threading.Event().wait()
    return tracer


def main() -> None:
    """Run the daemon under the tracer."""
    from credfresh.cli import main as run  # noqa: PLC0415 - the path is set by who runs us

    signal.signal(signal.SIGUSR2, lambda *_: threading.Event().wait())
    threading.settrace(tracer)
    run()
