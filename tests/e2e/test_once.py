"""`credfresh once`, `check` and `schema` as they are installed."""

from __future__ import annotations

import json
from pathlib import Path

from credfresh.simulator import faults
from host import COMMAND, ENVIRONMENTS, Host

ROOT = Path(__file__).parent.parent.parent


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


def test_check_says_that_all_is_well(host: Host) -> None:
    """A valid configuration is exit status 0, without a call."""
    result = host.command("check", "--config", str(host.config))

    assert 0 == result.returncode, result.stderr
    assert f"{host.config}: valid, 3 profiles" in result.stdout
    assert 0 == host.sts.count("AssumeRole")


def test_check_lists_every_problem_in_json(host: Host) -> None:
    """A program gets the problems with their places."""
    host.configure("  production:\n    role_arm: x\n    duration: 13h\n")
    result = host.command("check", "--json", "--config", str(host.config))

    assert 78 == result.returncode
    report = json.loads(result.stdout)
    assert not report["valid"]
    assert {"profiles.production.role_arm", "profiles.production.duration"} <= {
        problem["path"] for problem in report["problems"]
    }
    assert all(problem["line"] > 0 for problem in report["problems"])


def test_check_online_names_who_was_refused(host: Host) -> None:
    """Each role is tried once, nothing is published, and a refusal comes with its hint."""
    host.sts.inject(faults.access_denied(), role="arn:aws:iam::333333333333:role/production")
    result = host.command("check", "--online", "--config", str(host.config))

    assert 3 == result.returncode
    assert "production: refused: AccessDenied" in result.stdout
    assert "development: granted for 3600 s" in result.stdout
    assert "hint:" in result.stdout
    assert not host.credentials.exists()


def test_check_online_reports_in_json(host: Host) -> None:
    """Chained roles are tried with their parents' credentials; the report says what came of it."""
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
    """What the command prints is what editors are given."""
    printed = json.loads(host.command("schema").stdout)

    assert json.loads((ROOT / "config" / "credfresh.schema.json").read_text()) == printed


def test_the_command_knows_its_version_and_its_module(host: Host) -> None:
    """`--version` names the version; an unknown command is a usage error."""
    assert "credfresh 0.1.0\n" == host.command("--version").stdout
    assert 2 == host.command("renewww").returncode
    assert Path(COMMAND).exists()
