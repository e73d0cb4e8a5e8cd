"""A Debian root for one test: this machine's root, on which nothing that the test does stays.

It is an overlay in private mount, process and network namespaces: packages can be installed,
upgraded and removed there. It has no service manager. Without root or Debian, tests are skipped.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from credfresh import __version__

ROOT = Path(__file__).parents[1]
PYTHON = Path("/usr/bin/python3")
NEXT = "99.0"
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
mount --bind "$2" mnt
mount -o remount,bind,ro mnt
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


def sh(*command: str | Path, **environment: str) -> str:
    """Run a command of this machine that must succeed; return what it printed."""
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def built(base: Path) -> Path:
    """Return a directory below `base` that has the package, and the same as the next version.

    The first caller builds them; others wait.
    """
    if not PYTHON.exists() or shutil.which("dpkg-deb") is None:
        pytest.skip("needs Debian's own Python and dpkg: a package is built for them")
    directory = base / "packages"
    with (base / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            making, inside = base / "packages.making", base / "packages.next"
            for left in (making, inside):
                shutil.rmtree(left, ignore_errors=True)
            package = sh("sh", ROOT / ".ci/package", making, CREDFRESH_VENV=sys.prefix).strip()
            sh("dpkg-deb", "-R", package, inside)
            control = inside / "DEBIAN/control"
            control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {NEXT}", control.read_text()))
            with (inside / "etc/credfresh/credfresh.yaml").open("a") as starter:
                starter.write("# the next version says more\n")
            sh("dpkg-deb", "-Znone", "-b", inside, making)
            shutil.rmtree(inside)
            making.rename(directory)
    return directory


def package_in(directory: Path, version: str = __version__) -> Path:
    """Return the package of that version."""
    [package] = directory.glob(f"credfresh_{version}_*.deb")
    return package


def installing(version: str = __version__) -> str:
    """Return the script that installs what is at /mnt as an administrator does, offline."""
    keep = "-o Dpkg::Options::=--force-confold"  # the usual answer to what apt asks on a terminal
    # Container images leave manuals out; a host does not.
    return f"""
        export DEBIAN_FRONTEND=noninteractive
        find /etc/dpkg/dpkg.cfg.d -type f -exec sed -i '/^path-exclude/d' {{}} +
        apt-get -q -y {keep} install /mnt/credfresh_{version}_*.deb"""


def simulating() -> str:
    """Return the script that starts an STS for an installed credfresh, and configures that."""
    program = Path(__file__).with_name("installed_sts.py").read_text(encoding="utf-8")
    return f"""
mkdir /run/sts
cd /run/sts
cat >program.py <<'END'
{program}
END
setsid /opt/credfresh/bin/python3 -I program.py . </dev/null >log 2>&1 &
echo $! >pid
for _ in $(seq 400); do [ ! -s url ] || break; sleep 0.05; done
test -s url || {{ cat log; exit 1; }}
chgrp credfresh /etc/credfresh/source
chmod 640 /etc/credfresh/source
"""


def needed() -> None:
    """Skip the test where a root of its own is not possible."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount an overlay")
    programs = ("unshare", "nsenter", "pivot_root", "ip", "dpkg", "apt-get", "runuser")
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"needs {', '.join(missing)}")


class Debian:
    """A root for as long as the context lasts; what is in `shown` is at /mnt, read-only."""

    def __init__(self, shown: Path) -> None:
        self._shown = shown

    def __enter__(self) -> Self:
        self._scratch = tempfile.mkdtemp(prefix="credfresh-root.")
        self._holder = subprocess.Popen(
            [*UNSHARE, "sh", "-c", STAGE, "stage", self._scratch, str(self._shown)],
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
        """Run a shell script there and capture its output; the caller judges the status."""
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

    def install(self, version: str = __version__) -> str:
        """Install the package; return what apt prints."""
        return self.do(installing(version))

    def simulate(self) -> None:
        """Start an STS there, and write /etc/credfresh for the one role that it knows."""
        self.do(simulating())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._holder.communicate()
        Path(self._scratch).rmdir()
