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


class Home:
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


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Iterator[Home]:
    tmp_path.chmod(0o700)
    home = Home(tmp_path)
    yield home
    home.endpoint.close()
    home.metrics.close()


def test_a_profile_in_two_groups_is_given_for_the_token_of_either(home: Home) -> None:
    """Each has a file of its own, and none is the other's."""
    chance = iter(range(256))
    home.endpoint = Endpoint("test", home.log, lambda size: bytes([next(chance)]) * size)
    home.open(home.serving(release=["production"], audit=["production"]))
    home.endpoint.update({"production": Publication(profile(), grant(profile(), home.clock()))})
    tokens = [(home.directory / "tokens" / name).read_text() for name in ("release", "audit")]

    assert 2 == len(set(tokens))
    assert [200, 200] == [home.get("/credentials/production", token)[0] for token in tokens]


def test_while_its_directory_is_broken_a_token_opens_what_it_may_open_now(home: Home) -> None:
    """A reload that takes a profile from it counts at once; what it opens still, it goes on to."""
    home.open(home.serving(deploy=["production", "dev"]))
    for one in (profile(), profile("dev")):
        home.endpoint.update({one.name: Publication(one, grant(one, home.clock()))})
    token = (home.directory / "tokens" / "deploy").read_text()
    (home.directory / "tokens").chmod(0o777)

    home.reload(home.serving(deploy=["production"]))

    assert ["publish_failed"] == home.log.names()
    assert 200 == home.get("/credentials/production", token)[0]
    assert 401 == home.get("/credentials/dev", token)[0]


@pytest.mark.parametrize("part", ["endpoint", "metrics"])
def test_a_port_that_was_taken_is_listened_at_once_it_is_free(home: Home, part: str) -> None:
    """Within half a minute; that it was not to be had is told once."""
    address = TcpAddress("127.0.0.1", home.port)
    wanted = home.serving() if part == "endpoint" else home.measuring(listen=address)
    with socket.create_server(("127.0.0.1", home.port)):
        home.open(wanted)
        for _ in range(3):
            home.turn(after=AGAIN)
    assert ["listen_failed"] == home.log.names()

    home.turn(after=AGAIN)

    assert ["listen_failed", "listen_recovered"] == home.log.names()
    assert home.get("/readyz")[0] in {401, 503}


def test_a_reload_changes_the_mode_of_the_textfile(home: Home) -> None:
    """The file stays where it is, and is what the configuration says."""
    path = home.directory / "credfresh.prom"
    home.open(home.measuring(textfile=str(path), textfile_mode=0o640))
    wait_until(path.exists, "the file")

    home.reload(home.measuring(textfile=str(path), textfile_mode=0o600))

    wait_until(lambda: 0o600 == stat.S_IMODE(path.stat().st_mode), "the mode")


def test_publishes_are_counted_by_result(home: Home) -> None:
    """One place at a time: some are written while others are refused."""
    home.open(home.measuring(listen=TcpAddress("127.0.0.1", home.port)))
    full = PublishError("/a: full", path="/a", step="write", code="ENOSPC", hint=None)
    wrote, same = PublishReport(written=True), PublishReport(written=False)

    home.desk.published(Published({"/a": full, "/b": wrote, "/c": wrote, "/d": same}, {}, 0.1))
    home.desk.published(Published({"/a": full, "/b": full}, {}, 0.1))

    text = home.get("/metrics")[1]
    for result, count in (("failed", 3), ("written", 2), ("unchanged", 1)):
        assert f'credfresh_file_writes_total{{result="{result}"}} {count}.0\n' in text
