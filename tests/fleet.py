"""Hubs and hosts in directories, and a reader that never stops."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

import botocore.configloader
import botocore.exceptions

from bao import Certificates
from credfresh.simulator import Simulator
from host import ENVIRONMENTS, Host, Running


class Server(Protocol):
    """An engine that tests start."""

    certificates: Certificates

    @property
    def address(self) -> str:
        """The server's URL."""

    def token(self, policy: str) -> str:
        """Return a token with one policy."""


def engine(bao: Server, host: Host, policy: str, prefix: str) -> str:
    """Return the mapping `vault` of a configuration, logged in by a token in a file."""
    token = host.root / f"{policy}.token"
    token.write_text(bao.token(policy))
    return (
        f"{{address: '{bao.address}', ca_file: {bao.certificates.ca},"
        f" prefix: {prefix}, auth: {{token_file: {token}}}}}"
    )


class Fleet:
    """Hosts in directories, whose processes end with the test."""

    def __init__(self, root: Path, sts: Simulator, bao: Server, prefix: str) -> None:
        self._prefix = prefix
        self._root = root
        self._sts = sts
        self._bao = bao
        self.all: list[Host] = []

    def host(self, name: str) -> Host:
        """Return a host that holds no AWS identity and follows the hubs."""
        host = self._new(name)
        host.source.unlink()
        profiles = "".join(f"  {each}: {{}}\n" for each in ENVIRONMENTS)
        host.config.write_text(
            f"credentials_file:\n  path: {host.credentials}\n"
            f"sources:\n  fleet:\n    vault: {engine(self._bao, host, 'host', self._prefix)}\n"
            f"defaults:\n  source: fleet\n  region: eu-west-1\nprofiles:\n{profiles}"
        )
        return host

    def hub(self, name: str, *, delete_expired: bool = True) -> Host:
        """Return a host that asks STS and publishes."""
        host = self._new(name)
        mapping = engine(self._bao, host, "hub", self._prefix).removesuffix("}")
        more = "" if delete_expired else ", delete_expired: false"
        host.configure(extra=f"vault: {mapping}{more}}}\n")
        return host

    def end(self) -> None:
        """End every process."""
        for host in self.all:
            host.end()

    def _new(self, name: str) -> Host:
        root = self._root / name
        root.mkdir(mode=0o700)
        host = Host(root, self._sts)
        self.all.append(host)
        return host


class Reader:
    """Reads a host's file all the time, as botocore does, and keeps what it found."""

    def __init__(self, host: Host) -> None:
        self._path = host.credentials
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.reads = self.torn = 0
        self.least: dict[str, float] = {}
        self.expirations: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def backwards(self) -> int:
        """How often older credentials came after newer ones."""
        return sum(
            later < earlier
            for moments in self.expirations.values()
            for earlier, later in itertools.pairwise(moments)
        )

    def _run(self) -> None:
        while not self._end.wait(0.02):
            try:
                sections = botocore.configloader.raw_config_parse(str(self._path))
            except botocore.exceptions.BotoCoreError:
                self.torn += 1
                continue
            self.reads += 1
            self.torn += set(sections) != set(ENVIRONMENTS)
            now = time.time()  # noqa: TID251 - a real reader
            for name, values in sections.items():
                expires = datetime.fromisoformat(values["x_security_token_expires"]).timestamp()
                self.least[name] = min(self.least.get(name, 1e9), expires - now)
                seen = self.expirations.setdefault(name, [])
                if not seen or seen[-1] != expires:
                    seen.append(expires)


def keys(host: Host) -> set[str]:
    """Return the access key ids in a host's file."""
    return {section["aws_access_key_id"] for section in host.sections().values()}


def left(host: Host, name: str) -> float:
    """Return the seconds of life that a reader of a host's file finds now."""
    expires = datetime.fromisoformat(host.sections()[name]["x_security_token_expires"])
    return expires.timestamp() - time.time()  # noqa: TID251 - a real reader


def calls(sts: Simulator) -> int:
    """Return how often a role was assumed."""
    return sts.count("AssumeRole")


def follow(host: Host) -> Running:
    """Start a daemon and wait until all is published."""
    running = host.start("run")
    running.wait_for("daemon_ready")
    return running
