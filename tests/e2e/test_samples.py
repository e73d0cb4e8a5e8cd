"""The committed samples, run as they are except for their ARNs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from credfresh.simulator import Simulator
from host import COMMAND, Host, Running

ROOT = Path(__file__).parent.parent.parent
PROFILES = ("development", "preproduction", "production")

# Makes /run and /etc as the samples name them, without touching the host's.
NAMESPACE = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/credfresh "$SCRATCH/upper" "$SCRATCH/work"
mount --bind "$SCRATCH/run" /run/credfresh
mount -t overlay -o "lowerdir=/etc,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" overlay /etc
mkdir -p /etc/credfresh
install -m 0600 "$SCRATCH/source" /etc/credfresh/source
exec "$@"
"""


@pytest.fixture(name="example")
def _example(host: Host, sts: Simulator) -> Path:
    """Write the example with other ARNs, which the simulator knows; return its path."""
    text = (ROOT / "config" / "credfresh.example.yaml").read_text()
    changed = re.sub(r"(\d{12}):role/deploy", r"\1:role/other", text)
    assert changed != text
    for account in ("111111111111", "222222222222", "333333333333"):
        external_id = "012345670123" if account.startswith("3") else None
        arn = f"arn:aws:iam::{account}:role/other"
        sts.add_role(arn, trusts={host.user.arn}, external_id=external_id)
    host.source.write_text(host.source.read_text().replace("[ci]", "[ci-user]"))
    host.config.write_text(changed)
    return host.config


def in_namespace(host: Host, *arguments: str) -> subprocess.Popen[str]:
    """Start the command with a /run/credfresh and /etc/credfresh of the test's own."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts /run and /etc of its own in a mount namespace")
    return subprocess.Popen(
        ["unshare", "-m", "sh", "-c", NAMESPACE, "sh", COMMAND, *arguments],
        env=host.environment | {"SCRATCH": str(host.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def test_once_works_on_the_example(host: Host, example: Path) -> None:
    """`once` publishes its three environments at its path, with mode 0640."""
    process = in_namespace(host, "once", "--config", str(example))
    output, _ = process.communicate(timeout=60)

    assert 0 == process.returncode, output
    assert set(PROFILES) == set(host.sections())
    assert 0o640 == host.credentials.stat().st_mode & 0o777


def test_run_works_on_the_example(host: Host, example: Path) -> None:
    """`run` becomes ready, and what it publishes is accepted by STS."""
    running = Running(in_namespace(host, "run", "--config", str(example)))
    running.wait_for("daemon_ready")

    running.signal(signal.SIGTERM)

    assert 0 == running.wait(), running.lines
    for name in PROFILES:
        assert ":assumed-role/other/" in host.identity(name).stdout


def test_the_minimal_sample_needs_only_its_arn_and_the_sdks_own_chain(host: Host) -> None:
    """With keys in the environment, the minimal configuration publishes."""
    text = (ROOT / "config" / "minimal.yaml").read_text()
    text = text.replace("/run/credfresh/credentials", str(host.credentials))
    host.config.write_text(text.replace("role/deploy", "role/development"))
    running = host.start(
        "once",
        AWS_ACCESS_KEY_ID=host.user.access_key_id,
        AWS_SECRET_ACCESS_KEY=host.user.secret_access_key,
    )

    assert 0 == running.wait(), running.lines
    assert {"production"} == set(host.sections())
