"""A running daemon whose clocks are stepped, or which is suspended or stopped: nothing expires."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clocks import Clocks, compiler

from host import ENVIRONMENTS, Host, Running, wait_until

LIFE = 16
"""The seconds that a session lasts; it is renewed at half of that."""

WATCHED = 20.0
"""The seconds that readers look after a step: two and a half renewals."""


@pytest.fixture(name="clocks")
def _clocks(tmp_path: Path) -> Clocks:
    if compiler() is None:
        assert not os.environ.get("CI"), "no C compiler"
        pytest.skip("no C compiler for the clock that is preloaded (Debian: apt-get install gcc)")
    return Clocks(tmp_path)


def running(host: Host, clocks: Clocks) -> Running:
    """Start a daemon with short sessions, and wait until it is ready."""
    host.sts.grant_seconds = LIFE
    daemon = host.start("run", **clocks.environment)
    daemon.wait_for("daemon_ready")
    return daemon


def valid(host: Host) -> bool:
    """Say whether each published key is still valid at STS, by the true clock."""
    lives = {session.access_key_id: session.expires_at for session in host.sts.sessions}
    keys = [section["aws_access_key_id"] for section in host.sections().values()]
    now = time.time()  # noqa: TID251 - the true clock
    return len(keys) == len(ENVIRONMENTS) and all(lives[key] > now for key in keys)


def watched(host: Host, seconds: float) -> int:
    """Read the file every 0.1 s; return how often an expired key was found."""
    until, lapses = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        lapses += not valid(host)
        threading.Event().wait(0.1)
    return lapses


@pytest.mark.waits
@pytest.mark.parametrize("seconds", [200.0, -200.0], ids=["forwards", "backwards"])
def test_a_step_of_the_wall_clock_is_told_once_and_nothing_lapses(
    host: Host, clocks: Clocks, seconds: float
) -> None:
    """After a step of 200 s either way `clock_jumped` comes once, and calls stay few."""
    daemon = running(host, clocks)
    calls = host.sts.count("AssumeRole")

    clocks.step(wall=seconds)

    assert 0 == watched(host, WATCHED)
    [jump] = daemon.events("clock_jumped")
    assert abs(float(str(jump["seconds"])) - seconds) < 5
    rounds = (host.sts.count("AssumeRole") - calls) / len(ENVIRONMENTS)
    assert 2 <= rounds <= 2 * WATCHED / LIFE + 2
    assert 0 == daemon.stop()


@pytest.mark.waits
def test_after_a_suspend_all_profiles_are_renewed_at_once(host: Host, clocks: Clocks) -> None:
    """Both clocks have advanced, so it is no jump, and all is renewed without delay."""
    daemon = running(host, clocks)
    calls, renewed = host.sts.count("AssumeRole"), len(daemon.events("credentials_renewed"))

    clocks.step(wall=200.0, boot=200.0)

    wait_until(
        lambda: len(daemon.events("credentials_renewed")) >= renewed + len(ENVIRONMENTS), "renewals"
    )
    assert 0 == watched(host, 2.0)
    assert [] == daemon.events("clock_jumped")
    assert host.sts.count("AssumeRole") - calls <= 2 * len(ENVIRONMENTS)
    assert 0 == daemon.stop()


@pytest.mark.waits
@pytest.mark.parametrize(
    "seconds", [LIFE + 4.0, pytest.param(300.0, marks=[pytest.mark.long, pytest.mark.timeout(500)])]
)
def test_a_daemon_stopped_beyond_expiration_is_fresh_again_at_once(
    host: Host, clocks: Clocks, seconds: float
) -> None:
    """After SIGSTOP until all has expired, SIGCONT brings fresh credentials within seconds."""
    daemon = running(host, clocks)
    daemon.signal(signal.SIGSTOP)
    threading.Event().wait(seconds)
    calls = host.sts.count("AssumeRole")
    assert not valid(host)

    daemon.signal(signal.SIGCONT)

    fresh: Callable[[], bool] = lambda: valid(host)  # noqa: E731 - it is waited for
    wait_until(fresh, "fresh credentials", patience=12.0)
    assert host.sts.count("AssumeRole") - calls <= 2 * len(ENVIRONMENTS)
    assert 0 == watched(host, 4.0)
    assert 0 == daemon.stop()
