"""The lease of several hubs: at most one leads, and another takes over in time."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from credfresh.vault import lease
from credfresh.vault.lease import BEAT, LEASE, Lease, Record, Write


@dataclass
class Engine:
    """A record with check-and-set, as an engine keeps it."""

    version: int = 0
    holder: str | None = None

    def write(self, write: Write) -> int | None:
        """Return the new version; None for a conflict."""
        if write.cas != self.version:
            return None
        self.version += 1
        self.holder = write.holder
        return self.version


@dataclass
class Hub:
    """One hub on its own clock, which may be paused and whose requests may be cut off."""

    lease: Lease
    offset: float
    up: bool = True
    reachable: bool = True
    next_look: float = 0.0
    led: list[float] = field(default_factory=list)

    def step(self, now: float, engine: Engine) -> None:
        """Let a moment pass, and look if it is time to."""
        own = now + self.offset
        if self.up and self.lease.held(own):
            self.led.append(now)
        if not self.up or now < self.next_look:
            return
        self.next_look = now + BEAT
        if self.reachable:
            look(self.lease, engine, own)


def look(own: Lease, engine: Engine, now: float) -> None:
    """Do what `Leadership.look` does, on the record itself."""
    step = own.next(now)
    if step == "read":
        step = own.saw(Record(engine.version, engine.holder), now) or "read"
    if isinstance(step, Write):
        version = engine.write(step)
        if version is None:
            own.lost()
        else:
            own.wrote(version, now)


def test_the_first_hub_leads() -> None:
    """A lease that nobody holds is taken at the first look."""
    engine, own = Engine(), Lease("a")
    look(own, engine, 0.0)

    assert own.held(0.0)
    assert "a" == engine.holder


def test_the_holder_stops_before_the_others_may_start() -> None:
    """A leader that cannot renew stops by its own clock, ahead of the end of the lease."""
    engine, first, second = Engine(), Lease("a"), Lease("b")
    look(first, engine, 0.0)
    look(second, engine, 1000.0)

    assert first.held(LEASE * 0.79)
    assert not first.held(LEASE * 0.8)
    assert not second.held(1000.0)
    look(second, engine, 1000.0 + LEASE - 0.1)
    assert not second.held(1000.0 + LEASE)
    look(second, engine, 1000.0 + LEASE)
    assert second.held(1000.0 + LEASE)


def test_a_leader_whose_write_is_refused_leads_no_more() -> None:
    """Somebody else has written the record, in whatever way, and so leads."""
    engine, own = Engine(), Lease("a")
    look(own, engine, 0.0)
    engine.write(Write(engine.version, "b"))
    look(own, engine, BEAT)

    assert not own.held(BEAT)
    assert "b" == engine.holder


def test_a_lease_that_is_renewed_is_never_taken() -> None:
    """As long as the record changes, the others wait."""
    engine, first, second = Engine(), Lease("a"), Lease("b")
    for beat in range(100):
        look(first, engine, beat * BEAT)
        look(second, engine, beat * BEAT + 1.0)

    assert first.held(99 * BEAT)
    assert "a" == engine.holder


def test_a_lease_that_was_given_back_is_taken_at_once() -> None:
    """A hub that stops cleanly lets another one lead without waiting."""
    engine, first, second = Engine(), Lease("a"), Lease("b")
    look(first, engine, 0.0)
    write = first.give_back(1.0)
    assert write is not None
    engine.write(write)
    look(second, engine, 2.0)

    assert not first.held(1.0)
    assert second.held(2.0)


def test_a_paused_leader_learns_from_the_record_that_another_leads() -> None:
    """A paused leader does not believe in its lease, and its write is fenced off."""
    engine, first, second = Engine(), Lease("a"), Lease("b")
    look(first, engine, 0.0)
    look(second, engine, 1.0)
    look(second, engine, 1.0 + LEASE)
    assert not first.held(60.0)
    look(first, engine, 60.0)

    assert not first.held(60.0)
    assert "b" == engine.holder


def test_a_record_names_its_holder_and_one_of_unknown_form_has_none() -> None:
    """A record of an unknown form has no holder."""
    assert Record(3, "a") == lease.decoded(3, lease.encoded("a"))
    assert Record(4, None) == lease.decoded(4, lease.encoded(None))
    assert Record(5, None) == lease.decoded(5, {"other": 1})
    assert Record(0, None) == lease.decoded(0, None)


@settings(max_examples=60, deadline=None)
@given(
    offsets=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    faults=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["pause", "cut", "mend"]), st.integers(1, 40)),
        max_size=12,
    ),
)
def test_two_hubs_never_lead_at_once_and_one_soon_does(
    offsets: tuple[float, float, float], faults: list[tuple[int, str, int]]
) -> None:
    """Hubs are paused or cut off, on any clocks: never do two lead, and soon one does."""
    engine = Engine()
    hubs = [Hub(Lease(f"hub{i}"), offset) for i, offset in enumerate(offsets)]
    now, step = 0.0, 0.5
    for which, fault, seconds in [*faults, (0, "mend", 40), (1, "mend", 40), (2, "mend", 40)]:
        hubs[which].up = fault != "pause"
        hubs[which].reachable = fault != "cut"
        for _ in range(int(seconds / step)):
            now += step
            for hub in hubs:
                hub.step(now, engine)
            assert sum(bool(h.led and h.led[-1] == now) for h in hubs) <= 1
    assert any(hub.led and hub.led[-1] > now - 30 for hub in hubs)
