"""Endpoint and metrics as parts of the daemon: on real ports, by a main thread that tests turn."""

from __future__ import annotations

import http.client
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from credfresh.endpoint import Endpoint
from credfresh.endpoint.attendant import AGAIN
from credfresh.errors import PublishError
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk
from credfresh.metrics import Metrics
from credfresh.publication import Publication, PublishReport
from credfresh.publisher import Published
from credfresh.settings import (
    EndpointSettings,
    FileTarget,
    MetricsSettings,
    Settings,
    TcpAddress,
    TokenFile,
)
from fakes import EventLog, FakeClock, Unguarded, grant, profile, settings
from host import wait_until
from programs import free_port
from simulation import Simulation


class Harness:
    """A desk, and both attendants at it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = EventLog()
        sim = Simulation(settings(profile()))
        self.clock = FakeClock()
        self.desk = Desk(
            sim.settings,
            sim.supervisor,
            Agenda(),
            self.clock,
            lambda errand: errand.run(),
            Unguarded(),
        )
        self.endpoint = Endpoint("test", self.log, lambda size: bytes(range(size)))
        self.metrics = Metrics(self.log, hostname="build-7")

    def open(self, settings: Settings) -> None:
        """Begin with these settings."""
        self.desk.settings = settings
        self.endpoint.open(self.desk)
        self.metrics.open(self.desk)
        self.turn()

    def reload(self, settings: Settings) -> None:
        """Go over to these."""
        self.desk.settings = settings
        self.desk.reloaded()
        self.turn()

    def turn(self, *, after: float = 0.0) -> None:
        """Let the chores have their turn."""
        self.clock.advance(after)
        self.desk.agenda.turn(self.clock())

    def serving(self, **tokens: list[str]) -> Settings:
        """Return settings with an endpoint and these tokens."""
        where = self.directory / "tokens"
        files = tuple(
            TokenFile(FileTarget(str(where / name)), frozenset(names), ())
            for name, names in tokens.items()
        )
        listen = TcpAddress("127.0.0.1", self.port)
        endpoint = EndpointSettings(listen, FileTarget(str(where)), files)
        return replace(self.desk.settings, endpoint=endpoint)

    def measuring(self, **metrics: object) -> Settings:
        """Return settings with these metrics."""
        changed = replace(MetricsSettings(), **metrics)  # type: ignore[arg-type] # what a test says
        return replace(self.desk.settings, metrics=changed)

    def get(self, path: str, token: str = "") -> tuple[int, str]:
        """Ask whoever listens."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            client.request("GET", path, headers={"Authorization": token})
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        finally:
            client.close()


@pytest.fixture(name="harness")
def _harness(tmp_path: Path) -> Iterator[Harness]:
    tmp_path.chmod(0o700)
    harness = Harness(tmp_path)
    yield harness
    harness.endpoint.close()
    harness.metrics.close()


def test_a_profile_in_two_groups_is_given_for_the_token_of_either(harness: Harness) -> None:
    """Each has a file of its own, and none is the other's."""
    chance = iter(range(256))
    harness.endpoint = Endpoint("test", harness.log, lambda size: bytes([next(chance)]) * size)
    harness.open(harness.serving(release=["production"], audit=["production"]))
    harness.endpoint.update(
        {"production": Publication(profile(), grant(profile(), harness.clock()))}
    )
    tokens = [(harness.directory / "tokens" / name).read_text() for name in ("release", "audit")]

    assert 2 == len(set(tokens))
    assert [200, 200] == [harness.get("/credentials/production", token)[0] for token in tokens]


def test_while_its_directory_is_broken_a_token_opens_what_it_may_open_now(harness: Harness) -> None:
    """A reload that takes a profile from it counts at once; what it opens still, it goes on to."""
    harness.open(harness.serving(deploy=["production", "dev"]))
    for one in (profile(), profile("dev")):
        harness.endpoint.update({one.name: Publication(one, grant(one, harness.clock()))})
    token = (harness.directory / "tokens" / "deploy").read_text()
    (harness.directory / "tokens").chmod(0o777)

    harness.reload(harness.serving(deploy=["production"]))

    assert ["publish_failed"] == harness.log.names()
    assert 200 == harness.get("/credentials/production", token)[0]
    assert 401 == harness.get("/credentials/dev", token)[0]


@pytest.mark.parametrize("part", ["endpoint", "metrics"])
def test_a_port_that_was_taken_is_listened_at_once_it_is_free(harness: Harness, part: str) -> None:
    """Within half a minute; that it was not to be had is told once."""
    address = TcpAddress("127.0.0.1", harness.port)
    wanted = harness.serving() if part == "endpoint" else harness.measuring(listen=address)
    with socket.create_server(("127.0.0.1", harness.port)):
        harness.open(wanted)
        for _ in range(3):
            harness.turn(after=AGAIN)
    assert ["listen_failed"] == harness.log.names()

    harness.turn(after=AGAIN)

    assert ["listen_failed", "listen_recovered"] == harness.log.names()
    assert harness.get("/readyz")[0] in {401, 503}


def test_a_reload_changes_the_mode_of_the_textfile(harness: Harness) -> None:
    """The file stays where it is, and is what the configuration says."""
    path = harness.directory / "credfresh.prom"
    harness.open(harness.measuring(textfile=str(path), textfile_mode=0o640))
    wait_until(path.exists, "the file")

    harness.reload(harness.measuring(textfile=str(path), textfile_mode=0o600))

    wait_until(lambda: 0o600 == stat.S_IMODE(path.stat().st_mode), "the mode")


def test_publishes_are_counted_by_result(harness: Harness) -> None:
    """One place at a time: some are written while others are refused."""
    harness.open(harness.measuring(listen=TcpAddress("127.0.0.1", harness.port)))
    full = PublishError("/a: full", path="/a", step="write", code="ENOSPC", hint=None)
    wrote, same = PublishReport(written=True), PublishReport(written=False)

    harness.desk.published(Published({"/a": full, "/b": wrote, "/c": wrote, "/d": same}, {}, 0.1))
    harness.desk.published(Published({"/a": full, "/b": full}, {}, 0.1))

    text = harness.get("/metrics")[1]
    for result, count in (("failed", 3), ("written", 2), ("unchanged", 1)):
        assert f'credfresh_file_writes_total{{result="{result}"}} {count}.0\n' in text
