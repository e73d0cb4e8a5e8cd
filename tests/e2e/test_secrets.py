"""No secret is printed, whatever happens; `Host.end` checks this after every test."""

from __future__ import annotations

import signal

import pytest

from credfresh.simulator import Simulator, faults
from host import Host

DEBUG = "log:\n  level: debug\n"
LOUD = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "always", "BOTO_DEBUG": "1"}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (faults.internal_error(), "endpoint_failed"),
        (faults.garbage_xml(), "endpoint_failed"),
        (faults.html_page(503), "endpoint_failed"),
        (faults.Truncate(0.9), "endpoint_failed"),
        (faults.Truncate(0.9, announced=False), "endpoint_failed"),
        (faults.Reset(), "endpoint_failed"),
        (faults.access_denied(), "renewal_failed"),
        (faults.grant_without_expiration(), "renewal_failed"),
        (faults.request_expired(), "endpoint_failed"),
    ],
    ids=str,
)
def test_a_failing_sts_lets_no_secret_out(
    host: Host, sts: Simulator, fault: faults.Fault, told: str
) -> None:
    """At level debug, with all warnings on, neither request nor truncated answer is printed."""
    host.configure(extra=DEBUG)
    sts.grant_seconds = 4
    running = host.start("run", **LOUD)
    running.wait_for("daemon_ready")
    injection = sts.inject(fault, times=None)
    running.wait_for(told)
    injection.withdraw()
    running.wait_for("endpoint_recovered" if told == "endpoint_failed" else "renewal_recovered")

    assert 0 == running.stop()


def test_wrong_keys_let_no_secret_out(host: Host) -> None:
    """STS quotes what it signed, but the source's secret key is not printed."""
    host.configure(extra=DEBUG)
    wrong = host.user.secret_access_key[::-1]
    host.source.write_text(host.source.read_text().replace(host.user.secret_access_key, wrong))
    running = host.start("once", **LOUD)

    assert 3 == running.wait()
    assert "SignatureDoesNotMatch" in {e["code"] for e in running.events("source_failed")}
    assert wrong not in "".join(running.lines)


def test_a_configuration_lets_no_secret_out(host: Host) -> None:
    """Keys pasted into the configuration are not quoted, at the start or at a reload."""
    key = host.user.secret_access_key
    bad = (
        f"  production:\n    role_arn: {key}\n    external_id: [{key}]\n"
        f"    aws_secret_access_key: {key}\n    source: {key}\n    {key}: x\n    region: {key}\n"
    )
    running = host.start("run", **LOUD)
    running.wait_for("daemon_ready")
    host.configure(bad)
    running.signal(signal.SIGHUP)
    running.wait_for("config_reload_failed")
    assert 0 == running.stop()

    assert 78 == host.start("run").wait()
    assert 78 == host.command("check", "--config", str(host.config)).returncode
    assert 78 == host.command("check", "--json", "--config", str(host.config)).returncode


def test_trying_the_roles_lets_no_secret_out(host: Host, sts: Simulator) -> None:
    """`check --online` quotes no secret, as text or in JSON."""
    assert 0 == host.command("check", "--online", "--config", str(host.config)).returncode
    sts.inject(faults.Truncate(0.9), times=None)
    result = host.command("check", "--online", "--json", "--config", str(host.config))

    assert 3 == result.returncode
    assert 3 == result.stdout.count('"granted": false')
