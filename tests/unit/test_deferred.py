"""A provider that is made when it is first needed, or soon after the start."""

from __future__ import annotations

import threading
import weakref

import pytest

from credfresh.deferred import SOON, Deferred, Soon
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk
from credfresh.model import Grant
from credfresh.renewer import Provider, attempt
from fakes import EventLog, FakeClock, FakeProvider, Unguarded, profile, settings
from host import wait_until
from simulation import Simulation


class Maker:
    """Makes a provider, and counts how often; it can be made to fail."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.made = 0
        self.fails = False
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.log = EventLog()
        self.deferred = Deferred(self.make, self.log)
        self.soon: Soon | None = Soon(self.deferred.prepare)

    def make(self) -> Provider:
        self.asked.set()
        assert self.go_on.wait(10)
        if self.fails:
            raise ImportError("no boto3")
        self.made += 1
        return FakeProvider(self.clock)

    def agenda(self) -> Agenda:
        """Return the agenda of a daemon in which `soon` has just been opened."""
        sim = Simulation(settings(profile()))
        agenda = Agenda()
        assert self.soon is not None
        desk = Desk(sim.settings, sim.supervisor, agenda, self.clock, lambda _: None, Unguarded())
        self.soon.open(desk)
        return agenda


def test_no_provider_is_made_before_it_is_needed() -> None:
    """A command that asks nothing of its provider does not pay for one."""
    assert 0 == Maker().made


def test_a_provider_is_made_once_however_many_ask() -> None:
    """On a cold start all workers ask at once."""
    maker = Maker()
    maker.go_on.clear()
    came: list[Grant | Exception] = []
    asking = [
        threading.Thread(target=lambda: came.append(attempt(maker.deferred, profile(), None)))
        for _ in range(8)
    ]
    for one in asking:
        one.start()
    maker.go_on.set()
    for one in asking:
        one.join(10)

    assert 1 == maker.made
    assert [Grant] * 8 == [type(each) for each in came]


def test_a_provider_is_made_soon_after_the_start_though_nobody_asks() -> None:
    """It does not wait for long: what is installed may be replaced while the daemon runs."""
    maker = Maker()
    agenda = maker.agenda()

    assert SOON == agenda.turn(maker.clock())
    assert not maker.asked.is_set()
    maker.clock.advance(SOON)
    agenda.turn(maker.clock())

    assert maker.asked.wait(10)
    maker.clock.advance(3600)
    maker.asked.clear()
    agenda.turn(maker.clock())
    assert isinstance(attempt(maker.deferred, profile(), None), Grant)
    assert 1 == maker.made


def test_without_a_thread_a_provider_is_made_a_little_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the limit of tasks is reached, the daemon goes on and tries again."""
    maker = Maker()
    agenda = maker.agenda()
    agenda.turn(maker.clock())

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        maker.clock.advance(SOON)
        assert SOON == agenda.turn(maker.clock())
    maker.clock.advance(SOON)
    agenda.turn(maker.clock())

    assert maker.asked.wait(10)


def test_a_provider_that_cannot_be_made_fails_attempts_and_is_tried_again() -> None:
    """The failure is told before anybody needs it; each attempt tries again, and may succeed."""
    maker = Maker()
    maker.fails = True
    agenda = maker.agenda()
    for _ in range(2):
        agenda.turn(maker.clock())
        maker.clock.advance(SOON)
    wait_until(lambda: bool(maker.log.events), "the event")
    failed = attempt(maker.deferred, profile(), None)
    maker.fails = False

    [told] = maker.log.of("provider_unusable")
    assert "ImportError" == told["code"]
    assert "unforeseen ImportError" in str(failed)
    assert isinstance(attempt(maker.deferred, profile(), None), Grant)


def test_a_provider_that_a_reload_has_replaced_is_let_go() -> None:
    """It holds the keys of its sources: the part that made it early must not keep it."""
    maker = Maker()
    agenda = maker.agenda()
    for _ in range(2):
        agenda.turn(maker.clock())
        maker.clock.advance(SOON)
    wait_until(lambda: maker.made == 1, "the provider")
    wait_until(lambda: all(t.name != "credfresh-soon" for t in threading.enumerate()), "its end")
    provider = weakref.ref(maker.deferred)
    maker.deferred = Deferred(maker.make, maker.log)

    assert provider() is None
