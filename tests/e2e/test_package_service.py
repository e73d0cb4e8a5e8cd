"""The Debian package under a real systemd, as an administrator uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from credfresh import __version__
from debian import NEXT, ROOT, installing, simulating
from machine import Machine

pytestmark = pytest.mark.timeout(300)  # the first of them has the package built
SERVICE = "credfresh.service"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture(name="machine")
def _machine(packages: Path) -> Iterator[Machine]:
    """Run a machine where the package is installed and its configuration unedited."""
    with Machine({packages: "/mnt"}) as machine:
        do(machine, installing())
        yield machine


def do(machine: Machine, script: str) -> str:
    """Run a shell script in the machine, which must succeed; return its output."""
    return machine.run("sh", "-ec", f"cd /\n{script}").stdout


def shown(machine: Machine, name: str) -> str:
    """Return a property of the service."""
    return do(machine, f"systemctl show --property={name} --value {SERVICE}").strip()


def events(machine: Machine, cursor: str) -> str:
    """Return what the service has logged since `cursor`."""
    return "\n".join(str(entry["MESSAGE"]) for entry in machine.journal(SERVICE, after=cursor))


def test_the_service_runs_once_the_roles_are_named(machine: Machine) -> None:
    """Unedited it fails once with the reason; edited it runs; removing the package stops it."""
    start = machine.cursor()
    refused = machine.run("systemctl", "enable", "--now", SERVICE, check=False)
    assert 0 != refused.returncode
    assert ("78", "0") == (shown(machine, "ExecMainStatus"), shown(machine, "NRestarts"))
    assert '"path": "profiles", "reason": "is required"' in events(machine, start)

    do(machine, simulating())
    do(machine, f"systemctl enable --now {SERVICE}")
    assert "active\nenabled\n" == do(
        machine, f"systemctl is-active {SERVICE}; systemctl is-enabled {SERVICE}"
    )
    assert "1/1 fresh" in shown(machine, "StatusText")
    assert "production" in do(machine, "credfresh status")
    published = do(machine, "cat /run/credfresh/credentials")
    assert "[production]" in published

    do(machine, "apt-get -q -y remove credfresh")
    gone = machine.run("systemctl", "is-active", SERVICE, check=False).stdout
    assert "inactive\n" == gone
    assert published == do(machine, "cat /run/credfresh/credentials")
    do(machine, "apt-get -q -y purge credfresh; test ! -e /run/credfresh")


def test_an_upgrade_that_refuses_the_configuration_says_so(machine: Machine) -> None:
    """The upgrade succeeds, says that the new version does not start, and credentials stay."""
    do(machine, simulating())
    do(machine, f"systemctl enable --now {SERVICE}")
    published = do(machine, "cat /run/credfresh/credentials")
    do(machine, "echo 'nonsense: true' >>/etc/credfresh/credfresh.yaml")
    said = do(machine, f"({installing(NEXT)}) 2>&1")

    assert "the new version does not start; what is published stays as it is" in said
    assert ("failed", "78") == (shown(machine, "ActiveState"), shown(machine, "ExecMainStatus"))
    assert published == do(machine, "cat /run/credfresh/credentials")

    do(machine, "sed -i '/^nonsense/d' /etc/credfresh/credfresh.yaml")
    back = installing().replace(" install ", " --allow-downgrades install ")
    assert "--allow-downgrades ./credfresh_OLD.deb && systemctl start" in OPERATIONS
    do(machine, back)
    assert __version__ == do(machine, "dpkg-query -W -f '${Version}' credfresh")
    assert "failed" == shown(machine, "ActiveState")
    do(machine, f"systemctl start {SERVICE}")
    assert published == do(machine, "cat /run/credfresh/credentials")


def test_no_reader_notices_an_upgrade(machine: Machine) -> None:
    """A new process with the new code goes on, and readers always find the same credentials."""
    standing = "cat /run/credfresh/credentials; stat -c '%A %U %G' /run/credfresh /run/credfresh/*"
    do(machine, simulating())
    do(machine, f"systemctl enable --now {SERVICE}")
    old = shown(machine, "MainPID")
    published = do(machine, standing)
    start = machine.cursor()
    # A reader that looks a hundred times a second, and notes any difference.
    do(
        machine,
        """
        cp /run/credfresh/credentials /tmp/before
        setsid sh -c 'while [ ! -e /tmp/enough ]; do
            echo look >>/tmp/looks
            cmp -s /tmp/before /run/credfresh/credentials || echo missed >>/tmp/looks
            sleep 0.01
        done' </dev/null >/dev/null 2>&1 &""",
    )
    do(machine, installing(NEXT))
    do(machine, "touch /tmp/enough")

    assert NEXT == do(machine, "dpkg-query -W -f '${Version}' credfresh")
    assert "active" == shown(machine, "ActiveState")
    assert old != shown(machine, "MainPID")
    assert "credentials_renewed" not in events(machine, start)
    assert published == do(machine, standing)
    looks = do(machine, "cat /tmp/looks").split()
    assert len(looks) > 20
    assert "missed" not in looks


def block(language: str, about: str) -> str:
    """Return the only code block of the page that contains a text."""
    found = re.findall(rf"(?ms)^```{language}\n(.*?)^```", OPERATIONS)
    [one] = [block for block in found if about in block]
    return str(one)


def handed_over(keys: str) -> str:
    """Return the worked example of the page with these keys in it."""
    example = block("sh", "systemd-creds encrypt")
    return re.sub(r"(?ms)^\[ci-user\]\n.*?(?=^END)", lambda _: keys, example)


def test_the_worked_example_of_an_encrypted_key_works(machine: Machine) -> None:
    """No key is on disk in the clear; a restart takes the next one over without a call."""
    do(machine, simulating())
    keys, following = (
        do(machine, f"cat /etc/credfresh/{name}; rm /etc/credfresh/{name}")
        for name in ("source", "source.next")
    )
    config = machine.root / "etc/credfresh/credfresh.yaml"
    sources = block("yaml", "systemd_credential")
    text = re.sub(r"(?ms)^sources:\n.*?(?=^\w)", sources, config.read_text(encoding="utf-8"))
    machine.write("/etc/credfresh/credfresh.yaml", text)

    do(machine, handed_over(keys))
    assert "active" == shown(machine, "ActiveState")
    published = do(machine, "cat /run/credfresh/credentials")
    assert "[production]" in published
    for secret in (keys, following):
        value = secret.strip().rpartition("= ")[2]
        assert "" == do(machine, f"grep -rlF '{value}' /etc /run/credfresh || true")

    start = machine.cursor()
    do(machine, handed_over(following))  # ends with the restart
    assert "credentials_renewed" not in events(machine, start)
    assert published == do(machine, "cat /run/credfresh/credentials")
    do(
        machine,
        "kill -USR1 $(cat /run/sts/pid); until [ -e /run/sts/ended ]; do sleep 0.05; done",
    )
    do(machine, "credfresh renew")
    assert published != do(machine, "cat /run/credfresh/credentials")
