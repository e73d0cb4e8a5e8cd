"""Each way in which STS can fail one profile of a daemon, without effect on the others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from credfresh.simulator import Simulator, faults
from host import ENVIRONMENTS, Host, Running, wait_until

STRICKEN = "arn:aws:iam::111111111111:role/development"

FAILURES: dict[str, tuple[faults.Fault, str, str]] = {
    "hang": (faults.Hang(), "endpoint_failed", "ReadTimeoutError"),
    "reset": (faults.Reset(), "endpoint_failed", "ConnectionClosedError"),
    "500": (faults.internal_error(), "endpoint_failed", "InternalFailure"),
    "503": (faults.unavailable(), "endpoint_failed", "ServiceUnavailable"),
    "page": (faults.html_page(), "endpoint_failed", "HTTP503"),
    "garbage": (faults.garbage_xml(), "endpoint_failed", "ResponseParserError"),
    "truncated": (faults.Truncate(announced=False), "endpoint_failed", "ResponseParserError"),
    "cut": (faults.Truncate(), "endpoint_failed", "ConnectionClosedError"),
    "throttled": (faults.throttle(), "renewal_failed", "Throttling"),
    "denied": (faults.access_denied(), "renewal_failed", "AccessDenied"),
    "policy": (faults.malformed_policy(), "renewal_failed", "MalformedPolicyDocument"),
    "packed": (faults.packed_policy_too_large(), "renewal_failed", "PackedPolicyTooLarge"),
    "region": (faults.region_disabled(), "renewal_failed", "RegionDisabledException"),
    "s3": (faults.s3_error(), "renewal_failed", "AccessDenied"),
    "expired": (faults.expired_grant(), "renewal_failed", "GrantExpired"),
    "endless": (faults.grant_without_expiration(), "renewal_failed", "GrantIncomplete"),
}
"""The injected fault, the event that reports it, and its code."""


def apart(host: Host) -> None:
    """Give the failing profile an endpoint of its own, by another name of the same server."""
    url = host.sts.url.replace("127.0.0.1", "localhost")
    roles = (
        f"  {name}:\n    role_arn: arn:aws:iam::{str(n) * 12}:role/{name}\n"
        + (f"    endpoint_url: {url}\n" if name == "development" else "")
        for n, name in enumerate(ENVIRONMENTS, 1)
    )
    host.configure("".join(roles), extra="sts: {read_timeout: 1s}\n")


def renewals(running: Running, profile: str) -> int:
    """Return how often a profile has been renewed so far."""
    return sum(e["profile"] == profile for e in running.events("credentials_renewed"))


@pytest.mark.long
def test_each_failure_is_told_once_and_mended_by_the_next_attempt(
    host: Host, sts: Simulator
) -> None:
    """The event has the right code, with a hint for humans; the other profiles are renewed."""
    apart(host)
    running = host.start("run")
    running.wait_for("daemon_ready")
    for name, (fault, event, code) in FAILURES.items():
        told = len(running.events(event))
        before = {profile: renewals(running, profile) for profile in ENVIRONMENTS}
        published = host.sections()["development"]
        sts.inject(fault, role=STRICKEN, times=1)
        running.signal(signal.SIGUSR1)

        failed = running.wait_for(event, told + 1)[-1]
        assert (name, "development", code) == (name, failed["profile"], failed["code"])
        assert failed.get("hint") or failed["mend"] != "human", name
        assert published == host.sections()["development"], name
        sts.release()
        for profile in ENVIRONMENTS:
            wait_until(
                lambda one=profile, was=before: renewals(running, one) > was[one],  # type: ignore[misc]
                f"{name}: a renewal of {profile}",
            )
        wait_until(lambda was=published: host.sections()["development"] != was, name)  # type: ignore[misc]
        assert len(running.events(event)) == told + 1, name

    assert {"development"} == {
        e["profile"] for e in running.events() if str(e["event"]).endswith("_failed")
    }
    assert [] == running.events("profile_expired")
    assert 0 == running.stop()


@pytest.mark.long
def test_an_answer_that_drips_is_given_up_after_a_minute_and_holds_up_nobody(
    host: Host, sts: Simulator
) -> None:
    """A byte every 0.9 s defeats every timeout of the SDK; only the deadline of I1 ends it."""
    apart(host)
    running = host.start("run")
    running.wait_for("daemon_ready")
    sts.grant_seconds = 20
    sts.inject(faults.Drip(0.9), role=STRICKEN, times=1)
    running.signal(signal.SIGUSR1)

    wait_until(lambda: running.events("endpoint_failed") != [], "the deadline", patience=90)

    assert [("development", 60)] == [
        (e["profile"], e["after_s"]) for e in running.events("attempt_abandoned")
    ]
    assert renewals(running, "production") >= 5
    wait_until(lambda: renewals(running, "development") >= 2, "the attempt after it")
    assert [] == running.events("profile_expired")
    assert 0 == running.stop()


@pytest.mark.long
def test_a_resolver_that_hangs_is_given_up_after_a_minute_and_holds_up_nobody(
    host: Host, sts: Simulator, tmp_path: Path
) -> None:
    """No timeout of the SDK bounds a resolver that hangs in the C library, or ends its thread."""
    compiler = shutil.which("cc")
    if compiler is None:
        assert not os.environ.get("CI"), "no C compiler"
        pytest.skip("no C compiler for what is preloaded (Debian: apt-get install gcc)")
    shim, hangs = tmp_path / "resolvershim.so", tmp_path / "hangs"
    source = Path(__file__).with_name("resolvershim.c")
    subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"], check=True
    )
    hangs.touch()
    apart(host)
    sts.grant_seconds = 20
    running = host.start(
        "run",
        LD_PRELOAD=str(shim),
        TEST_HANGING_NAME="localhost",
        TEST_HANGING_FILE=str(hangs),
    )

    wait_until(lambda: running.events("endpoint_failed") != [], "the deadline", patience=90)

    assert [("development", 60)] == [
        (e["profile"], e["after_s"]) for e in running.events("attempt_abandoned")
    ]
    [told] = running.events("endpoint_failed")
    assert "resolver" in str(told["hint"])
    assert renewals(running, "production") >= 5
    assert renewals(running, "preproduction") >= 5
    assert 0 == renewals(running, "development")
    hangs.unlink()
    wait_until(lambda: renewals(running, "development") >= 1, "the attempt after it", patience=70)
    wait_until(lambda: "development" in host.sections(), "its section")
    assert [] == running.events("profile_expired")
    assert 0 == running.stop()
