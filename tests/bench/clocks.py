"""Clocks that a test sets, preloaded into other processes: days can pass in seconds."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "e2e" / "clockshim.c"


def compiler() -> str | None:
    """Return the C compiler, if there is one (Debian: gcc)."""
    return shutil.which("cc")


class Clocks:
    """The clocks of all processes started with `environment`; `directory` is for their files."""

    def __init__(self, directory: Path) -> None:
        shim, steps = directory / "clockshim.so", directory / "steps"
        built = [compiler() or "cc", "-O2", "-shared", "-fPIC", "-o", str(shim), str(SOURCE), "-lm"]
        subprocess.run(built, check=True)
        steps.write_bytes(bytes(16))
        self.environment = {"LD_PRELOAD": str(shim), "TEST_CLOCK_STEPS": str(steps)}
        with steps.open("r+b") as file:
            self._steps = mmap.mmap(file.fileno(), 16)

    def step(self, *, wall: float = 0.0, boot: float = 0.0) -> None:
        """Put the clocks `wall` and `boot` seconds ahead of the true ones."""
        self._steps[:] = struct.pack("dd", wall, boot)
