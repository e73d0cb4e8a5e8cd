"""The warm restart: credentials that stand in the file are believed, at the cost of no STS call."""

from __future__ import annotations

from collections.abc import Mapping

from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.settings import Profile
from credfresh.splice import mark, ownership
from credfresh.splice.holding import Document


def believed(
    document: Document, instance: str, profiles: Mapping[str, Profile], now: Instant
) -> dict[str, Grant]:
    """Return the credentials that stand in the sections of `profiles`, by profile.

    The boot clock of another life says nothing: the moment of sending is rebuilt from how long
    ago it was by the wall clock.
    """
    by_section = {profile.section: profile for profile in profiles.values()}
    grants: dict[str, Grant] = {}
    for owned in ownership.owned(document, instance):
        profile = by_section.get(owned.section)
        if profile is None or owned.mark.role != profile.role_arn:
            continue
        grant = _grant(owned, profile, now)
        if grant is not None:
            grants[profile.name] = grant
    return grants


def _grant(owned: ownership.Owned, profile: Profile, now: Instant) -> Grant | None:
    said, values = owned.mark, owned.values
    asked = float(profile.duration)
    if not mark.sane(said, now=now.wall, asked=asked, any_key=profile.any_key_id):
        return None
    if values.get("aws_access_key_id") != said.key:
        return None
    try:
        credentials = SessionCredentials(
            said.key,
            values["aws_secret_access_key"],
            values["aws_session_token"],
            float(said.expires),
        )
    except KeyError:
        return None
    ago = now.wall - said.issued
    return Grant(
        credentials=credentials,
        sent_at=Instant(float(said.issued), now.boot - ago),
        lifetime=float(said.expires - said.issued),
        asked=asked,
        request=said.request,
    )
