"""`credfresh once` as it is installed."""

from __future__ import annotations

from host import ENVIRONMENTS, Host


def test_once_publishes_and_leaves(host: Host) -> None:
    """All roles are assumed once, the file is written, and the exit status is 0."""
    running = host.start("once")

    assert 0 == running.wait(), running.lines
    assert set(ENVIRONMENTS) == set(host.sections())


def test_once_again_asks_for_nothing(host: Host) -> None:
    """What is fresh is left alone."""
    host.start("once").wait()
    calls = host.sts.count("AssumeRole")

    assert 0 == host.start("once").wait()
    assert calls == host.sts.count("AssumeRole")


def test_once_publishes_what_it_got_and_says_that_some_failed(host: Host) -> None:
    """One refused role is exit status 3; the others are on disk."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    running = host.start("once")

    assert 3 == running.wait()
    assert {"development", "production"} == set(host.sections())
    [failed] = running.events("renewal_failed")
    assert "preproduction" == failed["profile"]
    assert "AccessDenied" == failed["code"]
    assert "aws-setup" in str(failed["hint"])


def test_once_beside_a_daemon_is_refused(host: Host) -> None:
    """The file has one keeper."""
    daemon = host.start("run")
    daemon.wait_for("daemon_ready")

    assert 75 == host.start("once").wait()
