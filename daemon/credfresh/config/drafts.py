"""Profiles merged with the defaults, and not yet checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from credfresh.config import schema
from credfresh.config.findings import Findings
from credfresh.principals import DEFAULT_SOURCE
from credfresh.settings import RenewBefore

DURATION = 3600
"""Seconds a session lasts unless the file says otherwise."""

RENEW_BEFORE = RenewBefore()

PLAIN_KEYS = frozenset({"role_arn", "section"})
"""All that most profiles set: two profiles that set nothing else inherit the same."""

_NONE: frozenset[str] = frozenset()


class Draft(NamedTuple):
    """One enabled profile, with what it inherits filled in."""

    name: str
    profile: schema.Profile
    inherited: Collection[str]
    """Keys whose value comes from `defaults`."""
    faulty: frozenset[str]
    """Keys that were refused; checks that depend on them are left out."""
    plain: bool
    """Whether it sets none but `PLAIN_KEYS`: all such profiles are alike in every other key."""

    @property
    def section(self) -> str:
        """The section to publish to."""
        return self.profile.section or self.name

    @property
    def duration(self) -> int:
        """Seconds to ask for."""
        return self.profile.duration or DURATION

    @property
    def renew_before(self) -> RenewBefore:
        """How long before expiration to renew."""
        return self.profile.renew_before or RENEW_BEFORE

    @property
    def source(self) -> str:
        """The name of the source, where there is no `source_profile`."""
        return self.profile.source or DEFAULT_SOURCE

    def sound(self, *keys: str) -> bool:
        """Say whether all of `keys` were accepted, so that a check may rely on them."""
        return self.faulty.isdisjoint(keys)


def drafts_of(file: schema.ConfigFile, findings: Findings) -> dict[str, Draft]:
    """Return the enabled profiles, in the order of the file; fill in what they inherit.

    The file's own models are filled: to copy each takes half as long as to validate it.
    """
    given = file.defaults.given() if file.defaults else {}
    wrong_defaults, wrong_in = _faulty(findings)
    found: dict[str, Draft] = {}
    for name, profile in file.profiles.items():
        wrong = _NONE
        if findings.faulty:
            wrong = _absent(profile, wrong_defaults).union(wrong_in.get(name, _NONE))
        plain = profile.model_fields_set <= PLAIN_KEYS
        inherits = given if plain else {key: given[key] for key in _absent(profile, given)}
        vars(profile).update(inherits)
        if profile.enabled is not False and "enabled" not in wrong:
            found[name] = Draft(name, profile, inherits, wrong, plain)
    return found


def _absent(own: schema.Profile, keys: Iterable[str]) -> frozenset[str]:
    """Return those of `keys` that the profile leaves to the defaults."""
    values = vars(own)
    absent = frozenset([key for key in keys if values[key] is None])
    return absent if values["source_profile"] is None else absent - {"source"}


def _faulty(findings: Findings) -> tuple[set[str], dict[str, set[str]]]:
    """Return the keys that were refused in the defaults, and in each profile."""
    defaults: set[str] = set()
    profiles: dict[str, set[str]] = {}
    for path in findings.faulty:
        match path:
            case ("defaults",):
                defaults.update(schema.Defaults.model_fields)
            case ("defaults", str(key), *_) if key in schema.Defaults.model_fields:
                defaults.add(key)
            case ("profiles", str(name), str(key), *_):
                profiles.setdefault(name, set()).add(key)
            case _:
                pass
    return defaults, profiles
