"""Programs that some tests need and that no Python package brings."""

from __future__ import annotations

import os
import random  # noqa: TID251 - which ports are taken differs anyway
import shutil
import socket

import pytest

_DICE = random.SystemRandom()
_HELD: list[socket.socket] = []


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
    """Return a port of loopback that no other test on this machine gets while we run.

    It lies below the ports that the kernel gives away. A socket's name holds it, because a server
    takes time to listen: until then another test could take the port, and its server be found here.
    """
    while True:
        port = _DICE.randrange(10_000, 32_000)
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0credfresh-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        _HELD.append(held)
        return port
