"""What every test shares: an environment without credentials or a way off the host."""

from __future__ import annotations

import os
import signal

import pytest

# Whoever runs the suite in the background of a shell script has Ctrl-C ignored, and all that
# inherit it from us: tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before any SDK is imported: without it the default chain asks 169.254.169.254.
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


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
