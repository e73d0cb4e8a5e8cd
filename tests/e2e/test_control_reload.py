"""`credfresh reload`, which waits for the outcome and prints it."""

from __future__ import annotations

import json
import os
import socket as sockets
import subprocess
from pathlib import Path

import pytest

from credfresh.control import protocol
from host import COMMAND, ENVIRONMENTS, Host, ask, running


def test_reload_reports_added_and_removed_profiles(host: Host, socket: Path) -> None:
    """`reload` returns once the configuration is in force, with added and removed profiles."""
    running(host)
    host.configure(
        "  production:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
        "  extra:\n    role_arn: arn:aws:iam::111111111111:role/development\n",
        extra=f"control:\n  socket: {socket}\n",
    )
    done = ask(host, "reload")
    assert 0 == done.returncode, done.stderr
    assert done.stdout.splitlines() == [
        "reloaded",
        "added: extra",
        "removed: development, preproduction",
    ]
    report = json.loads(ask(host, "status", "--json").stdout)
    assert ["production", "extra"] == [p["profile"] for p in report["profiles"]]
    again = json.loads(ask(host, "reload", "--json").stdout)
    assert {"version": 1, "accepted": True, "added": [], "removed": []}.items() <= again.items()


def test_a_refused_reload_lists_every_mistake_and_changes_nothing(host: Host, socket: Path) -> None:
    """The exit status is 78 as at the start, and the old configuration stays in force."""
    daemon = running(host)
    host.configure(
        "  a:\n    role_arm: x\n    duration: 13h\n", extra=f"control:\n  socket: {socket}\n"
    )
    done = ask(host, "reload")

    assert 78 == done.returncode
    assert "profiles.a.role_arm: unknown key" in done.stderr
    assert "profiles.a.duration: must be 15m to 12h" in done.stderr
    problems = json.loads(ask(host, "reload", "--json").stdout)["problems"]
    assert {"profiles.a.role_arm", "profiles.a.duration"} <= {p["path"] for p in problems}
    report = json.loads(ask(host, "status", "--json").stdout)
    assert list(ENVIRONMENTS) == [p["profile"] for p in report["profiles"]]
    assert 2 == len(daemon.events("config_reload_failed"))
    told = host.command("status", "--socket", str(socket)).stderr
    assert "the last reload was refused: " in told
    assert f"{host.config}:" in told
    development = "  development:\n    role_arn: arn:aws:iam::111111111111:role/development\n"
    host.configure(development, extra=f"control:\n  socket: {socket}\n")
    assert 0 == ask(host, "reload").returncode
    assert "" == host.command("status", "--socket", str(socket)).stderr


@pytest.mark.parametrize("locale", ["utf-8", "ascii"])
def test_an_answer_in_json_is_whole_in_any_locale(host: Host, socket: Path, locale: str) -> None:
    """Whatever letters a path has, and though they are none; the daemon serves on after that."""
    host.config = host.root / os.fsdecode("gr\u00fc\u00df".encode() + b"\xff.yaml")
    try:
        host.configure(extra=f"control:\n  socket: {socket}\n")
    except OSError:
        pytest.skip("the file system takes no such name")
    running(host)
    host.config.write_text("no mapping")
    for arguments in (("reload", "--json"), ("status", "--json")):
        done = subprocess.run(
            [COMMAND, *arguments, "--socket", str(socket)],
            env=host.environment | {"PYTHONIOENCODING": locale},
            capture_output=True,
            check=False,
        )
        told = json.loads(done.stdout)
        if "problems" in told:
            assert {str(host.config)} == {problem["source"] for problem in told["problems"]}
    assert len(ENVIRONMENTS) == len(told["profiles"])


def test_unknown_fields_of_a_later_daemon_are_ignored(host: Host) -> None:
    """A client ignores unknown fields: after an upgrade the daemon may be of another version."""
    problem = {"source": "c.yaml", "line": 3, "column": 1, "path": "profiles", "reason": "missing"}
    answer = {"accepted": False, "problems": [problem | {"hint": None, "rule": 7}], "took_s": 1}
    with sockets.socket(sockets.AF_UNIX) as daemon:
        path = str(host.root / "later.sock")
        daemon.bind(path)
        daemon.listen()
        asking = subprocess.Popen(
            [COMMAND, "reload", "--socket", path],
            env=host.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        with daemon.accept()[0] as client:
            client.recv(65536)
            client.sendall(protocol.encode_answer(answer))
        _, said = asking.communicate(timeout=20)

    assert 78 == asking.returncode
    assert "c.yaml:3:1: profiles: missing\n" == said


def test_a_moved_socket_needs_a_restart(host: Host, socket: Path) -> None:
    """The reload is accepted, and `control` is listed as needing a restart."""
    running(host)
    host.configure(extra=f"control:\n  socket: {socket}.new\n")
    done = host.command("reload", "--socket", str(socket))

    assert 0 == done.returncode
    assert "needs a restart: control" in done.stdout
