"""Programs that some tests need and that no Python package brings."""

from __future__ import annotations

import os
import shutil
import socket

import pytest


def needed(program: str, package: str) -> str:
    """Return the path of a program; without it the test is skipped, but fails in CI as root."""
    path = shutil.which(program)
    if path is None:
        reason = f"needs {program} (Debian: apt-get install {package})"
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(f"{reason}: .ci/packages installs it")
        pytest.skip(reason)
    return path


def free_port() -> int:
    """Return a port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
