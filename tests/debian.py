"""A Debian of its own for one test: this machine's root, on which nothing that is done stays.

An overlay in private mount, process and network namespaces: packages can be installed, upgraded and
removed there. It has no service manager; what needs root and Debian is skipped elsewhere, aloud.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

STAGE = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir packages
mount --bind "$2" packages
ip link set lo up
mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
echo ready
exec cat >/dev/null
"""
NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--uts")
UNSHARE = ("unshare", *NAMESPACES, "--fork", "--kill-child")
ENTER = ("nsenter", *NAMESPACES, "--root", "--wd")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BARE = ("env", "-i", f"PATH={PATH}", "HOME=/", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")


def why_not() -> str | None:
    """Return why no such root can be had here; none where it can."""
    if os.geteuid() != 0:
        return "needs root, to mount an overlay"
    if not Path("/etc/debian_version").exists():
        return "needs Debian, to install a package on"
    missing = [p for p in ("unshare", "nsenter", "pivot_root", "ip", "dpkg") if not shutil.which(p)]
    return f"needs {', '.join(missing)}" if missing else None


def needed() -> None:
    """Skip the test where no such root can be had."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


class Debian:
    """A root for as long as the context lasts; `packages` of the host are at /packages."""

    def __init__(self, packages: Path) -> None:
        self._packages = packages

    def __enter__(self) -> Self:
        self._scratch = tempfile.mkdtemp(prefix="credfresh-root.")
        self._holder = subprocess.Popen(
            [*UNSHARE, "sh", "-c", STAGE, "stage", self._scratch, str(self._packages)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            _, said = self._holder.communicate()
            Path(self._scratch).rmdir()
            raise OSError(f"no root of its own: {said}")
        pid = self._holder.pid
        self._first = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").strip()
        return self

    def run(self, script: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run a shell script there to its end, its output in one; whoever calls judges it."""
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        return subprocess.run(
            [*ENTER, f"--target={self._first}", *BARE, *become, "sh", "-c", f"cd /\n{script}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )

    def do(self, script: str, user: str = "root") -> str:
        """Run a shell script that must succeed; return what it printed."""
        done = self.run(f"set -eu\n{script}", user)
        assert 0 == done.returncode, f"{script}\n{done.stdout}"
        return done.stdout

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._holder.communicate()
        Path(self._scratch).rmdir()
