"""What every test shares: an environment without credentials or a way off the host."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

# Whoever runs the suite in the background of a shell script has Ctrl-C ignored, and all that
# inherit it from us: tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a test makes by the way must pass: Ubuntu's umask lets a user's group write.
os.umask(0o022)

# Before any SDK is imported: without it the default chain asks 169.254.169.254.
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

NONE_SKIPPED = os.environ.get("CI") == "true" and os.geteuid() == 0
"""As root, `.ci/run` has all that any test needs: one that is skipped there has not been run."""


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
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No AWS, credfresh or systemd variable of the host reaches a test."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "CREDFRESH_")) or name in {
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "JOURNAL_STREAM",
            "CREDENTIALS_DIRECTORY",
            "RUNTIME_DIRECTORY",
        }:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
