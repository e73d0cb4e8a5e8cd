"""Finds the roles that a daemon can assume without a person, their principals, or why it cannot."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple

from credfresh.config.checks import CHAINED_DURATION
from credfresh.config.words import LEAST_DURATION, MOST_DURATION, spell
from credfresh.starter.aws_files import AwsProfile
from credfresh.values import dataclass

MOST_IN_A_ROW = 16
"""Roles in one chain of `source_profile` at most; nobody has more on purpose."""

_SSO = ("sso_session", "sso_start_url", "sso_account_id", "sso_role_name")

_PLACES = {
    "Environment": ("environment", "environment"),
    "Ec2InstanceMetadata": ("ec2-instance", "ec2_instance_metadata"),
    "EcsContainer": ("ecs-container", "ecs_container"),
}
"""Values of `credential_source` (AWS SDKs reference guide), with our source's name and key."""


_BY_SSO = "IAM Identity Center: somebody would have to sign in again in a browser"
_BY_LOGIN = "`aws login` opens a session in a browser, and it ends"

_KEPT_KEYS = (
    "Long-term keys. The daemon's user must be able to read that file; better, move them into",
    "one of their own, such as /etc/credfresh/source, that nobody else may read.",
)
_RUN = (
    "It runs as the daemon's user, without a terminal: it must not ask for anything. Its",
    "arguments are copied as they stand: if one is a secret, keep it in a file instead.",
)
_SERVICES = (
    "`services` is not taken over: where it names an endpoint of STS, say `endpoint_url`.",
)
_ITSELF = ("The role that the token assumes assumes itself: its trust policy must allow that.",)
_NOT_DEFAULT = (
    "Not published as [default], to which every process on the host falls back; to do that say",
    "`section: default` and `allow_default: true`.",
)


class Line(NamedTuple):
    """A key of the configuration with its value (a word, a list or a mapping) and a remark."""

    key: str
    value: str | tuple[str, ...] | Mapping[str, str]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A principal: its lines in the configuration, and remarks on it."""

    name: str
    lines: tuple[Line, ...]
    remarks: tuple[str, ...] = ()
    is_role: bool = False
    """Whether it is a role itself, so that sessions of roles it assumes last an hour at most."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One role: the lines of its profile, and, if it is left out, why."""

    name: str
    lines: tuple[Line, ...]
    source: str | None = None
    parent: str | None = None
    remarks: tuple[str, ...] = ()
    why_not: str | None = None


@dataclass(slots=True)
class Judge:
    """Decides for every profile that has a role whether a daemon can assume it."""

    profiles: Mapping[str, AwsProfile]
    sources: dict[str, Source] = field(default_factory=dict)
    _drafts: dict[str, Draft] = field(default_factory=dict)
    _trail: list[str] = field(default_factory=list)

    def drafts(self) -> list[Draft]:
        """Return a draft of each role profile, and of each login, in the order of the files."""
        found: list[Draft] = []
        for profile in self.profiles.values():
            if profile.settings.get("role_arn"):
                found.append(self._draft(profile))
            elif profile.keys_in is None and (why := _login(profile)):
                found.append(Draft(profile.name, (), why_not=why))
        return found

    def _draft(self, profile: AwsProfile) -> Draft:
        if profile.name not in self._drafts:
            if profile.name in self._trail:
                ring = " -> ".join([*self._trail[self._trail.index(profile.name) :], profile.name])
                return Draft(profile.name, (), why_not=f"source_profile leads in a circle: {ring}")
            if len(self._trail) == MOST_IN_A_ROW:
                why = f"more than {MOST_IN_A_ROW} roles are assumed one with the other"
                return Draft(profile.name, (), why_not=why)
            self._trail.append(profile.name)
            self._drafts[profile.name] = self._judge(profile)
            self._trail.pop()
        return self._drafts[profile.name]

    def _judge(self, profile: AwsProfile) -> Draft:
        said = profile.settings
        base = [Line("role_arn", said["role_arn"])]
        found = self._principal(profile)
        why_not = found if isinstance(found, str) else None
        if "mfa_serial" in said:
            why_not = "mfa_serial: somebody would have to type a code at each renewal"
        elif any(key in said for key in _SSO) and why_not is None:
            why_not = _BY_SSO
        source = found if isinstance(found, Source) else None
        parent = found if isinstance(found, Draft) else None
        if source is not None:
            base.append(Line("source", source.name))
        if parent is not None:
            base.append(Line("source_profile", parent.name))
        chained = parent is not None or (source is not None and source.is_role)
        lines, remarks = _settings(profile, chained=chained)
        return Draft(
            name=profile.name,
            lines=(*base, *lines),
            source=source.name if source else None,
            parent=parent.name if parent else None,
            remarks=remarks,
            why_not=why_not,
        )

    def _principal(self, profile: AwsProfile) -> Source | Draft | str:
        """Return what assumes the role; if that takes a person, or is not possible, the reason."""
        if profile.settings.get("web_identity_token_file"):
            return self._web_identity(profile)
        match profile.settings.get("source_profile"), profile.settings.get("credential_source"):
            case (str(other), None):
                return self._by_profile(profile, other)
            case (None, str(place)):
                return self._by_place(place)
            case (None, None):
                return "it says neither source_profile nor credential_source"
            case _:
                return "it says both source_profile and credential_source"

    def _by_place(self, place: str) -> Source | str:
        if place not in _PLACES:
            return f"credential_source {place!r} is none that AWS knows"
        name, key = _PLACES[place]
        return self._add(Source(name, (Line(key, "true"),), is_role=place != "Environment"))

    def _by_profile(self, profile: AwsProfile, name: str) -> Source | Draft | str:
        other = self.profiles.get(name)
        if other is None:
            return f"its source_profile {name} is in neither file"
        # Keys take precedence over a role, as in an SDK; a profile may name itself for its keys.
        if other.keys_in is None and other.settings.get("role_arn") and other is not profile:
            return self._through(other)
        return self._own_principal(other)

    def _through(self, other: AwsProfile) -> Source | Draft | str:
        """Return the principal for a role that is assumed with the credentials of `other`."""
        if other.settings.get("web_identity_token_file"):
            return self._web_identity(other)
        draft = self._draft(other)
        if draft.why_not is not None:
            return f"its source_profile {other.name}: {draft.why_not}"
        return draft

    def _own_principal(self, other: AwsProfile) -> Source | str:
        """Return the source for a profile without a role, by its keys or what provides them."""
        said = other.settings
        if other.keys_in is not None:
            if other.session_keys:
                return (
                    f"its source_profile {other.name} holds session keys: they end, and nothing"
                    " renews them"
                )
            lines = Line("credentials_file", other.keys_in), Line("profile", other.name)
            return self._add(Source(_label(other.name, "keys"), lines, _KEPT_KEYS))
        if "credential_process" in said:
            return self._process(other)
        if why := _login(other):
            return f"its source_profile {other.name}: {why}"
        return f"its source_profile {other.name} has no credentials in either file"

    def _process(self, other: AwsProfile) -> Source | str:
        try:
            argv = shlex.split(other.settings["credential_process"])
        except ValueError:
            argv = []
        if not argv or not argv[0].startswith("/"):
            return (
                f"its source_profile {other.name} runs a credential_process without an absolute"
                " path"
            )
        return self._add(
            Source(_label(other.name, "process"), (Line("credential_process", tuple(argv)),), _RUN)
        )

    def _web_identity(self, profile: AwsProfile) -> Source:
        said = profile.settings
        identity = {
            "token_file": _absolute(said["web_identity_token_file"]),
            "role_arn": said.get("role_arn", ""),
        }
        if name := said.get("role_session_name"):
            identity["role_session_name"] = name
        lines = (Line("web_identity", identity),)
        return self._add(Source(_label(profile.name, "oidc"), lines, is_role=True))

    def _add(self, source: Source) -> Source:
        """Add a source under a name of its own, unless an equal one is there; return it."""
        base, count = source.name, 1
        while (known := self.sources.get(source.name)) not in (None, source):
            count += 1
            source = Source(f"{base}-{count}", source.lines, source.remarks, source.is_role)
        self.sources[source.name] = known or source
        return self.sources[source.name]


def _login(profile: AwsProfile) -> str | None:
    """Say why a profile's credentials need a person at a browser; None if they do not."""
    if any(key in profile.settings for key in _SSO):
        return _BY_SSO
    return _BY_LOGIN if "login_session" in profile.settings else None


def _settings(profile: AwsProfile, *, chained: bool) -> tuple[list[Line], tuple[str, ...]]:
    said = profile.settings
    lines: list[Line] = []
    remarks: list[str] = []
    if profile.name == "default":
        lines.append(Line("section", "default-role"))
        remarks += _NOT_DEFAULT
    if said.get("web_identity_token_file"):
        remarks += _ITSELF
    taken_over = ("external_id", "role_session_name", "region", "endpoint_url")
    lines += [Line(key, said[key]) for key in taken_over if said.get(key)]
    if said.get("use_fips_endpoint", "").lower() == "true":
        lines.append(Line("fips", "true"))
    if said.get("services"):
        remarks += _SERVICES
    if asked := said.get("duration_seconds"):
        line = _duration(asked, chained=chained)
        if isinstance(line, Line):
            lines.append(line)
        else:
            remarks.append(line)
    return lines, tuple(remarks)


def _duration(asked: str, *, chained: bool) -> Line | str:
    seconds = int(asked) if re.fullmatch(r"[0-9]{1,6}", asked) else 0
    if not LEAST_DURATION <= seconds <= MOST_DURATION:
        return f"duration_seconds is {asked!r}, which AWS does not accept: 1h is asked for."
    if chained and seconds > CHAINED_DURATION:
        return Line(
            "duration", "1h", f"not {seconds}s: a role assumed with a role lasts 1h at most"
        )
    return Line("duration", spell(seconds))


def _label(name: str, suffix: str) -> str:
    """Return a valid name for a source: at most 64 of `A-Z a-z 0-9 . _ -`."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "profile"
    return f"{plain[: 60 - len(suffix)]}-{suffix}"


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - as an SDK does
