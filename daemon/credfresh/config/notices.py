"""Makes the notices about an accepted configuration; each is logged once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from credfresh.policy import MOST_RENEW_BEFORE
from credfresh.settings import FileTarget, Hook, Notice, Profile, RenewBefore

BOTOCORE_WINDOW = 900
"""Seconds; botocore asks again for credentials that have less left than this (15 minutes)."""

NEED_RIGHTS = frozenset({"sudo", "su", "doas", "pkexec", "runuser", "systemctl", "service"})
"""Commands that ask for rights which the service does not have, and its sandbox does not give."""

BUSY = 0.5
"""The share of `calls_per_second` that renewals may need: the rest is to catch up after outages."""

_USUAL = re.compile(r"[A-Za-z0-9._-]+")

ADVICE = {
    "calls_per_second_low": "raise sts.calls_per_second, or let sessions last longer",
    "credentials_file_readable_by_all": 'mode "0640" and a group, unless that is meant',
    "credentials_file_writable_by_group": 'mode "0640": else every start renews everything',
    "hook_needs_rights": "let a .path unit watch the credentials file, or readers use the twin",
    "renew_before_clamped": "lower renew_before, or raise duration",
    "short_guarantee": "raise duration or renew_before: SDKs ask anew below 15m of life",
    "short_session": "raise duration: SDKs ask anew below 15m of life, so always",
    "unusual_section_name": "set section to letters, digits, dots, dashes and underscores",
}
"""What to do about each notice."""


def notices_for(
    profiles: Mapping[str, Profile],
    targets: Iterable[FileTarget],
    on_renew: Hook | None,
    *,
    needed: float,
    allowed: float,
) -> tuple[Notice, ...]:
    """Return the notices, each kind once with the number of profiles that it concerns.

    The field `profile` names the first of them in the order of the file. `on_renew` is the hook for
    all profiles; `needed` and `allowed` are calls a second.
    """
    counted: dict[Notice, list[str]] = {}
    about_session = cache(_about_session)  # thousands of profiles have one duration
    for profile in profiles.values():
        notices = about_session(profile.duration, profile.renew_before)
        if not _USUAL.fullmatch(profile.section):
            notices += (Notice("unusual_section_name", (("section", profile.section),)),)
        for notice in notices + _about_hook(profile.on_renew):
            counted.setdefault(notice, []).append(profile.name)
    found = [notice for target in targets for notice in _about_file(target)]
    found.extend(_about_hook(on_renew))
    if needed > BUSY * allowed:
        pace = (("calls_per_second", allowed), ("needed_per_second", float(f"{needed:.3g}")))
        found.append(Notice("calls_per_second_low", pace))
    for notice, names in counted.items():
        whose = (("profile", names[0]), ("profiles", len(names)))
        found.append(Notice(notice.event, (*whose, *notice.fields)))
    return tuple(found)


def guarantee(duration: float, renew_before: RenewBefore) -> float:
    """Return the seconds of life that a reader finds at least, if the whole duration is granted."""
    return min(renew_before.of(duration), MOST_RENEW_BEFORE * duration)


def _about_session(duration: int, renew_before: RenewBefore) -> tuple[Notice, ...]:
    found = []
    wished, least = renew_before.of(duration), guarantee(duration, renew_before)
    if wished > least:
        fields = (("renew_before_s", int(wished)), ("clamped_s", int(least)))
        found.append(Notice("renew_before_clamped", fields))
    if duration <= BOTOCORE_WINDOW:
        found.append(Notice("short_session", (("duration_s", duration),)))
    elif least < BOTOCORE_WINDOW:
        found.append(Notice("short_guarantee", (("guarantee_s", int(least)),)))
    return tuple(found)


def _about_hook(hook: Hook | None) -> tuple[Notice, ...]:
    if hook is None or hook.command[0].rpartition("/")[2] not in NEED_RIGHTS:
        return ()
    return (Notice("hook_needs_rights", (("command", hook.command[0]),)),)


def _about_file(target: FileTarget) -> Iterator[Notice]:
    fields = (("path", target.path), ("mode", f"{target.mode:04o}"))
    if target.mode & 0o004:
        yield Notice("credentials_file_readable_by_all", fields)
    if target.mode & 0o020:
        yield Notice("credentials_file_writable_by_group", fields)
