"""Notices about a configuration that is accepted."""

from __future__ import annotations

import pytest

from configs import accepted, one_profile, profiles
from credfresh.settings import Notice


@pytest.mark.parametrize(
    ("keys", "event", "fields"),
    [
        ("duration: 15m", "short_session", {"duration_s": 900}),
        ("duration: 20m", "short_guarantee", {"guarantee_s": 600}),
        ("renew_before: 14m", "short_guarantee", {"guarantee_s": 840}),
        ("renew_before: 50m", "renew_before_clamped", {"renew_before_s": 3000, "clamped_s": 2880}),
        ("section: team/prod", "unusual_section_name", {"section": "team/prod"}),
    ],
)
def test_a_doubtful_profile_is_accepted_with_a_notice(
    keys: str, event: str, fields: dict[str, int | str]
) -> None:
    """The notice has the profile's name, how many profiles it concerns, and the figures."""
    (notice,) = accepted(one_profile(keys)).notices
    assert notice.event == event
    assert dict(notice.fields) == {"profile": "production", "profiles": 1, **fields}


@pytest.mark.parametrize(
    "keys", ["", "duration: 30m", "renew_before: 80%", "renew_before: 48m", "section: a.b_C-1"]
)
def test_usual_values_cause_no_notice(keys: str) -> None:
    """Values at the edge of what is usual cause no notice."""
    assert accepted(one_profile(keys)).notices == ()


def test_a_notice_about_many_profiles_is_said_once() -> None:
    """A default that concerns thousands of profiles is one notice."""
    text = profiles(
        "\n".join(f"p{n}: {{role_arn: ROLE}}" for n in range(100)),
        defaults="{region: eu-west-1, duration: 15m}",
    )
    fields = (("profile", "p0"), ("profiles", 100), ("duration_s", 900))
    assert accepted(text).notices == (Notice("short_session", fields),)


@pytest.mark.parametrize(("count", "said"), [(83, False), (84, True)])
def test_a_rate_of_which_renewals_need_more_than_half_causes_a_notice(
    count: int, *, said: bool
) -> None:
    """Each profile needs a call every (3600 - 1800 - 252) s; both figures are told."""
    text = profiles(
        "\n".join(f"p{n}: {{role_arn: ROLE}}" for n in range(count)),
        top="sts: {calls_per_second: 0.108}\n",
    )
    fields = (("calls_per_second", 0.108), ("needed_per_second", 0.0543))
    expected = (Notice("calls_per_second_low", fields),) if said else ()
    assert accepted(text).notices == expected


@pytest.mark.parametrize(
    ("mode", "events"),
    [
        ("0600", []),
        ("0640", []),
        ("0644", ["credentials_file_readable_by_all"]),
        ("0660", ["credentials_file_writable_by_group"]),
        ("0664", ["credentials_file_readable_by_all", "credentials_file_writable_by_group"]),
    ],
)
def test_a_wide_mode_causes_a_notice_with_its_file(mode: str, events: list[str]) -> None:
    """Each notice has the path and the mode of the file."""
    text = one_profile().replace("credentials}", f"credentials, mode: '{mode}'}}")
    notices = accepted(text).notices
    assert [notice.event for notice in notices] == events
    for notice in notices:
        assert dict(notice.fields) == {"path": "/run/credfresh/credentials", "mode": mode}
