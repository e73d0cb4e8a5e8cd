"""`on_renew` with the installed command."""

from __future__ import annotations

import json
from pathlib import Path

from credfresh.simulator import faults
from host import ENVIRONMENTS, Host, wait_until


def script(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def hooked(host: Host, each: str, whole: str) -> None:
    """Configure one command for each profile, and one for all."""
    one = script(host.root / "each", each)
    all_of_them = script(host.root / "whole", whole)
    host.configure(extra=f"on_renew: {{command: [{all_of_them}]}}\n")
    text = host.config.read_text()
    assert "\ndefaults:\n" in text
    host.config.write_text(
        text.replace("\ndefaults:\n", f"\ndefaults:\n  on_renew: {{command: [{one}]}}\n")
    )


def test_once_waits_for_the_commands_and_they_find_the_new_keys(host: Host) -> None:
    """Commands find the new keys in the file; a second `once`, without renewals, runs none."""
    seen = host.root / "seen"
    hooked(
        host,
        f'grep -q "$CREDFRESH_ACCESS_KEY_ID" "$CREDFRESH_CREDENTIALS_FILE" &&'
        f' echo "$CREDFRESH_PROFILE" >> {seen}; sleep 0.2',
        f"sort >> {seen}.all",
    )
    first = host.start("once")
    assert 0 == first.wait(), first.lines
    assert set(ENVIRONMENTS) == set(seen.read_text().split())
    assert set(ENVIRONMENTS) == set(Path(f"{seen}.all").read_text().split())
    ran = [event.get("profile") for event in first.events("hook_ran")]
    assert set(ENVIRONMENTS) <= set(ran)

    again = host.start("once")
    assert 0 == again.wait()
    assert [] == again.events("hook_ran")


def test_once_leaves_though_a_command_takes_longer_than_half_a_session(host: Host) -> None:
    """A renewal due during a command is left to the next run, or `once` might never end."""
    host.sts.inject(faults.short_grant(9.0), times=None)
    hooked(host, "sleep 5", ":")
    once = host.start("once")

    assert 0 == once.wait(), once.lines
    assert set(ENVIRONMENTS) == {
        str(e["profile"]) for e in once.events("hook_ran") if "profile" in e
    }
    assert len(ENVIRONMENTS) == host.sts.count("AssumeRole")


def test_no_command_delays_a_renewal_or_lets_a_secret_out(host: Host) -> None:
    """Commands that fail, print secrets or hang do not delay renewals, and secrets are redacted."""
    hooked(host, 'cat "$CREDFRESH_CREDENTIALS_FILE"; env; exit 7', "exec sleep 600")
    daemon = host.start("run")
    daemon.wait_for("hook_failed", len(ENVIRONMENTS))
    assert set(ENVIRONMENTS) == {str(e.get("profile")) for e in daemon.events("hook_failed")}
    daemon.signal(10)
    wait_until(lambda: host.sts.count("AssumeRole") >= 2 * len(ENVIRONMENTS), "renewals")
    assert 0 == daemon.stop()
    ended = [e["error"] for e in daemon.events("hook_failed") if "profile" not in e]
    assert "killed: the daemon ended" in ended
    said = json.dumps(daemon.lines)
    for session in host.sts.sessions:
        assert session.secret_access_key not in said
        assert session.session_token not in said
