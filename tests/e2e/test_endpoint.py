"""The loopback endpoint of the installed daemon, as a container on the host's network sees it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from disk import needs_root
from host import ENVIRONMENTS, Host, wait_until
from programs import free_port


class Served:
    """A host whose daemon serves credentials, and a client that asks for them."""

    def __init__(self, host: Host, *, groups: str = "") -> None:
        self.host = host
        self.port = free_port()
        self.tokens = host.root / "tokens"
        self.extra = (
            f"endpoint:\n  listen: 127.0.0.1:{self.port}\n  token_dir: {self.tokens}\n{groups}"
        )
        host.configure(extra=self.extra)

    def token(self, name: str) -> str:
        """Return the content of a token's file."""
        return (self.tokens / name).read_text()

    def ask(self, name: str, token: str) -> int | dict[str, str]:
        """Return the credentials, or the status of the refusal."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/credentials/{name}", headers={"Authorization": token}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                said: dict[str, str] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.read():
                    pytest.fail("a refusal has a body")
            return error.code
        return said

    def ready(self, name: str) -> bool:
        """Say whether the token exists and is accepted."""
        try:
            return isinstance(self.ask(name, self.token(name)), dict)
        except OSError:
            return False


def test_the_endpoint_serves_each_profile_for_its_token_alone(host: Host) -> None:
    """Each profile is served for its own token and for no other."""
    served = Served(host)
    host.start("run").wait_for("daemon_ready")
    wait_until(lambda: served.ready("production"), "the endpoint")

    for name in ENVIRONMENTS:
        said = served.ask(name, served.token(name))
        assert isinstance(said, dict)
        assert host.sections()[name]["aws_access_key_id"] == said["AccessKeyId"]
    assert 401 == served.ask("production", served.token("development"))
    assert b"\n" not in (served.tokens / "production").read_bytes()


def test_a_group_has_one_token(host: Host) -> None:
    """One token serves all profiles of a group, and they have no other."""
    served = Served(host, groups="  groups:\n    deploy: [preproduction, production]\n")
    host.start("run").wait_for("daemon_ready")
    wait_until(lambda: served.ready("development"), "the endpoint")

    token = served.token("deploy")
    assert isinstance(served.ask("production", token), dict)
    assert isinstance(served.ask("preproduction", token), dict)
    assert 401 == served.ask("development", token)
    assert {"deploy", "development"} == {
        entry.name for entry in served.tokens.iterdir() if entry.suffix != ".credfresh"
    }


def test_tokens_outlive_the_daemon(host: Host) -> None:
    """After a kill and a start the same tokens are valid, and STS is not called."""
    served = Served(host)
    first = host.start("run")
    first.wait_for("daemon_ready")
    wait_until(lambda: served.ready("production"), "the endpoint")
    token, calls = served.token("production"), host.sts.count("AssumeRole")
    first.signal(signal.SIGKILL)
    first.wait()

    host.start("run").wait_for("daemon_ready")
    wait_until(lambda: served.ready("production"), "the endpoint again")

    assert token == served.token("production")
    assert isinstance(served.ask("production", token), dict)
    assert calls == host.sts.count("AssumeRole")


def test_a_removed_profile_is_not_served_and_loses_its_token(host: Host) -> None:
    """A profile removed from the configuration is not served, and its token is removed."""
    served = Served(host)
    running = host.start("run")
    running.wait_for("daemon_ready")
    wait_until(lambda: served.ready("production"), "the endpoint")
    token = served.token("development")
    only = "  production:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
    host.configure(only, extra=served.extra)
    running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded")
    assert served.ask("development", token) in (401, 503)  # no credentials from now on
    wait_until(lambda: not (served.tokens / "development").exists(), "the token to go")
    wait_until(lambda: served.ask("development", token) == 401, "the token to open nothing")
    assert served.ready("production")

    host.configure(only)
    running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded", 2)

    with pytest.raises(urllib.error.URLError):
        served.ask("production", "x")
    assert not (served.tokens / "production").exists()


def test_a_reload_that_moves_the_tokens_leaves_none_behind(host: Host) -> None:
    """The tokens of the old directory are removed and no longer accepted."""
    served = Served(host)
    running = host.start("run")
    running.wait_for("daemon_ready")
    wait_until(lambda: served.ready("production"), "the endpoint")
    old, token = served.tokens, served.token("production")
    served.tokens = host.root / "moved"
    host.configure(extra=served.extra.replace(str(old), str(served.tokens)))
    running.signal(signal.SIGHUP)
    running.wait_for("config_reloaded")
    wait_until(lambda: served.ready("production"), "the endpoint with its new tokens")

    assert set() == {entry.name for entry in old.iterdir() if entry.suffix != ".credfresh"}
    assert 401 == served.ask("production", token)


def test_a_token_opens_no_more_than_is_configured(host: Host) -> None:
    """Also while its directory cannot be kept; what it may open it opens all the same."""
    groups = "  groups:\n    deploy: [preproduction, production]\n"
    served = Served(host, groups=groups)
    running = host.start("run")
    running.wait_for("daemon_ready")
    wait_until(lambda: isinstance(_asked(served, "production"), dict), "the endpoint")
    served.tokens.chmod(0o777)

    host.configure(extra=served.extra.replace("[preproduction, production]", "[preproduction]"))
    running.signal(signal.SIGHUP)
    [event] = running.wait_for("publish_failed")

    assert "writable_by_others" == event["code"]
    wait_until(lambda: _asked(served, "production") == 401, "the end of what it may open no more")
    assert isinstance(_asked(served, "preproduction"), dict)


def _asked(served: Served, name: str) -> int | dict[str, str]:
    try:
        return served.ask(name, served.token("deploy"))
    except OSError:
        return 0


def test_tokens_left_in_an_old_directory_are_not_told_to_have_recovered(host: Host) -> None:
    """Its tokens could not be removed when the endpoint went on elsewhere: nobody looks again."""
    served = Served(host)
    running = host.start("run")
    running.wait_for("daemon_ready")
    wait_until(lambda: served.ready("production"), "the endpoint")
    old = served.tokens
    old.chmod(0o777)
    served.tokens = host.root / "moved"
    host.configure(extra=served.extra.replace(str(old), str(served.tokens)))
    running.signal(signal.SIGHUP)
    [event] = running.wait_for("publish_failed")

    wait_until(lambda: served.ready("production"), "the endpoint with its new tokens")

    assert str(old) == event["path"]
    assert [] == running.events("publish_recovered")


def test_a_port_that_is_still_taken_after_a_reload_is_told_again(host: Host) -> None:
    """Endpoint and metrics were off in between: what was told before is no news of today."""
    served = Served(host)
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.2", 0)) as two,
    ):
        taken = served.extra.replace(str(served.port), str(one.getsockname()[1]))
        taken += f"metrics:\n  listen: 127.0.0.2:{two.getsockname()[1]}\n"
        host.configure(extra=taken)
        running = host.start("run")
        running.wait_for("listen_failed", 2)
        for extra in ("", taken):
            reloads = len(running.events("config_reloaded"))
            host.configure(extra=extra)
            running.signal(signal.SIGHUP)
            running.wait_for("config_reloaded", reloads + 1)

        running.wait_for("listen_failed", 4)


def test_a_port_that_is_taken_stops_no_renewal(host: Host) -> None:
    """`listen_failed` names the address, and all profiles are published."""
    served = Served(host)
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(served.port)],
        cwd=host.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as other:
        wait_until(lambda: _answers(served.port), "the other server")
        running = host.start("run")
        running.wait_for("daemon_ready")
        [event] = running.wait_for("listen_failed")
        other.kill()

    assert f"127.0.0.1:{served.port}" == event["address"]
    assert set(ENVIRONMENTS) == set(host.sections())


def test_no_token_is_printed(host: Host) -> None:
    """Not even log level debug prints a token."""
    served = Served(host)
    host.configure(extra=f"{served.extra}log:\n  level: debug\n")
    running = host.start("run")
    running.wait_for("daemon_ready")
    wait_until(lambda: served.ready("production"), "the endpoint")
    served.ask("production", "wrong")
    running.stop()

    tokens = [served.token(name) for name in ENVIRONMENTS]
    assert not [token for token in tokens if token in "".join(running.lines)]


@needs_root  # to read /proc of a process that cannot dump core
def test_the_endpoint_is_off_unless_configured(host: Host) -> None:
    """Without `endpoint` nothing listens, and there is no directory of tokens."""
    running = host.start("run")
    running.wait_for("daemon_ready")

    listening = Path(f"/proc/{running.process.pid}/net/tcp").read_text()
    inodes = {
        link.readlink().name.removeprefix("socket:[").rstrip("]")
        for link in Path(f"/proc/{running.process.pid}/fd").iterdir()
    }
    mine = [line for line in listening.splitlines()[1:] if line.split()[9] in inodes]
    assert [] == [line for line in mine if line.split()[3] == "0A"]  # TCP_LISTEN
    assert not (host.root / "tokens").exists()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return True
    except OSError:
        return False
