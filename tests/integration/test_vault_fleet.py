"""Publishing, following and leading on a real OpenBao server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bao import MOUNT, PREFIX, Bao, ShiftedClock
from credfresh.errors import RenewalError
from credfresh.model import Clock, Grant
from credfresh.principals import TokenFileLogin, VaultEngine
from credfresh.publication import Publication
from credfresh.settings import Profile
from credfresh.vault.engine import Engine, Engines
from credfresh.vault.leadership import Leadership
from credfresh.vault.mirror import Mirror
from credfresh.vault.provider import VaultProvider
from credfresh.vault.secret import decoded
from fakes import EventLog, grant, profile

clock = ShiftedClock()


@pytest.fixture(name="bao", scope="module")
def _bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    server = Bao(tmp_path_factory.mktemp("bao"))
    yield server
    server.end()


@pytest.fixture(name="prefix")
def _prefix(request: pytest.FixtureRequest) -> str:
    return f"{PREFIX}/{request.node.name[:40].replace('[', '-').replace(']', '')}"


@pytest.fixture(name="hub")
def _hub(bao: Bao, tmp_path: Path, prefix: str) -> Engine:
    return bao.engine(bao.logged_in("hub", tmp_path), clock, prefix=prefix)


def host(bao: Bao, tmp_path: Path, prefix: str, clock: Clock = clock) -> VaultProvider:
    """Return the provider of a host that may only read."""
    where = VaultEngine(
        bao.address,
        bao.logged_in("host", tmp_path),
        mount=MOUNT,
        prefix=prefix,
        ca_file=str(bao.certificates.ca),
    )
    engines = Engines(clock=clock, salt="host-1")
    return VaultProvider({"fleet": where}, engines, clock=clock, salt="host-1")


def followed(name: str = "production") -> Profile:
    """Return a profile whose source is the fleet."""
    return profile(name, source="fleet")


def fresh(number: int, *, ago: float = 0.0, name: str = "production") -> Publication:
    """Return what a hub renewed `ago` seconds ago."""
    now = clock()
    given = grant(
        profile(name), type(now)(now.wall - ago, now.boot - ago), key=f"ASIA{number:016d}"
    )
    return Publication(profile(name), given)


def key_of(got: Grant) -> int:
    """Return the number that `fresh` put into the key id."""
    return int(got.credentials.access_key_id.removeprefix("ASIA"))


def test_a_host_gets_what_the_hub_published(
    hub: Engine, bao: Bao, tmp_path: Path, prefix: str
) -> None:
    """Keys, token and expiration arrive, and so does when the hub will renew."""
    Mirror(hub, writer="hub-1", clock=clock).publish("production", fresh(1))

    got = host(bao, tmp_path, prefix).obtain(followed(), None)

    assert 1 == key_of(got)
    assert 3590 < clock().until(got.expires_at) <= 3600
    assert got.upstream is not None
    assert 1500 < got.upstream.renews_after < 1800


def test_the_engine_forgets_credentials_when_they_expire(hub: Engine, bao: Bao) -> None:
    """A version is deleted when its credentials expire, even if it was written late."""
    Mirror(hub, writer="hub-1", clock=clock).publish("production", fresh(1, ago=600.0))

    answer = bao.admin.secrets.kv.v2.read_secret_metadata(
        f"{hub.where.prefix}/production", mount_point=MOUNT
    )["data"]

    assert answer["delete_version_after"] in {"50m0s", *(f"49m{n}s" for n in range(30, 60))}
    assert "hub-1" == answer["custom_metadata"]["writer"]
    assert "fake-secret" not in str(answer)
    assert "fake-token" not in str(answer)


def test_a_host_is_told_that_the_hub_is_late(
    hub: Engine, bao: Bao, tmp_path: Path, prefix: str
) -> None:
    """Known credentials are no renewal; the error says when the hub meant to renew them."""
    Mirror(hub, writer="hub-1", clock=clock).publish("production", fresh(1, ago=1900.0))
    follows = host(bao, tmp_path, prefix)
    follows.obtain(followed(), None)

    with pytest.raises(RenewalError, match="the hub hub-1 meant to renew it at") as caught:
        follows.obtain(followed(), None)

    assert "HubLate" == caught.value.code


@pytest.mark.parametrize("off", [-7200.0, 7200.0])
def test_a_host_whose_clock_is_wrong_goes_by_the_engines(
    hub: Engine, bao: Bao, tmp_path: Path, prefix: str, off: float
) -> None:
    """Slow, it would ask when all has expired; fast, it would take what is good for expired."""
    Mirror(hub, writer="hub-1", clock=clock).publish("production", fresh(1, ago=1200.0))
    own = ShiftedClock()
    own.wall = off

    got = host(bao, tmp_path, prefix, own).obtain(followed(), None)

    assert 2380 < own().until(got.expires_at) <= 2402


def test_a_host_that_asks_early_gets_the_present_credentials(
    hub: Engine, bao: Bao, tmp_path: Path, prefix: str
) -> None:
    """A hub that did not mean to renew yet is not late, and its credentials are returned again."""
    Mirror(hub, writer="hub-1", clock=clock).publish("production", fresh(1))
    follows = host(bao, tmp_path, prefix)
    follows.obtain(followed(), None)

    assert 1 == key_of(follows.obtain(followed(), None))


def test_a_host_without_credentials_takes_valid_ones_of_a_late_hub(
    hub: Engine, bao: Bao, tmp_path: Path, prefix: str
) -> None:
    """Credentials of a late hub are better than none."""
    Mirror(hub, writer="hub-1", clock=clock).publish("production", fresh(1, ago=3000.0))

    assert 1 == key_of(host(bao, tmp_path, prefix).obtain(followed(), None))


def test_a_profile_that_no_hub_has_is_named(bao: Bao, tmp_path: Path, prefix: str) -> None:
    """The error names the path, and says that it does not exist."""
    with pytest.raises(RenewalError, match=f"{prefix}/nobody: does not exist") as caught:
        host(bao, tmp_path, prefix).obtain(followed("nobody"), None)

    assert "NoSuchSecret" == caught.value.code


def test_a_secret_without_our_mark_is_refused(
    hub: Engine, bao: Bao, tmp_path: Path, prefix: str
) -> None:
    """A secret without our mark is refused."""
    hub.write("production", {"AccessKeyId": "AKIA", "password": "x"}, 0)

    with pytest.raises(RenewalError, match="it has no credfresh mark") as caught:
        host(bao, tmp_path, prefix).obtain(followed(), None)

    assert "SecretUnreadable" == caught.value.code


def test_older_credentials_never_go_over_newer_ones(hub: Engine) -> None:
    """A hub that was paused, and has old credentials in hand, changes nothing."""
    paused, other = (Mirror(hub, writer=name, clock=clock) for name in ("paused", "other"))
    paused.publish("production", fresh(1, ago=1200.0))
    other.publish("production", fresh(3))
    paused.publish("production", fresh(2, ago=600.0))

    version = hub.read("production")

    assert version.document is not None
    assert "ASIA0000000000000003" == decoded(version.document).key
    assert 2 == version.number


def test_a_newer_renewal_goes_over_what_another_hub_wrote(hub: Engine) -> None:
    """A conflicting version of another hub is read, and replaced if it is older."""
    first, second = (Mirror(hub, writer=name, clock=clock) for name in ("a", "b"))
    first.publish("production", fresh(1, ago=1200.0))
    second.publish("production", fresh(2, ago=600.0))
    first.publish("production", fresh(3))

    document = hub.read("production").document

    assert document is not None
    assert "ASIA0000000000000003" == decoded(document).key


def test_a_withdrawn_profile_is_gone_from_the_engine(hub: Engine) -> None:
    """All versions of a withdrawn profile and its metadata are deleted."""
    mirror = Mirror(hub, writer="a", clock=clock)
    mirror.publish("production", fresh(1))
    mirror.publish("production", Publication(profile(), withdraw=True))

    assert (0, None) == (hub.read("production").number, hub.read("production").document)
    mirror.publish("production", fresh(2))
    assert 1 == hub.read("production").number


def test_a_grant_that_was_followed_is_not_published_by_a_hub(
    hub: Engine, bao: Bao, tmp_path: Path, prefix: str
) -> None:
    """A grant that was followed is not published by a hub."""
    mirror = Mirror(hub, writer="a", clock=clock)
    mirror.publish("production", fresh(1))
    got = host(bao, tmp_path, prefix).obtain(followed(), None)
    mirror.publish("production", Publication(profile(), got))

    assert 1 == hub.read("production").number


def test_one_of_two_hubs_leads_and_the_other_takes_over(hub: Engine) -> None:
    """One hub leads; the other takes over when its lease ends, and back when it is given back."""
    log = EventLog()
    clocks = ShiftedClock(), ShiftedClock()
    first, second = (
        Leadership(hub, name, clock=own, emit=log)
        for name, own in zip(("a", "b"), clocks, strict=True)
    )

    assert first.look()
    assert not second.look()
    clocks[1].boot += 20
    assert second.look()
    clocks[0].boot += 20
    assert not first.leads
    first.look()
    assert not first.leads
    second.give_back()
    assert first.look()
    assert ["hub_leads", "hub_leads", "hub_follows", "hub_follows", "hub_leads"] == log.names()


def test_a_token_that_cannot_write_cannot_lead(bao: Bao, tmp_path: Path, prefix: str) -> None:
    """A host's token is refused, and the error names the path."""
    token: TokenFileLogin = bao.logged_in("host", tmp_path)
    leadership = Leadership(
        bao.engine(token, clock, prefix=prefix), "x", clock=clock, emit=EventLog()
    )

    with pytest.raises(RenewalError, match=r"not permitted to (write|describe) .*\.lease"):
        leadership.look()
