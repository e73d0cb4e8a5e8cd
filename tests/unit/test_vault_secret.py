"""What a hub publishes, and what a host makes of it."""

from __future__ import annotations

import json

import pytest

from credfresh import policy
from credfresh.model import Grant, Instant
from credfresh.settings import RenewBefore
from credfresh.vault import secret
from credfresh.vault.secret import Secret
from fakes import EPOCH, grant, profile

NOW = Instant(EPOCH + 600.0, 5000.0)


def published(*, lifetime: float = 3600.0, key: str = "ASIAFAKE000000000000") -> Secret:
    """Return what a hub publishes for a grant that it asked for at EPOCH."""
    given = grant(profile(), Instant(EPOCH, 1000.0), lifetime=lifetime, key=key)
    return secret.of_grant(given, profile(), renews_after=lifetime * 0.45, writer="hub-1")


def test_a_secret_is_decoded_as_it_was_encoded() -> None:
    """What is decoded equals what was encoded."""
    one = published()

    assert one == secret.decoded(json.loads(json.dumps(secret.encoded(one))))


def test_a_mark_that_does_not_say_its_permissions_has_none_that_anybody_asks_for() -> None:
    """Another version wrote it: a hub that follows asks STS instead."""
    document = json.loads(json.dumps(secret.encoded(published())))
    del document[secret.MARK]["permissions"]

    assert secret.decoded(document).permissions != profile().permissions


def test_the_document_is_the_json_of_credential_process() -> None:
    """Any template can pass it on: Version is a number, Expiration ends in Z."""
    document = secret.encoded(published())

    assert {"Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"} == set(
        document
    ) - {secret.MARK}
    assert 1 == document["Version"]
    assert str(document["Expiration"]).endswith("Z")


def test_the_metadata_of_a_secret_has_no_key_and_no_token() -> None:
    """Whoever may list secrets can read their metadata, which has no key and no token."""
    text = json.dumps(secret.described(published()))

    assert "fake-secret" not in text
    assert "fake-token" not in text
    assert "hub-1" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({secret.MARK: None}, "it has no credfresh mark"),
        ({secret.MARK: {"v": 2}}, "its credfresh mark is of another version"),
        ({"AccessKeyId": ""}, "its AccessKeyId is no text"),
        ({"SessionToken": 7}, "its SessionToken is no text"),
        ({"Expiration": "tomorrow"}, "its Expiration is no time"),
        ({"Expiration": "2101-01-01T00:00:00"}, "its Expiration has no zone"),
        ({"Expiration": "2001-01-01T00:00:00Z"}, "its Expiration is not after its issue"),
    ],
)
def test_a_foreign_document_is_refused_with_the_name_of_the_field(
    change: dict[str, object], said: str
) -> None:
    """The message names the field and repeats no value."""
    document = secret.encoded(published()) | change

    with pytest.raises(ValueError, match=said) as caught:
        secret.decoded(document)

    assert "fake-secret" not in str(caught.value)


def test_the_clock_of_sts_orders_hubs_whose_own_clocks_differ() -> None:
    """A hub whose clock is an hour ahead gives the same credentials the same time of issue."""
    ahead = grant(
        profile(), Instant(EPOCH + 3600, 1.0), lifetime=3600.0, key="ASIAAHEAD00000000000"
    )
    shifted = Grant(
        credentials=published().credentials,
        sent_at=ahead.sent_at,
        lifetime=3600.0,
        asked=3600.0,
        request="r",
    )
    one = secret.of_grant(shifted, profile(), renews_after=1.0, writer="ahead")

    assert published().issued == one.issued


def test_the_later_issue_is_the_newer() -> None:
    """Credentials are not newer than themselves, nor old ones newer than later ones."""
    old, new = published(), published(lifetime=3600.0, key="ASIANEW00000000000000")
    later = secret.of_grant(
        grant(profile(), Instant(EPOCH + 60, 1.0), key="ASIALATER000000000000"),
        profile(),
        renews_after=1.0,
        writer="w",
    )

    assert not old.newer_than(old)
    assert new.newer_than(old)
    assert later.newer_than(old)
    assert not old.newer_than(later)


def test_a_host_counts_from_when_the_hub_asked() -> None:
    """Ten minutes after the issue fifty are left, on both clocks."""
    got = published().grant(NOW, NOW.wall, request="r", salt="host-1")

    assert 3000.0 == NOW.until(got.expires_at)
    assert 3600.0 == got.lifetime == got.asked


def test_a_host_whose_clock_is_behind_counts_from_now() -> None:
    """What was issued in its future has been issued by now."""
    behind = Instant(EPOCH - 600.0, 5000.0)

    assert behind == published().grant(behind, behind.wall, request="r", salt="host-1").sent_at


def test_hosts_ask_soon_after_the_hub_renews_each_at_its_own_moment() -> None:
    """Followers of one secret spread: each asks at its own moment, soon after the hub renews."""
    one = published()
    hub = one.renews
    moments = {
        policy.plan(
            one.grant(NOW, NOW.wall, request="r", salt=host), RenewBefore(), rhythm
        ).renew_at.wall
        for host in (f"host-{n}" for n in range(200))
        for rhythm in [policy.rhythm(host, shortest=3600, busy=0.001)]
    }

    assert 190 < len(moments)
    assert hub + 0.0025 * 3600 <= min(moments)
    assert max(moments) <= hub + 0.017 * 3600


def test_a_host_keeps_the_promise_of_renew_before() -> None:
    """A hub's jitter exceeds any host's delay, so a host's readers find half a life as well."""
    for n in range(300):
        given = grant(profile(), Instant(EPOCH, 1000.0), key=f"ASIA{n:016d}")
        plan = policy.plan(given, RenewBefore())
        one = secret.of_grant(
            given,
            profile(),
            renews_after=plan.renew_at.boot - given.sent_at.boot,
            writer="w",
        )
        host = policy.plan(one.grant(NOW, NOW.wall, request="r", salt=f"h{n}"), RenewBefore())
        assert host.renew_before >= 1800.0
