"""Reads the two files of an AWS user as SDKs do: the profiles, and which file holds their keys."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Mapping
from dataclasses import field

from credfresh.errors import CredfreshError
from credfresh.values import dataclass

_KEYS = frozenset({"aws_access_key_id", "aws_secret_access_key"})
_SECRETS = _KEYS | {"aws_session_token", "aws_security_token"}


@dataclass(frozen=True, slots=True)
class AwsFile:
    """One file: its path and its text."""

    path: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwsProfile:
    """One profile, of both files together; if both set a key, the credentials file counts."""

    name: str
    settings: Mapping[str, str]
    """Its settings without keys and tokens."""
    keys_in: str | None = None
    """The path of the file that holds its access keys; None if it has none."""
    session_keys: bool = False
    """Whether these are session keys, which come with a token and expire."""


@dataclass(frozen=True, slots=True)
class AwsProfiles:
    """All profiles in the order of the files, and what is odd about the files."""

    profiles: Mapping[str, AwsProfile]
    oddities: tuple[str, ...] = ()


def read(config: AwsFile | None, credentials: AwsFile | None) -> AwsProfiles:
    """Read the config file and the credentials file; None stands for a missing file.

    Sections of the config file are `[default]` and `[profile NAME]` (NAME may be quoted), those of
    the credentials file bare names; nested settings and other sections are ignored, as by SDKs,
    but a role in one of those is odd.

    Raises:
        CredfreshError: a file cannot be understood by any SDK.
    """
    profiles: dict[str, AwsProfile] = {}
    oddities: list[str] = []
    if config is not None:
        for section, values in _sections(config, oddities):
            name = _profile_of(section)
            if name is not None:
                profiles[name] = _merged(profiles.get(name), name, values, config.path)
            elif "role_arn" in values:
                oddities.append(
                    f"{config.path}: [{section}] is no profile to an SDK: call it"
                    " [profile NAME], with quotes around a NAME that has spaces"
                )
    if credentials is not None:
        for section, values in _sections(credentials, oddities):
            profiles[section] = _merged(profiles.get(section), section, values, credentials.path)
    return AwsProfiles(profiles, tuple(oddities))


def _sections(file: AwsFile, oddities: list[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the sections of a file; note in `oddities` what we can read and SDKs refuse."""
    # A key without `=` has no meaning; some SDKs ignore it.
    text = re.sub(r"(?m)^([\w-]+)[ \t\r]*$", r"\1 =", file.text.removeprefix("\ufeff"))
    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", 0) or next(iter(getattr(error, "errors", [(0,)])))[0]
        raise CredfreshError(
            f"{file.path}:{line}: not a line of an AWS configuration",
            hint="no SDK reads the file either: mend the line first",
        ) from None
    oddities.extend(
        f"{file.path}: [{name}] is there twice; botocore refuses such a file"
        for name in _doubled(text)
    )
    return [
        (name, {key: value.strip() for key, value in parser.items(name)})
        for name in parser.sections()
    ]


def _doubled(text: str) -> list[str]:
    names = re.findall(r"(?m)^\[([^\]\n]+)\]", text)
    return list(dict.fromkeys(name for name in names if names.count(name) > 1))


def _profile_of(section: str) -> str | None:
    """Return the name of the profile in a section of the config file; None if it is no profile."""
    if section == "default":
        return section
    try:
        words = shlex.split(section)
    except ValueError:
        return None
    return words[1] if len(words) == 2 and words[0] == "profile" else None  # noqa: PLR2004 - both


def _merged(
    known: AwsProfile | None, name: str, values: Mapping[str, str], path: str
) -> AwsProfile:
    has_keys = all(values.get(key) for key in _KEYS)
    own = {key: value for key, value in values.items() if key not in _SECRETS and "\n" not in value}
    return AwsProfile(
        name=name,
        settings={**(known.settings if known else {}), **own},
        keys_in=path if has_keys else (known.keys_in if known else None),
        session_keys=bool(values.get("aws_session_token"))
        if has_keys
        else bool(known and known.session_keys),
    )
