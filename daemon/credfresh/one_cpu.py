"""Keeps the threads that renew on one CPU for as long as calls are under way.

Python runs one thread at a time. Where each may run on a CPU of its own, every system call of one
hands the interpreter over to another elsewhere, and back: that took a seventh of a renewal. While
nothing is under way the main thread may run anywhere, so that the kernel places it where there is
room, and the next calls with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

EVERYWHERE = frozenset(os.sched_getaffinity(0))
"""The CPUs that the daemon was started on."""

_sched_getcpu = ctypes.CDLL(None).sched_getcpu


def stay() -> frozenset[int]:
    """Keep this thread on the CPU where it runs; return that."""
    cpu = _sched_getcpu()
    here = frozenset({cpu}) & EVERYWHERE or EVERYWHERE
    go(here)
    return here


def go(cpus: frozenset[int]) -> None:
    """Let this thread, and what it starts from now on, run on these CPUs alone."""
    with contextlib.suppress(OSError):  # it is not allowed, or they are gone
        os.sched_setaffinity(0, cpus)
