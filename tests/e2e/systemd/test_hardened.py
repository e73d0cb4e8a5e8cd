"""The whole unit with every drop-in: what it allows and what it prevents."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest

from credfresh.one_cpu import EVERYWHERE
from host import wait_until
from service import CREDENTIALS, PROFILES, SYSTEMD, Service

REPORTS = "/run/credfresh-reports/credentials"
TEXTFILE = "/var/lib/node_exporter/credfresh/credfresh.prom"
LISTENER = "127.0.0.1:9464"
TWINS = "/run/credfresh/process"
TOKENS = "/run/credfresh/tokens"
EXTRA = f"""
process_dir: {TWINS}
endpoint: {{listen: '127.0.0.1:9465', token_dir: {TOKENS}}}
sources: {{ci: {{systemd_credential: aws, profile: ci}}}}
metrics: {{listen: '{LISTENER}', textfile: {TEXTFILE}}}
"""
SECOND = f'    credentials_file: {{path: {REPORTS}, mode: "0640"}}\n'


@pytest.fixture(scope="module", name="hardened")
def _hardened(installed: Service) -> Iterator[Service]:
    """Run the service with a sealed key, two groups of readers, a listener and a textfile."""
    installed.reset()
    machine = installed.machine
    keys = installed.outside("/etc/credfresh/source").read_text()
    seal = ("systemd-creds", "encrypt", "--with-key=host", "--name=aws", "-")
    machine.run(*seal, "/etc/credfresh/aws.cred", stdin=keys)
    for name in ("source-key", "second-group", "textfile"):
        installed.drop_in(name)
    machine.run("groupadd", "--system", "--force", "reports")
    machine.run("useradd", "--user-group", "--groups", "reports", "analyst")
    place = "/etc/tmpfiles.d/credfresh-reports.conf"
    machine.write(place, (SYSTEMD / "drop-ins" / "second-group.tmpfiles").read_text())
    machine.run("systemd-tmpfiles", "--create", place)
    folder = TEXTFILE.rpartition("/")[0]
    machine.run("install", "-d", "-o", "credfresh", "-g", "credfresh", "-m", "755", folder)
    profiles = installed.config.partition("profiles:\n")[2]
    reports = re.sub(r"  reports: \{(.*)\}\n", r"  reports:\n    \1\n" + SECOND, profiles)
    installed.configure(EXTRA, reports)
    installed.outside("/etc/credfresh/source").rename(installed.outside("/etc/credfresh/away"))
    try:
        installed.start()
        yield installed
        installed.end()
    finally:
        installed.outside("/etc/credfresh/away").rename(installed.outside("/etc/credfresh/source"))
        machine.run("userdel", "analyst")


def test_systemd_verifies_the_installed_unit_and_drop_ins(hardened: Service) -> None:
    """`systemd-analyze verify` prints nothing about the installed unit and drop-ins."""
    verify = ("systemd-analyze", "verify", "--man=no", "credfresh.service")

    done = hardened.machine.run(*verify)
    assert ("", "") == (done.stdout, done.stderr)
    shown = hardened.show("DropInPaths").split()
    assert 5 == len(shown), shown
    hardened.drop_in("typo", "[Service]\nUMaks=0077\n")
    assert "UMaks" in hardened.machine.run(*verify).stderr
    hardened.outside("/etc/systemd/system/credfresh.service.d/typo.conf").unlink()


@pytest.mark.skipif(len(EVERYWHERE) < 2, reason="this machine has one CPU alone")
def test_the_threads_that_renew_may_choose_a_cpu(hardened: Service) -> None:
    """The unit's filter permits it: a worker still has that of its last call, as the only one."""
    threads = f"/proc/{hardened.show('MainPID')}/task"
    shown = hardened.machine.run("sh", "-c", f"grep -h ^Cpus_allowed_list: {threads}/*/status")
    allowed = {line.split()[1] for line in shown.stdout.splitlines()}

    assert any(cpus.isdecimal() for cpus in allowed), allowed
    assert any(not cpus.isdecimal() for cpus in allowed), allowed


def test_the_exposure_is_small_while_it_runs(hardened: Service) -> None:
    """For the unit as loaded, systemd's measure is at most 1.3."""
    done = hardened.machine.run("systemd-analyze", "security", "--no-pager", "credfresh.service")
    figure = re.search(r"Overall exposure level for credfresh.service: ([\d.]+)", done.stdout)

    assert "active" == hardened.show("ActiveState")
    assert figure is not None
    assert float(figure[1]) <= 1.3, done.stdout


def test_the_process_has_no_capability_and_a_filter_of_system_calls(hardened: Service) -> None:
    """The process can gain no capability, its system calls are filtered, and it dumps no core."""
    process = hardened.outside(f"/proc/{hardened.pid}")
    status = dict(re.findall(r"^(\w+):\t(.*)$", (process / "status").read_text(), re.MULTILINE))
    limits = (process / "limits").read_text()

    assert {"0000000000000000"} == {status[name] for name in ("CapEff", "CapPrm", "CapBnd")}
    assert ("1", "2", "0077") == (status["NoNewPrivs"], status["Seccomp"], status["Umask"])
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    assert "0" != status["Uid"].split()[0]
    # Not dumpable, so /proc is root's: other processes of its user cannot read its memory.
    assert 0 == (process / "environ").stat().st_uid


def test_each_group_reads_its_own_file(hardened: Service) -> None:
    """Each file belongs to its readers' group from the start, and nobody else can read it."""
    assert hardened.readable("agent")
    assert hardened.readable("analyst", REPORTS)
    assert not hardened.readable("analyst")
    assert not hardened.readable("agent", REPORTS)
    assert not hardened.readable("stranger")
    assert not hardened.readable("stranger", REPORTS)
    for path in (CREDENTIALS, REPORTS):
        assert 0o640 == hardened.outside(path).stat().st_mode & 0o777


def test_no_group_gets_by_a_twin_or_a_token_what_it_may_not_read(hardened: Service) -> None:
    """The daemon cannot give a file there to the second group, and so gives it to nobody."""

    def may_read(user: str, path: str) -> bool:
        assert hardened.outside(path).exists()
        return hardened.machine.run("cat", path, user=user, check=False).returncode == 0

    for place in (f"{TWINS}/%s.json", f"{TOKENS}/%s"):
        assert may_read("agent", place % "production")
        assert not may_read("agent", place % "reports")
        assert not may_read("analyst", place % "reports")


def test_a_reader_may_ask_and_not_command(hardened: Service) -> None:
    """A member of the readers' group may use `status` and `ensure`; `renew` needs root."""
    report = json.loads(hardened.ask("status", "--json", user="agent").stdout)

    assert ["fresh"] * len(PROFILES) == [profile["state"] for profile in report["profiles"]]
    hardened.ask("ensure", "production", "--valid-for", "20m", user="agent")
    assert 77 == hardened.ask("renew", "production", user="agent", check=False).returncode
    assert 77 == hardened.ask("status", user="stranger", check=False).returncode
    before = hardened.sts.count()
    hardened.ask("renew", "production")
    assert before + 1 == hardened.sts.count()


def test_the_metrics_can_be_read_outside_the_sandbox(hardened: Service) -> None:
    """The listener and the textfile, both read from outside, have every profile."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with (
        hardened.machine.network(),
        direct.open(f"http://{LISTENER}/metrics", timeout=10) as answer,
    ):
        page = answer.read().decode()
    textfile = hardened.outside(TEXTFILE)
    wait_until(textfile.exists, "the textfile")

    name = "credfresh_credential_expiration_timestamp_seconds"
    assert len(PROFILES) == len(re.findall(rf"^{name}\{{", page, re.MULTILINE))
    assert len(PROFILES) == len(re.findall(rf"^{name}\{{", textfile.read_text(), re.MULTILINE))


def test_entries_of_the_journal_have_the_priority_of_their_level(hardened: Service) -> None:
    """Each entry of the journal is a line of JSON, with the priority of its level."""
    good = hardened.config
    hardened.spoil()
    assert 0 != hardened.systemctl("reload", check=False).returncode
    hardened.write_config(good)
    hardened.systemctl("reload")
    written = hardened.machine.journal("credfresh.service", hardened.mark)
    entries = [entry for entry in written if entry["_PID"] == str(hardened.pid)]

    levels = {"error": "3", "warning": "4", "info": "6"}
    parsed = [(json.loads(entry["MESSAGE"])["level"], entry["PRIORITY"]) for entry in entries]
    assert [] == [pair for pair in parsed if levels[pair[0]] != pair[1]]
    assert {"error", "info"} <= {level for level, _ in parsed}
