"""The arguments of AssumeRole, and the grant in its answer. Pure.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from credfresh.answers import http_time
from credfresh.errors import Mend, RenewalError
from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.settings import Profile

MOST_OVER = 5.0
"""Seconds by which a grant may exceed what was asked before we doubt the server's clock."""

YEAR_10000 = 253_402_300_800.0
"""The first wall second that no file, log line or client can write."""

_SESSION = re.compile(r"arn:[\w-]+:sts::(\d{12}):assumed-role/([\w+=,.@-]+)/([\w+=,.@-]+)")
"""The ARN of a role session; servers other than AWS's may give none, or another.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumedRoleUser.html
"""


def arguments(profile: Profile) -> dict[str, Any]:
    """Return AssumeRole's arguments for `profile`, without those that it does not set."""
    asked: dict[str, Any] = {
        "RoleArn": profile.role_arn,
        "RoleSessionName": profile.role_session_name,
        "DurationSeconds": profile.duration,
        "ExternalId": profile.external_id,
        "Policy": profile.policy,
        "PolicyArns": [{"arn": arn} for arn in profile.policy_arns],
        "Tags": [{"Key": key, "Value": value} for key, value in profile.session_tags],
        "TransitiveTagKeys": list(profile.transitive_tag_keys),
        "SourceIdentity": profile.source_identity,
    }
    return {name: value for name, value in asked.items() if value not in (None, [])}


def server_time(answer: Mapping[str, Any]) -> float | None:
    """Return the answer's `Date` in wall seconds, None if it has none that can be read."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return http_time(headers["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def granted(answer: Mapping[str, Any], profile: Profile, sent: Instant, took: float) -> Grant:
    """Read the grant out of AssumeRole's answer, which came `took` seconds after `sent`.

    The lifetime is counted from the moment the request left, by the server's clock if the answer
    has its time, and is never more than was asked plus `MOST_OVER`: a local clock that is hours
    slow must not make an hour look like three.

    Raises:
        RenewalError: nothing usable was granted.
    """
    credentials = _credentials(answer)
    _check_whose(answer, profile)
    date = server_time(answer)
    now_there = sent.wall if date is None else date
    lifetime = min(credentials.expiration - now_there, profile.duration + MOST_OVER)
    if lifetime <= 0:
        raise RenewalError(
            f"STS granted credentials that expired {-lifetime:.0f} s ago",
            code="GrantExpired",
            mend=Mend.TIME,
            hint="compare this host's clock with the server's",
        )
    if date is not None:
        # With an expiration years ahead, a reader would never look again. With a `Date` that is
        # hours behind (a proxy's), readers must not be told an expiration that has passed.
        latest = max(date, sent.wall) + profile.duration + MOST_OVER
        if credentials.expiration > latest:
            credentials = replace(credentials, expiration=latest)
    return Grant(
        credentials=credentials,
        sent_at=sent,
        lifetime=lifetime,
        asked=float(profile.duration),
        request=profile.request,
        skew=None if date is None else date - (sent.wall + took / 2),
    )


def _credentials(answer: Mapping[str, Any]) -> SessionCredentials:
    given = answer.get("Credentials") or {}
    expiration = given.get("Expiration")
    texts = [given.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    missing = [
        name
        for name, value in zip(
            ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"),
            (*texts, expiration),
            strict=True,
        )
        if not value
    ]
    wall = expiration.timestamp() if isinstance(expiration, datetime) else math.nan
    if missing or not 0.0 <= wall < YEAR_10000:
        raise RenewalError(
            f"STS answered without {' and '.join(missing) or 'a readable Expiration'}",
            code="GrantIncomplete",
            mend=Mend.TIME,
            hint="what answers at this endpoint does not speak STS: look at endpoint_url and proxy",
        )
    key_id, secret, token = map(str, texts)
    return SessionCredentials(key_id, secret, token, wall)


def _check_whose(answer: Mapping[str, Any], profile: Profile) -> None:
    """Refuse the session of another role or name: nothing else ties an answer to its request."""
    arn = str((answer.get("AssumedRoleUser") or {}).get("Arn"))
    told = _SESSION.fullmatch(arn)
    account, role = profile.role_arn.split(":")[4], profile.role_arn.rpartition("/")[2]
    asked = (account, role.casefold(), profile.role_session_name)
    if told and asked != (told[1], told[2].casefold(), told[3]):
        raise RenewalError(
            f"STS answered with the session {arn}, which was not asked for",
            code="GrantOfAnother",
            mend=Mend.TIME,
            hint="something on the way mixes answers up: look at proxy and endpoint_url",
        )
