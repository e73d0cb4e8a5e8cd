"""No key reaches a core file (I5)."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from host import COMMAND, Host, Running


def ended(pid: int) -> int:
    """Wait for a child's end without reaping it; return CLD_KILLED, or CLD_DUMPED with a core."""
    status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert status is not None
    return status.si_code


def allow_core_files() -> None:
    """Remove the limit of core files, as an operator may have done for all services."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_an_aborted_daemon_leaves_no_core_file(host: Host, tmp_path: Path) -> None:
    """SIGABRT, which a watchdog sends, dumps no core even if the limit allows it."""
    here = tmp_path / "cores"
    here.mkdir()
    try:
        other = subprocess.Popen(
            [sys.executable, "-c", "import os; os.abort()"],
            preexec_fn=allow_core_files,  # noqa: PLW1509 - no other thread holds a lock here
            cwd=here,
        )
    except subprocess.SubprocessError:
        pytest.skip("the limit of core files may not be raised here")
    with other:
        if ended(other.pid) != os.CLD_DUMPED:
            pytest.skip("this host writes no core files, of any process")
    process = subprocess.Popen(
        [COMMAND, "run", "--config", str(host.config)],
        env=host.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=allow_core_files,  # noqa: PLW1509 - the same
        cwd=here,
    )
    running = Running(process)
    running.wait_for("daemon_ready")
    running.signal(signal.SIGABRT)

    assert os.CLD_KILLED == ended(process.pid)
    running.wait()
