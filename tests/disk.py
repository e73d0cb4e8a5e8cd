"""Shared by the tests of files on a real disk: keepers, publications, rivals, readers."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.configloader import raw_config_parse

from credfresh.cli.clock import clock
from credfresh.credentials_file import SharedCredentialsFile
from credfresh.disk.locks import Watch, watch
from credfresh.publication import Publication, PublishReport
from credfresh.settings import FileTarget
from fakes import grant, profile
from host import wait_until

FOREIGN = b"# by hand\n[foreign]\naws_access_key_id = AKIAFOREIGN\naws_secret_access_key = theirs\n"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: CI runs it as root")


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Have this process open nothing more, for want of descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def open_files() -> list[str]:
    """Return the files that this process has open, without sockets, pipes and the like.

    Those come and go: threads of servers and clients outlive their tests.
    """
    found = []
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - no path
    return sorted(link for link in found if link.startswith("/"))


def unreadable(monkeypatch: pytest.MonkeyPatch, inode: int) -> None:
    """Have each read of one file fail with EIO, as on a broken disk."""
    pread = os.pread

    def failing(descriptor: int, count: int, offset: int) -> bytes:
        if inode == os.fstat(descriptor).st_ino:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", failing)


def without_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have leases fail as on a file system without them (fcntl(2), F_SETLEASE: EINVAL)."""
    control = fcntl.fcntl

    def refusing(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETLEASE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return control(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refusing)


def needs_leases(directory: Path) -> None:
    """Skip a test of what only leases make possible, where the file system has none.

    NFS and FUSE are such. What holds without leases is tested everywhere, by `without_leases`.
    """
    probe = directory / ".leased"
    probe.touch()
    descriptor = os.open(probe, os.O_RDONLY)
    answer = watch(descriptor)
    os.close(descriptor)
    probe.unlink()
    if answer is Watch.BLIND:
        pytest.skip("needs a file system with leases")


def needs_fine_times(directory: Path) -> None:
    """Skip a test that needs fine timestamps, where the file system counts in whole seconds.

    credfresh relies on ticks of 10 ms at most (`credentials_file.knowledge.GRAIN`).
    """
    probe = directory / ".ticks"
    for _ in range(2):
        probe.touch()
        whole = probe.stat().st_ctime_ns % 1_000_000_000 == 0
        probe.unlink()
        if not whole:
            return
    pytest.skip("needs a file system that knows fractions of a second")


class Waits:
    """A pause that takes no time, adds up the seconds, and runs `then[n]` at the n-th call."""

    def __init__(self) -> None:
        self.waited = 0.0
        self.then: dict[int, Callable[[], object]] = {}
        self.count = 0

    def __call__(self, seconds: float) -> None:
        self.waited += seconds
        self.count += 1
        happens = self.then.pop(self.count, None)
        if happens is not None:
            happens()


class Steps:
    """A hook that records the steps, and runs `before[step]` once before that step."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.before: dict[str, Callable[[], object]] = {}

    def __call__(self, step: str) -> None:
        self.taken.append(step)
        happens = self.before.pop(step, None)
        if happens is not None:
            happens()


def keeper(
    path: Path,
    *,
    mode: int = 0o600,
    owner: str | None = None,
    group: str | None = None,
    instance: str = "test",
    hook: Callable[[str], None] | None = None,
    pause: Callable[[float], object] | None = None,
) -> SharedCredentialsFile:
    """Return the keeper of one file, with a real clock and real waits unless told otherwise."""
    target = FileTarget(str(path), mode, owner, group)
    return SharedCredentialsFile(target, instance=instance, clock=clock, pause=pause, hook=hook)


def publish_and_leave(
    path: Path, asked: Mapping[str, Publication], *, instance: str = "test"
) -> PublishReport:
    """Publish once, as a daemon that starts and ends."""
    file = keeper(path, instance=instance)
    try:
        return file.publish(asked)
    finally:
        file.release()


def publication(name: str, path: Path, serial: int = 0, *, adopt: bool = False) -> Publication:
    """Return credentials to publish; `serial` tells them apart."""
    one = replace(profile(name, path=str(path)), adopt=adopt)
    return Publication(one, grant(one, clock(), key=f"ASIAFAKE{serial:012d}"))


def wanted(path: Path, *names: str, serial: int = 0) -> dict[str, Publication]:
    """Return publications for these profiles."""
    return {name: publication(name, path, serial) for name in names}


def settle(file: SharedCredentialsFile, path: Path, serial: int = 2) -> None:
    """Have the keeper tick and publish as the daemon does, until it asks for nothing more."""
    for _ in range(5):
        if not file.tick():
            break
        file.publish(wanted(path, "dev", serial=serial))


def wait_for_rival(rival: threading.Thread, path: Path) -> None:
    """Wait until our lease on this file blocks the rival in open(2), or until it has ended."""
    breaking = re.compile(rf"LEASE +BREAKING .*:{path.stat().st_ino} ")  # proc_locks(5)
    wait_until(
        lambda: not rival.is_alive() or bool(breaking.search(Path("/proc/locks").read_text())),
        "a rival at our lease",
    )


def read_by_sdk(path: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the file as botocore parses it."""
    return raw_config_parse(str(path))


def key_of(path: Path, name: str) -> str:
    """Return the access key id that an SDK finds."""
    return read_by_sdk(path)[name]["aws_access_key_id"]


def temporaries(path: Path) -> list[str]:
    """Return the names of temporaries beside a file."""
    return sorted(entry.name for entry in path.parent.glob(".*.tmp"))


def age(path: Path, seconds: float = 10.0) -> None:
    """Make a file look last modified that long ago."""
    then = time.time() - seconds  # noqa: TID251 - real disk
    os.utime(path, (then, then))


def for_children() -> dict[str, str]:
    """Return an environment in which a Python finds these modules, and the package under test.

    That package may be a mutant's.
    """
    path = (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


_ALONE = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]


@functools.cache
def _may_mount() -> bool:
    tried = subprocess.run([*_ALONE, "true"], capture_output=True, check=False)
    return tried.returncode == 0


def in_mount_namespace(
    script: str, *arguments: str, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run a shell script as root in a mount namespace of its own; `$PYTHON` is this interpreter.

    All that it starts ends with it, or after `timeout` seconds. Where even root has no such
    namespace, as in most containers, the test is skipped.
    """
    if not _may_mount():
        pytest.skip("needs a mount namespace (CAP_SYS_ADMIN), which root has not got here")
    return subprocess.run(
        [*_ALONE, "sh", "-euc", script, "sh", *arguments],
        env=for_children() | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock as another writer would."""
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
