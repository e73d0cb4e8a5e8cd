"""The arguments of AssumeRole, and what is made of its answer."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

import fakes
from credfresh.errors import RenewalError
from credfresh.model import Instant, SessionCredentials
from credfresh.settings import Profile
from credfresh.sts.assume import MOST_OVER, arguments, granted, server_time
from credfresh.sts.keys import SourceKeys

SENT = Instant(1_800_000_000.0, 1000.0)
PROFILE = fakes.profile()


def answer(expiration: float, date: str | None = None, **changes: object) -> dict[str, Any]:
    """Return an answer as the SDK gives it."""
    given = {
        "AccessKeyId": "ASIA",
        "SecretAccessKey": "secret",
        "SessionToken": "token",
        "Expiration": datetime.fromtimestamp(expiration, UTC),
        **changes,
    }
    headers = {} if date is None else {"date": date}
    return {"Credentials": given, "ResponseMetadata": {"HTTPHeaders": headers}}


def test_the_lifetime_is_expiration_minus_date() -> None:
    """Both are of the server's clock; the lifetime counts from when the request left."""
    # 1_800_000_000 is Fri, 15 Jan 2027 08:00:00 GMT
    got = granted(answer(SENT.wall + 7800, "Fri, 15 Jan 2027 09:10:02 GMT"), PROFILE, SENT, 4.0)
    assert 7800 - 4202 == got.lifetime
    assert 4202 - 2.0 == got.skew
    assert SENT + (7800 - 4202) == got.expires_at
    assert PROFILE.request == got.request


@pytest.mark.parametrize("date", [None, "", "yesterday", "Fri, 99 Jan 2027 09:00:00 GMT"])
def test_without_a_readable_date_the_local_clock_must_do(date: str | None) -> None:
    """The wall clock at sending is used, and no skew is claimed."""
    got = granted(answer(SENT.wall + 1800, date), PROFILE, SENT, 0.0)
    assert (1800.0, None) == (got.lifetime, got.skew)


@pytest.mark.parametrize("zone", ["GMT", "-0000", ""])
def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """The zone of this host does not matter."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        read = server_time(answer(SENT.wall, f"Fri, 15 Jan 2027 08:00:00 {zone}"))
    time.tzset()
    assert 1_800_000_000.0 == read


def test_a_date_that_is_hours_behind_lets_nothing_expire() -> None:
    """A proxy's clock may be wrong; readers are told the expiration that was granted."""
    got = granted(answer(SENT.wall + 3600, "Fri, 15 Jan 2027 05:00:00 GMT"), PROFILE, SENT, 0.0)
    assert (3605.0, -10800.0) == (got.lifetime, got.skew)
    assert SENT.wall + 3600 == got.credentials.expiration


@given(st.floats(-1e6, 1e6))
def test_a_grant_is_positive_and_bounded_by_what_was_asked(after: float) -> None:
    """The lifetime is in (0, asked + 5 s], or the expiration is refused as past."""
    if after > 0.001:
        got = granted(answer(SENT.wall + after), PROFILE, SENT, 0.0)
        assert 0 < got.lifetime <= PROFILE.duration + MOST_OVER
    elif after < 0:
        with pytest.raises(RenewalError, match="expired"):
            granted(answer(SENT.wall + after), PROFILE, SENT, 0.0)


def test_an_absurd_expiration_is_not_passed_on() -> None:
    """Readers are told the latest end that the server's clock allows, so that they look again."""
    got = granted(answer(SENT.wall + 1e9, "Fri, 15 Jan 2027 08:00:00 GMT"), PROFILE, SENT, 4.0)
    assert 1_800_000_000 + PROFILE.duration + MOST_OVER == got.credentials.expiration
    unsure = granted(answer(SENT.wall + 1e9, None), PROFILE, SENT, 4.0)
    assert SENT.wall + 1e9 == unsure.credentials.expiration


@pytest.mark.parametrize("name", ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_part_is_named(name: str, value: object) -> None:
    """An answer without a part is a failure that names the part."""
    with pytest.raises(RenewalError, match=name):
        granted(answer(SENT.wall + 3600, None, **{name: value}), PROFILE, SENT, 0.0)


@pytest.mark.parametrize(
    "when",
    [
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    ],
)
def test_an_expiration_that_cannot_be_rendered_is_a_failure(when: datetime) -> None:
    """In UTC its year has five digits, or none; it would reach the log, the file and the twin."""
    with pytest.raises(RenewalError, match="readable Expiration"):
        granted(answer(SENT.wall + 3600, None, Expiration=when), PROFILE, SENT, 0.0)


@pytest.mark.parametrize("odd", [{}, {"Credentials": None}, {"Credentials": {}}])
def test_an_answer_without_credentials_is_a_failure(odd: dict[str, Any]) -> None:
    """The failure says what is missing."""
    with pytest.raises(RenewalError, match="without AccessKeyId and Secret"):
        granted(odd, PROFILE, SENT, 0.0)


def whose(arn: str | None) -> dict[str, Any]:
    """Return an answer that says whose session it is."""
    return {**answer(SENT.wall + 3600), "AssumedRoleUser": {"Arn": arn}}


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sts::222222222222:assumed-role/deploy/mine",
        "arn:aws:sts::111111111111:assumed-role/admin/mine",
        "arn:aws:sts::111111111111:assumed-role/deploy/theirs",
    ],
)
def test_the_session_of_another_is_refused(arn: str) -> None:
    """A proxy that mixes answers up publishes no profile's credentials under another's name."""
    asked = replace(
        PROFILE,
        role_arn="arn:aws:iam::111111111111:role/some/path/deploy",
        role_session_name="mine",
    )
    with pytest.raises(RenewalError, match="not asked for") as error:
        granted(whose(arn), asked, SENT, 0.0)
    assert "GrantOfAnother" == error.value.code
    mine = whose("arn:aws:sts::111111111111:assumed-role/Deploy/mine")
    assert "ASIA" == granted(mine, asked, SENT, 0.0).credentials.access_key_id


@pytest.mark.parametrize("arn", [None, "", "arn:aws:iam:::user/me", "sess"])
def test_servers_that_do_not_name_the_session_are_believed(arn: str | None) -> None:
    """Servers other than AWS's leave the ARN out, or make up their own."""
    for said in (whose(arn), answer(SENT.wall + 3600)):
        assert "ASIA" == granted(said, PROFILE, SENT, 0.0).credentials.access_key_id


def test_every_argument_that_is_sent_is_one_of_assume_role() -> None:
    """Botocore's own model of AssumeRole knows every name that we send."""
    full: Profile = replace(
        PROFILE,
        external_id="id",
        policy="{}",
        policy_arns=("a",),
        session_tags=(("k", "v"),),
        transitive_tag_keys=("k",),
        source_identity="me",
    )
    model = Session().get_service_model("sts").operation_model("AssumeRole").input_shape
    assert model is not None
    assert set(arguments(full)) < set(model.members)
    assert {"RoleArn", "RoleSessionName", "DurationSeconds"} == set(arguments(PROFILE))


def test_no_secret_is_in_the_repr_of_keys() -> None:
    """Only `secrets` gives them, to code that scrubs messages."""
    keys = SourceKeys("ASIAINNER", "s3cret", "t0ken")
    assert "s3cret" not in repr(keys)
    assert "t0ken" not in repr(keys)
    assert ("s3cret", "t0ken") == keys.secrets
    parent = SessionCredentials("ASIAPARENT", "ps", "pt", 0.0)
    assert SourceKeys("ASIAPARENT", "ps", "pt") == SourceKeys.of(parent)
