"""Hosts without systemd, as in docs/operations.md: cron, and a container image."""

from __future__ import annotations

import re

from debian import ROOT, Debian

CRON = ROOT / "config" / "credfresh.cron"
RECIPE = ROOT / "config" / "Containerfile"
UNPRIVILEGED = (
    "setpriv --reuid=65532 --regid=65532 --clear-groups --bounding-set=-all --no-new-privs"
)


def steps() -> list[tuple[str, str]]:
    """Return the recipe's instructions as word and rest."""
    joined = RECIPE.read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


def test_cron_keeps_the_credentials_fresh(debian: Debian) -> None:
    """The lines for cron make the directory and publish; the second run makes no call."""
    debian.install()
    debian.simulate()
    debian.do(f"cat >/etc/cron.d/credfresh <<'END'\n{CRON.read_text()}END")
    lines = re.findall(r"(?m)^(?:@reboot|\*/5(?: \*){4}) (\w+) (.+)$", CRON.read_text())
    assert ["root", "credfresh"] == [user for user, _ in lines]
    # There is no syslog here, so this `logger` keeps the lines.
    debian.do("printf '#!/bin/sh\\ncat >>/tmp/said\\n' >/usr/bin/logger; chmod 755 /usr/bin/logger")
    for user, command in lines:
        debian.do(command, user=user)
    said = debian.do("cat /tmp/said")
    assert 1 == said.count('"event": "credentials_renewed"'), said
    published = debian.do("cat /run/credfresh/credentials")
    assert "[production]" in published

    debian.do(lines[1][1], user="credfresh")
    assert 1 == debian.do("cat /tmp/said").count('"event": "credentials_renewed"')
    assert published == debian.do("cat /run/credfresh/credentials")
    assert "755 credfresh\n" == debian.do("stat -c '%a %U' /run/credfresh")


def test_the_steps_of_the_recipe_make_what_runs_read_only(debian: Debian) -> None:
    """As user 65532, without capabilities and on a read-only root, the daemon publishes."""
    recipe = dict(steps())
    assert "debian:12" in recipe["FROM"]
    source, target = recipe["COPY"].split()
    assert source.startswith("dist/credfresh_")
    debian.do(f"rm -f /bin/systemd-sysusers; install -D -t {target} /mnt/credfresh_[0-8]*.deb")
    for word, rest in steps():
        if word == "RUN":
            debian.do(re.sub(r"^apt-get update && ", "", rest))  # without a network
    assert "65532:65532" == recipe["USER"]
    assert "65532\n" == debian.do("id -u credfresh")
    debian.simulate()
    debian.do(f"""
        mount -t tmpfs -o uid=65532,gid=65532,mode=755 tmpfs {recipe["VOLUME"]}
        mount -o remount,ro /tmp
        mount -o remount,bind,ro /""")
    for directory in ("/opt/credfresh", "/etc/credfresh", "/tmp", "/var/tmp"):
        assert 0 != debian.run(f"touch {directory}/written").returncode

    [entry] = re.findall(r'"(.+?)"', recipe["ENTRYPOINT"])
    [command] = re.findall(r'"(.+?)"', recipe["CMD"])
    said = debian.do(f"""
        {UNPRIVILEGED} {entry} {command} & daemon=$!
        for _ in $(seq 300); do test -s /run/credfresh/credentials && break; sleep 0.1; done
        sleep 1; kill $daemon; wait $daemon""")

    assert '"event": "daemon_ready"' in said
    assert '"event": "daemon_stopped", "clean": true' in said
    assert "[production]" in debian.do("cat /run/credfresh/credentials")
    assert "600 65532\n" == debian.do("stat -c '%a %u' /run/credfresh/credentials")
