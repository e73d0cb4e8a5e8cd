"""The whole daemon against STS servers that other people wrote: moto's, and ministack with AUTH.

Both sides of the daemon's clock are put forward to save time; signatures, answers and
expirations are real.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from aws_servers import REGION, AwsServer
from credfresh.config import file
from credfresh.credentials_file import CredentialsFiles
from credfresh.life.daemon import Daemon
from credfresh.life.desk import Desk, Errand
from credfresh.notify import Notifier
from credfresh.settings import Settings
from credfresh.sts import StsProvider
from fakes import AheadClock, EventLog

NAMES = ("development", "preproduction", "production")


class Waker:
    """An attendant that can wake the main thread, which sleeps by the real clock."""

    def __init__(self) -> None:
        self.desk: Desk | None = None

    def open(self, desk: Desk) -> None:
        self.desk = desk

    def close(self) -> None: ...

    def wake(self) -> None:
        """Make the main thread look at its clock."""
        assert self.desk is not None
        self.desk.post(Errand(lambda: None))


class Host:
    """A directory with source keys and a configuration for one server."""

    def __init__(self, root: Path, server: AwsServer, keys: tuple[str, str]) -> None:
        root.chmod(0o700)
        self.root = root
        self.server = server
        self.clock = AheadClock()
        self.log = EventLog()
        self.waker = Waker()
        source = root / "source"
        source.touch(mode=0o600)
        source.write_text(
            f"[ci]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n"
        )

    def settings(self, profiles: str) -> Settings:
        """Return the settings with these profiles."""
        path = self.root / "credfresh.yaml"
        path.write_text(
            f"credentials_file:\n  path: {self.root}/credentials\n"
            f"sources:\n  ci:\n    credentials_file: {self.root}/source\n    profile: ci\n"
            f"sts:\n  endpoint_url: {self.server.url}\n"
            f"defaults:\n  source: ci\n  region: {REGION}\n  duration: 1h\nprofiles:\n{profiles}"
        )
        return file.load(path)

    def run_until_renewed(self, profiles: str) -> None:
        """Run the daemon until each profile has been renewed ahead of its expiration."""
        settings = self.settings(profiles)
        files = CredentialsFiles(settings.targets, instance=settings.instance, clock=self.clock)
        provider = StsProvider(
            settings.principals, settings.sts, clock=self.clock, issued=files.issued, environ={}
        )
        daemon = Daemon(
            settings,
            files=files,
            provider=provider,
            clock=self.clock,
            roll=lambda: 0.0,
            emit=self.log,
            notifier=Notifier(None),
            attendants=[self.waker],
        )
        watcher = threading.Thread(target=self._watch, args=(daemon, len(settings.profiles)))
        watcher.start()
        assert daemon.run()
        watcher.join()

    def _watch(self, daemon: Daemon, count: int) -> None:
        self._wait(lambda: "daemon_ready" in self.log.names())
        self.clock.ahead = 0.49 * 3600  # past every renewal time, and long before expiration
        self.waker.wake()
        self._wait(lambda: self.log.names().count("credentials_renewed") >= 2 * count)
        daemon.stop()

    def _wait(self, condition: Callable[[], bool]) -> None:
        pause = threading.Event()
        end = time.monotonic() + 30
        while not condition() and time.monotonic() < end:
            pause.wait(0.02)

    def identity(self, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
        """Return the ARN that a reader of the credentials file has at the same server."""
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(self.root / "credentials"))
        monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
        session = boto3.Session(profile_name=name, region_name=REGION)
        sts = session.client("sts", endpoint_url=self.server.url)
        return str(sts.get_caller_identity()["Arn"])

    def renewed_twice(self) -> dict[str, int]:
        """Return how often each profile was renewed; assert that none expired or failed."""
        assert "profile_expired" not in self.log.names()
        assert "renewal_failed" not in self.log.names()
        counts: dict[str, int] = {}
        for fields in self.log.of("credentials_renewed"):
            counts[str(fields["profile"])] = counts.get(str(fields["profile"]), 0) + 1
        return counts


def trust(principal: str, external_id: str | None = None) -> object:
    """Return a trust policy for a principal."""
    statement: dict[str, object] = {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "sts:AssumeRole",
    }
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


ASSUME_ANY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
}


@pytest.mark.parametrize("kind", ["ministack", "moto"])
def test_three_environments_are_renewed_ahead_of_expiration(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of three profiles is renewed before it expires, and its keys are accepted."""
    server: AwsServer = request.getfixturevalue(kind)
    user = f"ci-renew-{kind}"
    host = Host(tmp_path, server, server.user(user, ASSUME_ANY))
    account = "000000000000" if kind == "ministack" else "123456789012"
    principal = f"arn:aws:iam::{account}:user/{user}"
    roles = {name: server.role(f"{name}-{kind}", trust(principal, "id-42")) for name in NAMES}

    host.run_until_renewed(
        "".join(
            f'  {name}:\n    role_arn: {arn}\n    external_id: "id-42"\n'
            for name, arn in roles.items()
        )
    )

    assert dict.fromkeys(NAMES, 2) == host.renewed_twice()
    for name in NAMES:
        assert f":assumed-role/{name}-{kind}/" in host.identity(name, monkeypatch)


def test_a_chain_of_three_roles_is_kept_fresh(
    ministack: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each role trusts only the one above it; all three are renewed, and the last is usable."""
    host = Host(tmp_path, ministack, ministack.user("ci-chain", ASSUME_ANY))
    first = ministack.role("chain-1", trust("arn:aws:iam::000000000000:user/ci-chain"), ASSUME_ANY)
    second = ministack.role("chain-2", trust(first), ASSUME_ANY)
    third = ministack.role("chain-3", trust(second))

    host.run_until_renewed(
        f"  leaf:\n    role_arn: {third}\n    source_profile: middle\n"
        f"  middle:\n    role_arn: {second}\n    source_profile: root\n"
        f"  root:\n    role_arn: {first}\n"
    )

    assert {"root": 2, "middle": 2, "leaf": 2} == host.renewed_twice()
    assert ":assumed-role/chain-3/" in host.identity("leaf", monkeypatch)
