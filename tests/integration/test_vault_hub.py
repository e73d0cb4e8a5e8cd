"""What a hub does with an engine that is slow, fails in part, or holds what it did not mean."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bao import ShiftedClock
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.life.admission import Lane
from credfresh.life.desk import Desk, Errand
from credfresh.life.entry import Entry, Phase
from credfresh.model import Grant, SessionCredentials
from credfresh.principals import TokenFileLogin, VaultEngine
from credfresh.publication import Publication
from credfresh.settings import Profile
from credfresh.vault import lease
from credfresh.vault.backlog import Backlog
from credfresh.vault.engine import ConflictError, Engine, Engines
from credfresh.vault.hub import Hub, HubProvider
from credfresh.vault.leadership import Leadership
from credfresh.vault.mirror import Mirror
from credfresh.vault.provider import VaultProvider
from credfresh.vault.secret import Version
from fakes import EventLog, grant, profile
from host import wait_until

clock = ShiftedClock()
NOTHING: Mapping[str, Publication | None] = {}


class Memory(Engine):
    """An engine in memory. Each call takes `slow` seconds of `clock`; `first` sees each write."""

    def __init__(
        self, own: ShiftedClock = clock, *, slow: float = 0.0, first: Callable[[str], object] = str
    ) -> None:
        super().__init__(VaultEngine("http://memory", TokenFileLogin("/")), clock=own, salt="x")
        self.stands: dict[str, Version] = {}
        self.lifetimes: dict[str, float | None] = {}
        self.first = first
        self._own, self._slow = own, slow
        self._wrote = threading.Condition()

    def read(self, name: str) -> Version:
        self._own.boot += self._slow
        return self.stands.get(name, Version(0, None))

    def write(self, name: str, document: Mapping[str, object], cas: int) -> int:
        self.first(name)
        self._own.boot += self._slow
        with self._wrote:
            self.stands[name] = Version(cas + 1, document)
            self._wrote.notify()
        return cas + 1

    def describe(
        self, name: str, *, lifetime: float | None = None, about: Mapping[str, str] | None = None
    ) -> None:
        del about
        self._own.boot += self._slow
        self.lifetimes[name] = lifetime

    def has(self, *names: str) -> bool:
        """Wait until all of these stand there."""
        with self._wrote:
            return self._wrote.wait_for(lambda: self.stands.keys() >= set(names), timeout=30)


def renewed(*names: str) -> dict[str, Publication | None]:
    """Return what a hub has just renewed."""
    return {name: Publication(profile(name), grant(profile(name), clock())) for name in names}


class Roster:
    """Stands for a supervisor: some profiles, and which of them it is told to renew."""

    def __init__(self, *entries: Entry) -> None:
        self.roster = entries
        self.renewed: list[str] = []

    def renew(self, name: str) -> None:
        self.renewed.append(name)


class Sts:
    """Grants whatever it is asked for."""

    def obtain(
        self,
        profile: Profile,
        parent: SessionCredentials | None,
        waits: Callable[[Scope], None],
    ) -> Grant:
        del parent, waits
        return grant(profile, clock(), key="ASIAOFITSOWN00000000")


class Revoked:
    """Has keys that STS does not take any more."""

    def obtain(
        self,
        profile: Profile,
        parent: SessionCredentials | None,
        waits: Callable[[Scope], None],
    ) -> Grant:
        del profile, parent, waits
        raise RenewalError(
            "revoked", code="InvalidClientTokenId", mend=Mend.HUMAN, scope=Scope.SOURCE
        )


def renewed_by(hub: Hub, engine: Engine, asked: Profile) -> str:
    """Return the key id that a profile of this hub gets."""
    follow = VaultProvider({}, Engines(clock=clock, salt="x"), clock=clock, salt="x")
    provider = HubProvider(hub, engine, Sts(), follow)
    return provider.obtain(asked, None, lambda _: None).credentials.access_key_id


def leading(engine: Engine, own: ShiftedClock = clock) -> Hub:
    """Return a hub that leads."""
    hub = Hub(engine, name="a", clock=own, roll=lambda: 0.0, emit=EventLog(), patience=30.0)
    hub.open(cast("Desk", None))
    assert hub.leads
    return hub


@pytest.mark.timeout(60)
def test_a_profile_that_the_engine_refuses_keeps_no_other_waiting() -> None:
    """A policy that does not permit one path is a human's to mend; the others go out meanwhile."""

    def refuse(name: str) -> None:
        if name in {"a", "b"}:
            raise RenewalError("no", code="EngineForbidden", mend=Mend.HUMAN)

    engine = Memory(first=refuse)
    hub = leading(engine)
    hub.update(renewed("a", "b", "c", "d"))
    assert engine.has("c", "d")
    hub.close()

    assert {lease.RECORD, "c", "d"} == engine.stands.keys()


@pytest.mark.timeout(60)
def test_a_renewal_just_before_the_end_is_published() -> None:
    """`once` ends as soon as the files are written: the engine may have had only the first."""

    def end(name: str) -> None:
        if name == "a":
            hub.update(renewed("b"))
            threading.Thread(target=hub.close).start()
            hub._ending.wait(30)

    engine = Memory(first=end)
    hub = leading(engine)
    hub.update(renewed("a"))

    assert engine.has("a", "b")


@pytest.mark.timeout(60)
def test_a_hub_with_much_to_publish_keeps_its_lease() -> None:
    """A first publication of all may take minutes; another hub would take the lead meanwhile."""
    held: list[bool] = []

    def look(name: str) -> None:
        if name == lease.RECORD and engine.stands:
            held.append(hub.leads)

    own = ShiftedClock()
    engine = Memory(own, slow=0.5, first=look)
    hub = leading(engine, own)
    names = [f"p{number}" for number in range(30)]
    hub.update(renewed(*names))
    assert engine.has(*names)
    led = list(held)
    hub.close()

    assert led
    assert all(led)


@pytest.mark.timeout(60)
def test_a_hub_that_cannot_learn_who_leads_asks_sts_for_its_own_files() -> None:
    """A node that has lost the others serves what it has, of which nothing is ever renewed."""

    def refuse(name: str) -> None:
        if name == lease.RECORD:
            raise RenewalError("gone", code="EngineUnreachable", mend=Mend.TIME)

    log = EventLog()
    engine = Memory(first=refuse)
    hub = Hub(engine, name="a", clock=clock, roll=lambda: 0.0, emit=log, patience=30.0)
    hub.open(cast("Desk", None))

    assert ["engine_failed"] == log.names()
    assert "ASIAOFITSOWN00000000" == renewed_by(hub, engine, profile())
    hub.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "change",
    [
        {"role_arn": "arn:aws:iam::111111111111:role/moved"},
        {"policy": '{"Version":"2012-10-17","Statement":[]}'},
        {"policy_arns": ("arn:aws:iam::aws:policy/ReadOnlyAccess",)},
        {"session_tags": (("team", "release"),)},
        {"transitive_tag_keys": ("team",)},
        {"source_identity": "ci"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_hub_that_follows_takes_no_credentials_with_other_permissions(
    change: dict[str, Any],
) -> None:
    """One of two hubs has been given another role or policy: the other has not yet."""
    engine = Memory()
    other = leading(engine)
    Mirror(engine, writer="a", clock=clock).publish("production", *renewed("production").values())
    hub = Hub(engine, name="b", clock=clock, roll=lambda: 0.0, emit=EventLog(), patience=30.0)
    hub.open(cast("Desk", None))

    assert "ASIAOFITSOWN00000000" == renewed_by(hub, engine, replace(profile(), **change))
    hub.close()
    other.close()


@pytest.mark.timeout(60)
def test_a_hub_that_follows_takes_what_another_host_asked_for_under_its_own_name() -> None:
    """Session names have the host's name in them, and durations may differ."""
    engine = Memory()
    other = leading(engine)
    Mirror(engine, writer="a", clock=clock).publish("production", *renewed("production").values())
    hub = Hub(engine, name="b", clock=clock, roll=lambda: 0.0, emit=EventLog(), patience=30.0)
    hub.open(cast("Desk", None))
    own = replace(profile(), role_session_name="credfresh-b-production", duration=900)

    assert "ASIAOFITSOWN00000000" != renewed_by(hub, engine, own)
    hub.close()
    other.close()


def test_a_hub_does_not_publish_as_its_new_role_what_the_old_one_was_granted() -> None:
    """A reload gave the profile another role; until that is renewed the old secret stands."""
    engine = Memory()
    mirror = Mirror(engine, writer="a", clock=clock)
    old = grant(profile(), clock())
    mirror.publish("production", Publication(profile(), old))
    stood = engine.read("production")
    moved = replace(profile(), role_arn="arn:aws:iam::111111111111:role/moved")
    mirror.publish("production", Publication(moved, old))

    assert stood == engine.read("production")


@pytest.mark.timeout(60)
def test_a_hub_that_comes_to_lead_renews_what_no_hub_did_and_nothing_else() -> None:
    """What fails for want of a leader, at once; what is well has its time."""
    entries = [entry(name) for name in ("well", "failing", "withdrawn")]
    for each in entries[1:]:
        each.failures = 1
    entries[2].phase = Phase.WITHDRAWN
    supervisor, errands = Roster(*entries), list[Errand]()
    desk = SimpleNamespace(supervisor=supervisor, post=errands.append)
    hub = Hub(Memory(), name="a", clock=clock, roll=lambda: 0.0, emit=EventLog(), patience=30.0)
    hub.open(cast("Desk", desk))
    hub.close()
    for errand in errands:
        errand.run()

    assert ["failing"] == supervisor.renewed


def failing(
    engine: Engine, log: EventLog, published: Mapping[str, Publication | None] = NOTHING
) -> Hub:
    """Return a hub that leads, publishes, and has just failed for want of keys."""
    hub = Hub(engine, name="a", clock=clock, roll=lambda: 0.0, emit=log, patience=30.0)
    hub.open(cast("Desk", SimpleNamespace(supervisor=Roster(), post=lambda errand: errand.run())))
    hub.update(published)
    if published:
        wait_until(lambda: "engine_failed" in log.names(), "the engine to refuse")
    provider = HubProvider(hub, engine, Revoked(), cast("VaultProvider", None))
    with pytest.raises(RenewalError, match="revoked"):
        provider.obtain(profile(), None, lambda _: None)
    return hub


def test_answers_to_a_hub_that_follows_prove_nothing_of_its_source() -> None:
    """Its keys may be revoked: neither credentials of another hub nor their lack prove them."""
    engine = Memory()
    hub = Hub(engine, name="b", clock=clock, roll=lambda: 0.0, emit=EventLog())
    Mirror(engine, writer="a", clock=clock).publish(
        "production", renewed("production")["production"]
    )
    follow = VaultProvider({}, Engines(clock=clock, salt="x"), clock=clock, salt="x")
    provider = HubProvider(hub, engine, Revoked(), follow)

    assert provider.obtain(profile(), None, lambda _: None).from_another_hub
    with pytest.raises(RenewalError) as caught:
        provider.obtain(profile("audit"), None, lambda _: None)
    assert ("NoSuchSecret", Scope.NONE) == (caught.value.code, caught.value.scope)


@pytest.mark.timeout(60)
def test_a_leader_that_can_renew_nothing_lets_another_hub_lead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its keys may be revoked while those of the other hub work."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr("credfresh.vault.hub.ASIDE", 600)
    monkeypatch.setattr("credfresh.vault.fitness.PATIENCE", 0.0)
    log, engine = EventLog(), Memory()
    hub = failing(engine, log)
    other = Hub(engine, name="b", clock=clock, roll=lambda: 0.0, emit=EventLog(), patience=30.0)
    other.open(cast("Desk", SimpleNamespace(supervisor=Roster(), post=lambda errand: errand.run())))

    wait_until(lambda: other.leads, "the other hub to lead")
    assert not hub.leads
    hub.close()
    other.close()
    assert ["hub_leads", "hub_stands_down", "hub_follows"] == log.names()


@pytest.mark.timeout(60)
def test_a_hub_that_has_stood_down_calls_no_engine_recovered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not ask the engine meanwhile, which may refuse its secrets as before."""
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr("credfresh.vault.hub.ASIDE", 10)
    monkeypatch.setattr("credfresh.vault.fitness.PATIENCE", 0.0)

    def refuse(name: str) -> None:
        if name == "a":
            raise RenewalError("no", code="EngineForbidden", mend=Mend.HUMAN)

    log = EventLog()
    hub = failing(Memory(first=refuse), log, renewed("a"))

    wait_until(lambda: len(log.of("hub_leads")) > 1, "the hub to lead again")
    hub.close()
    between = log.names()[: log.names().index("hub_leads", 1)]
    assert "engine_recovered" not in between[between.index("hub_follows") :]


@pytest.mark.timeout(60)
def test_a_hub_that_stands_down_leads_again_if_no_other_takes_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It must not wait for others that do not exist, and renews at once what has failed."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr("credfresh.vault.fitness.PATIENCE", 0.0)
    log = EventLog()
    hub = failing(Memory(), log)

    wait_until(lambda: len(log.of("hub_leads")) > 1, "the hub to lead again")
    hub.close()
    assert ["hub_leads", "hub_stands_down", "hub_follows", "hub_leads"] == log.names()[:4]


def entry(name: str) -> Entry:
    """Return a profile of a hub."""
    return Entry(profile(name), Lane("sts", "default"), clock())


def test_a_hub_whose_lease_another_one_has_taken_leads_no_more() -> None:
    """Its next write finds a record that it has not seen."""
    first = Leadership(engine := Memory(), "a", clock=clock, emit=(log := EventLog()))
    assert first.look()

    def conflict(_: str) -> None:
        raise ConflictError

    engine.first = conflict
    assert not first.look()
    assert not first.leads
    assert ["hub_leads", "hub_follows"] == log.names()


def test_credentials_of_another_engine_make_no_hub_late() -> None:
    """A reload may name another source: what stands there is better than what is not wanted."""
    follow = VaultProvider({}, Engines(clock=clock, salt="x"), clock=clock, salt="x")
    for ago, key in ((0.0, "ASIANEWER00000000000"), (1900.0, "ASIALATE000000000000")):
        engine = Memory()
        published = Publication(profile(), grant(profile(), clock() + -ago, key=key))
        Mirror(engine, writer="a", clock=clock).publish("production", published)
        assert key == follow.follow(engine, profile()).credentials.access_key_id


def test_a_renewal_during_its_own_publication_waits_again() -> None:
    """The older of the two has gone out; the newer has not."""
    backlog = Backlog()
    backlog.note(renewed("a"))
    [(name, older)] = backlog.waiting()
    newer = renewed("a")
    backlog.note(newer)
    backlog.done(name, older)

    assert list(newer.items()) == backlog.waiting()


def test_expired_credentials_are_not_published_in_the_engine() -> None:
    """They waited for the engine for longer than they lived."""
    engine = Memory()
    old = grant(profile(), clock() + -3601.0)
    Mirror(engine, writer="a", clock=clock).publish("production", Publication(profile(), old))

    assert {} == engine.stands


@pytest.mark.parametrize("delete_expired", [True, False])
def test_versions_are_deleted_at_expiration_unless_configured_otherwise(
    *, delete_expired: bool
) -> None:
    """An agent that takes those which will be deleted for deleted ones needs it so."""
    engine = Memory()
    engine.where = replace(engine.where, delete_expired=delete_expired)
    Mirror(engine, writer="a", clock=clock).publish("production", *renewed("production").values())

    assert delete_expired == (engine.lifetimes["production"] is not None)
