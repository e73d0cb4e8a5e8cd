"""`credfresh check` and `schema` as installed."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from credfresh.simulator import faults
from host import COMMAND, Host, wait_until

ROOT = Path(__file__).parents[2]


def test_check_says_that_all_is_well(host: Host) -> None:
    """For a valid configuration the exit status is 0, and STS is not called."""
    result = host.command("check", "--config", str(host.config))

    assert 0 == result.returncode, result.stderr
    assert f"{host.config}: valid, 3 profiles" in result.stdout
    assert "warning" not in result.stdout
    assert 0 == host.sts.count("AssumeRole")


def test_check_lists_every_problem_in_json(host: Host) -> None:
    """The JSON has the path and the line of each problem."""
    host.configure("  production:\n    role_arm: x\n    duration: 13h\n")
    result = host.command("check", "--json", "--config", str(host.config))

    assert 78 == result.returncode
    report = json.loads(result.stdout)
    assert not report["valid"]
    assert {"profiles.production.role_arm", "profiles.production.duration"} <= {
        problem["path"] for problem in report["problems"]
    }
    assert all(problem["line"] > 0 for problem in report["problems"])


def test_check_online_names_who_was_not_granted(host: Host) -> None:
    """Each role is tried once, nothing is published, and a refusal comes with a hint."""
    host.sts.inject(faults.access_denied(), role="arn:aws:iam::333333333333:role/production")
    result = host.command("check", "--online", "--config", str(host.config))

    assert 3 == result.returncode
    assert "production: not granted: AccessDenied: " in result.stdout
    assert 1 == result.stdout.count("AccessDenied")
    assert "development: granted for 1h00m" in result.stdout
    assert result.stdout.endswith(f"{host.config}: valid, 3 profiles, 1 not granted\n")
    assert "hint:" in result.stdout
    assert not host.credentials.exists()


def test_check_online_says_once_what_to_do_about_several_roles(host: Host) -> None:
    """Roles that are refused for the same reason are named together in front of the hint."""
    host.sts.inject(faults.access_denied(), times=3)
    result = host.command("check", "--online", "--config", str(host.config))

    assert 3 == result.stdout.count("not granted: AccessDenied: ")
    [hint] = [line for line in result.stdout.splitlines() if "hint:" in line]
    assert hint.startswith("hint: development, preproduction, production: check that the role")


def test_check_online_calls_no_faster_than_the_daemon_may(host: Host) -> None:
    """`sts.calls_per_second` may be low because others use the account's quota, too."""
    host.configure(extra="sts: {calls_per_second: 1}\n")
    result = host.command("check", "--online", "--config", str(host.config))

    assert 0 == result.returncode, result.stderr
    first, _, third = (call.at.boot for call in host.sts.calls)
    assert 0.7 < third - first  # two seconds, less what it took to get ready for the first


def test_check_online_is_ended_at_once_while_sts_hangs(host: Host) -> None:
    """Ctrl-C waits for no answer, and shows no traceback."""
    host.configure(extra="sts: {read_timeout: 30s}\n")
    host.sts.inject(faults.Hang(), times=3)
    words = [COMMAND, "check", "--online", "--config", str(host.config)]
    with subprocess.Popen(words, env=host.environment, stderr=subprocess.PIPE, text=True) as check:
        wait_until(lambda: host.sts.in_flight == 3, "the calls")
        check.send_signal(signal.SIGINT)
        _, said = check.communicate(timeout=10)

    assert (-signal.SIGINT, "") == (check.returncode, said)


def test_check_online_reports_in_json(host: Host) -> None:
    """Chained roles are tried with their parents' credentials, and each outcome is reported."""
    host.sts.add_role(
        "arn:aws:iam::444444444444:role/audit",
        trusts={"arn:aws:iam::111111111111:role/development"},
    )
    host.configure(
        "  audit:\n    role_arn: arn:aws:iam::444444444444:role/audit\n"
        "    source_profile: development\n"
        "  development:\n    role_arn: arn:aws:iam::111111111111:role/development\n"
    )
    result = host.command("check", "--online", "--json", "--config", str(host.config))

    assert 0 == result.returncode, result.stdout
    assert {"audit": True, "development": True} == {
        one["profile"]: one["granted"] for one in json.loads(result.stdout)["online"]
    }


def test_schema_prints_the_committed_schema(host: Host) -> None:
    """The committed schema, which editors use, is what the command prints."""
    printed = json.loads(host.command("schema").stdout)

    assert json.loads((ROOT / "config" / "credfresh.schema.json").read_text()) == printed


def test_check_prints_every_problem_with_place_and_hint(host: Host) -> None:
    """Each problem is a line on stderr, and stdout is empty."""
    host.configure("  production:\n    role_arm: x\n    duration: 13h\n")
    result = host.command("check", "--config", str(host.config))

    assert 78 == result.returncode
    assert "" == result.stdout
    where = f"{host.config}:"
    problems = [line for line in result.stderr.splitlines() if line.startswith(where)]
    assert ["profiles.production.role_arm", "profiles.production.duration"] == [
        problem.split(": ")[1] for problem in problems if "role_arn: " not in problem
    ]
    assert "    hint: did you mean `role_arn`?" in result.stderr.splitlines()


def test_check_shows_notices_and_accepts_the_file(host: Host) -> None:
    """A notice is not a problem: the file is valid, in text and in JSON."""
    role = "arn:aws:iam::111111111111:role/development"
    host.configure(f"  a b:\n    role_arn: {role}\n    duration: 15m\n")
    text = host.command("check", "--config", str(host.config))
    report = json.loads(host.command("check", "--json", "--config", str(host.config)).stdout)

    assert 0 == text.returncode
    noted = "note: short_session profile=a b profiles=1 duration_s=900\n    hint: raise duration"
    assert noted in text.stdout
    assert "valid, 1 profile\n" in text.stdout
    assert report["valid"]
    assert {"short_session", "unusual_section_name"} == {n["event"] for n in report["notices"]}
    [profile] = report["profiles"]
    assert {"profile": "a b", "section": "a b", "role_arn": role, "guarantee_s": 450} == profile
    assert "guarantee: a b: a reader finds at least 7m30s of life left" in text.stdout


def test_check_warns_of_what_this_host_lacks(host: Host) -> None:
    """What this host lacks is a warning: the configuration may be for another host."""
    own = "credentials_file: {path: /nonexistent/ours, owner: nobody-here, group: none-here}"
    role = "arn:aws:iam::111111111111:role/development"
    host.configure(f"  a:\n    role_arn: {role}\n    {own}\n")
    text = host.command("check", "--config", str(host.config))
    report = json.loads(host.command("check", "--json", "--config", str(host.config)).stdout)

    assert 0 == text.returncode
    assert [
        "warning: credentials_file.path: the directory /nonexistent is not there on this host",
        "warning: credentials_file.owner: no owner is called nobody-here here",
        "warning: credentials_file.group: no group is called none-here here",
    ] == [line for line in text.stdout.splitlines() if line.startswith("warning: ")]
    assert ["credentials_file.path", "credentials_file.owner", "credentials_file.group"] == [
        warning["key"] for warning in report["warnings"]
    ]
    assert all(warning["hint"] for warning in report["warnings"])


def test_check_online_guarantees_what_was_granted(host: Host) -> None:
    """The guarantee follows from what was granted, and a refused profile has none."""
    role = "arn:aws:iam::{0}:role/{1}"
    host.sts.inject(faults.access_denied(), role=role.format("333333333333", "production"))
    host.sts.inject(faults.short_grant(1000.0), role=role.format("111111111111", "development"))
    result = host.command("check", "--online", "--config", str(host.config))

    assert 3 == result.returncode
    said = [line for line in result.stdout.splitlines() if line.startswith("guarantee: ")]
    assert ["development", "preproduction"] == [line.split(": ")[1] for line in said]
    assert "at least 8m" in said[0]


def test_check_online_blames_the_parent_for_its_children(host: Host) -> None:
    """If the head of a chain is refused, the others are not tried; each hint names its parent."""
    head = "arn:aws:iam::111111111111:role/development"
    host.sts.remove_role(head)
    host.configure(
        "  leaf:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
        "    source_profile: middle\n"
        "  middle:\n    role_arn: arn:aws:iam::222222222222:role/preproduction\n"
        f"    source_profile: head\n  head:\n    role_arn: {head}\n"
    )
    result = host.command("check", "--online", "--json", "--config", str(host.config))

    assert 3 == result.returncode
    outcomes = {one["profile"]: one for one in json.loads(result.stdout)["online"]}
    assert not any(one["granted"] for one in outcomes.values())
    assert "AccessDenied" == outcomes["head"]["code"]
    assert "mend head first" in outcomes["middle"]["hint"]
    assert "mend middle first" in outcomes["leaf"]["hint"]
    assert 1 == host.sts.count("AssumeRole")
