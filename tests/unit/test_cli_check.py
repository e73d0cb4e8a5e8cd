"""The least life of credentials that `check` promises for a profile."""

from __future__ import annotations

from dataclasses import replace

from credfresh.cli.check import guarantee_of
from credfresh.model import Upstream
from credfresh.principals import TokenFileLogin, VaultEngine, VaultSource
from fakes import FakeClock, failure, grant, profile, settings

HUB = VaultSource(VaultEngine("https://bao.example.com:8200", TokenFileLogin("/t")))
FOLLOWER = replace(profile(source="hub"), duration=43_200)
HOST = replace(settings(FOLLOWER), sources={"hub": HUB})


def test_a_follower_has_no_guarantee_before_the_hub_was_asked() -> None:
    """The hub decides how long a session lasts."""
    assert guarantee_of(FOLLOWER, HOST, None) is None


def test_a_follower_is_guaranteed_the_life_left_after_the_hub_renews() -> None:
    """It is the life that is left when the host asks, soon after the hub renews."""
    given = replace(grant(FOLLOWER, FakeClock()()), upstream=Upstream(1700.0, "host"))

    least = guarantee_of(FOLLOWER, HOST, given)

    assert least is not None
    assert 1800 < least < 1900


def test_the_guarantee_follows_from_what_was_configured_or_granted() -> None:
    """The shorter of the two counts; a profile that was refused is promised nothing."""
    own = profile()
    short = grant(own, FakeClock()(), lifetime=900.0)

    assert 1800.0 == guarantee_of(own, settings(own), None)
    assert 450.0 == guarantee_of(own, settings(own), short)
    assert guarantee_of(own, settings(own), failure()) is None
