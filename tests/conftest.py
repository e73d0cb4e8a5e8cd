"""Shared by all tests: an environment without credentials, and without a way off the host."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Generator, Iterator

import pytest

from credfresh import one_cpu

# In the background of a shell script SIGINT is ignored, and children inherit that from us: tests
# that press Ctrl-C would wait in vain.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a test creates must be trusted by credfresh: Ubuntu's umask lets a user's group write.
os.umask(0o022)

# A socket's path may have 107 bytes; what pytest and a test add to this one takes 80 of them.
if len(tempfile.gettempdir()) > 20:
    tempfile.tempdir = os.environ["TMPDIR"] = "/tmp"

# This is done before any SDK is imported, and for fixtures of whole modules, too: somebody who
# works with AWS, or with an engine, has a profile, an address or a token in the environment.
for _name in [name for name in os.environ if name.startswith(("AWS_", "BAO_", "VAULT_"))]:
    del os.environ[_name]
# Without the first the default chain asks 169.254.169.254.
NOWHERE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
os.environ.update(NOWHERE)

# Servers of tests are on loopback, where no proxy is to be asked. The host's proxy stays set for
# building packages.
for _name in ("no_proxy", "NO_PROXY"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1", "localhost")))

HOSTS = re.compile(
    "(AWS|CREDFRESH)_.*|NOTIFY_SOCKET|WATCHDOG_USEC|JOURNAL_STREAM|(CREDENTIALS|RUNTIME)_DIRECTORY"
    "|.*_(proxy|PROXY)"
)
"""Variables of the host that no test is to see."""

NONE_SKIPPED = os.environ.get("CI") == "true" and os.geteuid() == 0
"""As root, `.ci/run` has all that any test needs: a test that is skipped there was not run."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a test that is skipped in CI as failed."""
    report = yield
    if NONE_SKIPPED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI nothing may be: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Count a module that is skipped in CI as failed."""
    report = yield
    if NONE_SKIPPED and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI nothing may be: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _any_cpu() -> Iterator[None]:
    """Keep nobody on the CPU of workers that are busy when a test ends."""
    yield
    one_cpu.go(one_cpu.EVERYWHERE)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the host's AWS, credfresh, systemd and proxy variables away from each test."""
    for name in list(os.environ):
        if HOSTS.fullmatch(name):
            monkeypatch.delenv(name)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
