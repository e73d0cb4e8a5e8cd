"""The daemon's own credentials, and the profiles that share a source."""

from __future__ import annotations

import signal

from credfresh.simulator import Simulator
from host import ENVIRONMENTS, Host, Running, wait_until

CHAIN = (
    "  audit:\n    role_arn: arn:aws:iam::444444444444:role/audit\n    source_profile: production\n"
    "  production:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
)


def rotate(host: Host) -> str:
    """Replace the principal's key, also in its file; return the new id."""
    new = host.sts.add_user(host.user.arn)
    host.source.write_text(
        f"[ci]\naws_access_key_id = {new.access_key_id}\n"
        f"aws_secret_access_key = {new.secret_access_key}\n"
    )
    return new.access_key_id


def renewed(running: Running) -> set[object]:
    """Return the profiles renewed so far."""
    return {event["profile"] for event in running.events("credentials_renewed")}


def renewals(running: Running, after: int) -> set[object]:
    """Return the profiles renewed after the first `after` renewals."""
    return {event["profile"] for event in running.events("credentials_renewed")[after:]}


def test_a_rotated_key_needs_no_restart_and_no_failure(host: Host, sts: Simulator) -> None:
    """The old key can be deleted as soon as the new one is in the file."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    old = host.user.access_key_id
    rotate(host)
    sts.revoke(old)

    running.signal(signal.SIGUSR1)
    running.wait_for("credentials_renewed", 2 * len(ENVIRONMENTS))

    assert [] == running.events("source_failed")
    assert 0 == running.stop()


def test_a_source_that_breaks_is_one_event_and_all_recover_with_it(
    host: Host, sts: Simulator
) -> None:
    """A revoked key is reported once for all profiles, and what is published stays."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    before = host.sections()
    sts.revoke(host.user.access_key_id)
    running.signal(signal.SIGUSR1)

    [failed] = running.wait_for("source_failed")
    assert ("ci", "InvalidClientTokenId", "human") == (
        failed["source"],
        failed["code"],
        failed["mend"],
    )
    assert failed["hint"]
    assert before == host.sections()

    count = len(running.events("credentials_renewed"))
    rotate(host)
    running.signal(signal.SIGUSR1)
    running.wait_for("source_recovered")
    wait_until(lambda: renewals(running, count) == set(ENVIRONMENTS), "all renewals")

    assert 1 == len(running.events("source_failed"))
    assert 1 == len(running.events("source_recovered"))
    assert [] == running.events("renewal_failed")
    assert 0 == running.stop()


def test_a_chain_renews_its_parent_first_and_signs_with_its_new_keys(
    host: Host, sts: Simulator
) -> None:
    """Whatever their order in the file, the parent's newest session signs for the child."""
    parent = "arn:aws:iam::333333333333:role/production"
    sts.add_role("arn:aws:iam::444444444444:role/audit", trusts={parent})
    host.configure(CHAIN)
    running = host.start("run")
    running.wait_for("daemon_ready")
    running.signal(signal.SIGUSR1)
    events = running.wait_for("credentials_renewed", 4)

    assert ["production", "audit"] * 2 == [event["profile"] for event in events]
    keys = [event["access_key_id"] for event in events]
    signers = [call.access_key_id for call in sts.calls if call.action == "AssumeRole"]
    assert [host.user.access_key_id, keys[0], host.user.access_key_id, keys[2]] == signers
    assert 0 == running.stop()


def test_a_disabled_profile_leaves_the_file_and_comes_back(host: Host) -> None:
    """With `enabled: false` a profile has no section, and no call is made for it."""
    role = "  {0}:\n    role_arn: arn:aws:iam::{1}:role/{0}\n    enabled: {2}\n"
    one = role.format("production", "3" * 12, "true")
    host.configure(one + role.format("development", "1" * 12, "false"))
    running = host.start("run")
    running.wait_for("daemon_ready")
    assert {"production"} == set(host.sections())
    assert {"production"} == renewed(running)

    host.configure(one + role.format("development", "1" * 12, "true"))
    running.signal(signal.SIGHUP)
    wait_until(lambda: {"production", "development"} == set(host.sections()), "the section")
    host.configure(one + role.format("development", "1" * 12, "false"))
    running.signal(signal.SIGHUP)
    wait_until(lambda: {"production"} == set(host.sections()), "its removal")
    assert 0 == running.stop()


def test_the_sdks_chain_may_not_find_what_we_publish(host: Host, sts: Simulator) -> None:
    """The own file is refused at the start, and a copy of it by its key ids."""
    assert 0 == host.command("once", "--config", str(host.config)).returncode
    before, calls = host.sections(), sts.count("AssumeRole")
    role = "arn:aws:iam::333333333333:role/production"
    host.configure(f"  production:\n    role_arn: {role}\n    source: default\n")

    chain = {"AWS_SHARED_CREDENTIALS_FILE": str(host.credentials), "AWS_PROFILE": "production"}
    running = host.start("once", **chain)
    assert 78 == running.wait()
    assert [] != running.events("config_refused")

    copy = host.root / "copy"  # which the configuration does not show to be ours
    copy.write_bytes(host.credentials.read_bytes())
    running = host.start("once", **chain | {"AWS_SHARED_CREDENTIALS_FILE": str(copy)})
    assert 3 == running.wait()  # what stands came from another source, and stays
    [failed] = running.events("source_failed")
    assert ("source_own_output", "human") == (failed["code"], failed["mend"])
    assert failed["hint"]
    assert calls == sts.count("AssumeRole")
    assert before["production"] == host.sections()["production"]
