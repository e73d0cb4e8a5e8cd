"""Turns single words of the file into values: durations, numbers, names.

Every function takes what stood in the file and returns its meaning, or raises `RefusedError`
with a reason and a hint, neither of which repeats the word.
"""

from __future__ import annotations

import re
from functools import cache

from credfresh.principals import DEFAULT_SOURCE
from credfresh.settings import RenewBefore

LEAST_DURATION = 900
"""Seconds; the API's lower bound (AWS STS API reference, AssumeRole, DurationSeconds)."""

MOST_DURATION = 43_200
"""Seconds; the API's upper bound. The role's own MaxSessionDuration may be less; only STS knows."""

MOST_NAME = 128
"""The longest section name that was seen to work in every SDK's parser."""

_UNITS = {"s": 1, "m": 60, "h": 3600}
_LOOSE = re.compile(
    r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(h|m|s)"
    r"(?:(?<=h)(?:ou)?rs?|(?<=m)in(?:ute)?s?|(?<=s)ec(?:ond)?s?)?(?![a-z]) ?"
)
"""A part of a duration as people write it: `1 hour`, `90min`, `1.5h`."""
_LATER_OF_FILE = "the credentials file is read by SDKs that take it for something else"
_PREFIXES = ("profile ", "sso-session ", "services ")
_USUAL_SECTION = re.compile(r"(?!DEFAULT\Z)[A-Za-z0-9_][A-Za-z0-9._-]{,127}")


class RefusedError(ValueError):
    """A value cannot be accepted. `got` replaces the usual rendering of what was got."""

    def __init__(self, reason: str, *, hint: str | None = None, got: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.got = got


def text(value: object) -> str:
    """Accept any text but the empty one."""
    if not isinstance(value, str):
        raise RefusedError("must be text")
    if not value:
        raise RefusedError("must not be empty", got="")
    return value


def length_within(word: str, least: int, most: int, what: str = "") -> None:
    """Raise RefusedError unless `word` has `least` to `most` characters."""
    if not least <= len(word) <= most:
        raise RefusedError(
            f"{what}must have {least:,} to {most:,} characters", got=f"(got {len(word):,})"
        )


def flag(value: object) -> bool:
    """Accept exactly `true` and `false` (YAML 1.1 has twenty more spellings, one is `n`)."""
    if not isinstance(value, str):
        raise RefusedError("must be true or false")
    word = text(value)
    if word in {"true", "false"}:
        return word == "true"
    meant = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
    low = word.lower()
    near = low if low in {"true", "false"} else meant.get(low)
    raise RefusedError("must be true or false", hint=f"did you mean `{near}`?" if near else None)


def present(value: object) -> bool:
    """Accept exactly `true`: the key says which kind of source it is."""
    if text(value) != "true":
        raise RefusedError("must be true", hint="for another kind of source, use its own key")
    return True


def spell(seconds: int) -> str:
    """Render seconds as the file would: `90m`, `2h`, `45s`."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def seconds(value: object, least: int = 1, most: int = MOST_DURATION) -> int:
    """Accept `^[0-9]+(s|m|h)$` and return seconds; the bounds only decide what a hint names."""
    word = text(value)
    if match := re.fullmatch(r"([0-9]{1,9})(s|m|h)", word):
        return int(match[1]) * _UNITS[match[2]]
    meant = next(
        (m for m in _readings(word.lower()) if least <= _UNITS[m[-1]] * int(m[:-1]) <= most), None
    )
    hint = f"did you mean `{meant}`?" if meant else "write it as 45s, 20m or 1h"
    raise RefusedError("must be a number and s, m or h", hint=hint)


def _readings(word: str) -> list[str]:
    """Return what a word that is no duration may have been meant for, the likeliest first."""
    if re.fullmatch(r"[0-9]{1,9}", word):
        return [f"{int(word)}{unit}" for unit in _UNITS]
    if match := re.fullmatch(r"([0-9]{1,3}):([0-5][0-9])", word):
        return [f"{int(match[1]) * 60 + int(match[2])}m"]
    if not re.fullmatch(f"(?:{_LOOSE.pattern})+", word):
        return []
    whole = sum(float(part[1]) * _UNITS[part[2]] for part in _LOOSE.finditer(word))
    return [spell(round(whole))]


def _seconds_within(value: object, least: int, most: int, bounds: str) -> int:
    amount = seconds(value, least, most)
    if not least <= amount <= most:
        raise RefusedError(f"must be {bounds}")
    return amount


def duration(value: object) -> int:
    """Accept the length of a session, 15m to 12h, and return seconds."""
    return _seconds_within(
        value, LEAST_DURATION, MOST_DURATION, "15m to 12h, the bounds of AssumeRole"
    )


def connect_timeout(value: object) -> int:
    """Accept 1s to 20s: with the read, an attempt must end within 60 s."""
    return _seconds_within(value, 1, 20, "1s to 20s")


def read_timeout(value: object) -> int:
    """Accept 1s to 30s: with the connect, an attempt must end within 60 s."""
    return _seconds_within(value, 1, 30, "1s to 30s")


def hook_timeout(value: object) -> int:
    """Accept 1s to 5m."""
    return _seconds_within(value, 1, 300, "1s to 5m")


def renew_before(value: object) -> RenewBefore:
    """Accept a share of the granted lifetime (`1%` to `80%`) or a duration of 1s and more."""
    word = text(value)
    if word.endswith("%"):
        match = re.fullmatch(r"([0-9]{1,2})%", word)
        if match is None or not 1 <= int(match[1]) <= 80:  # noqa: PLR2004  # said in the reason
            raise RefusedError("must be 1% to 80%, or a duration such as 20m", hint=_share(word))
        return RenewBefore(share=int(match[1]) / 100)
    try:
        amount = seconds(word)
    except RefusedError as error:
        raise RefusedError(
            "must be a share such as 50% or a duration such as 20m",
            hint=_share(word) or error.hint,
        ) from None
    if not amount:
        raise RefusedError("must be at least 1s", hint="the default is 50%")
    return RenewBefore(share=None, seconds=amount)


def _share(word: str) -> str | None:
    """Return the hint for a share that is written as `50`, `50 %` or `0.5`."""
    match = re.fullmatch(r"([0-9]{1,2}) *%?|0?(\.[0-9]{1,2})", word)
    if match is None:
        return None
    percent = int(match[1]) if match[1] else round(100 * float(match[2]))
    return f"did you mean `{percent}%`?" if 1 <= percent <= 80 else None  # noqa: PLR2004  # the bounds of a share


def calls_per_second(value: object) -> float:
    """Accept 0.1 to 600 (AWS's quota for STS is 600 a second, an account and region)."""
    word = text(value)
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", word) and 0.1 <= float(word) <= 600:  # noqa: PLR2004  # said in the reason
        return float(word)
    raise RefusedError("must be a number from 0.1 to 600")


def max_concurrency(value: object) -> int:
    """Accept 1 to 64: each is a thread."""
    word = text(value)
    if re.fullmatch(r"[0-9]{1,2}", word) and 1 <= int(word) <= 64:  # noqa: PLR2004  # said in the reason
        return int(word)
    raise RefusedError("must be a whole number from 1 to 64")


def region(value: object) -> str:
    """Accept the code of an AWS region; which regions exist is AWS's to say."""
    word = text(value)
    if zone := re.fullmatch(r"([a-z]+(?:-[a-z]+)+-[0-9]+)(?:-[a-z]+-[0-9]+)?[a-z]", word):
        raise RefusedError("is an availability zone", hint=f"did you mean `{zone[1]}`?")
    if re.fullmatch(r"[a-z0-9-]{1,63}", word):
        return word
    raise RefusedError("must be an AWS region", hint="regions look like `eu-west-1`")


@cache  # thousands of profiles are in a few regions
def is_of_aws(region: str) -> bool:
    """Say whether a region looks like AWS's; an STS at an endpoint of its own may have others."""
    return re.fullmatch(r"[a-z]+(?:-[a-z]+)+-[0-9]+|aws-global", region) is not None


def label(value: object) -> str:
    """Accept 1 to 64 of `[A-Za-z0-9._-]`."""
    word = text(value)
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", word):
        return word
    raise RefusedError("must be 1 to 64 letters, digits, dots, dashes and underscores")


def file_name(value: object) -> str:
    """Accept a label that a file can be called by."""
    word = label(value)
    if word in {".", ".."}:
        raise RefusedError("must be the name of a file")
    return word


def profile_names(value: object) -> tuple[str, ...]:
    """Accept a list of profiles, each once."""
    if not isinstance(value, list):
        raise RefusedError("must be a list of profiles")
    if not value:
        raise RefusedError("must name at least one profile", got="")
    names = tuple(text(name) for name in value)
    if len(set(names)) < len(names):
        raise RefusedError("names a profile twice", got="")
    return names


def source_name(value: object) -> str:
    """Accept the name of a source."""
    if value == DEFAULT_SOURCE:
        raise RefusedError(
            "is reserved: `default` is the SDK's own chain",
            hint="give the source another name",
            got="",
        )
    return label(value)


def section(value: object) -> str:
    """Accept a name that every reader of the credentials file can be given as `[name]`.

    Seen in the parsers of 17 SDKs and tools: names beyond ASCII break some, `DEFAULT` is magic
    to Python's configparser, and names that begin with `profile ` are read as another profile's.
    """
    if isinstance(value, str) and _USUAL_SECTION.fullmatch(value):  # one of thousands, perhaps
        return value
    word = text(value)
    if not word.isascii() or not word.isprintable():
        raise RefusedError("must be printable ASCII", hint="else some SDKs cannot read the file")
    if word != word.strip():
        raise RefusedError("must not begin or end with a space")
    if "]" in word or "[" in word:
        raise RefusedError("must not contain `[` or `]`")
    if word == "DEFAULT":
        raise RefusedError("must not be `DEFAULT`", hint=_LATER_OF_FILE, got="")
    if word.startswith(_PREFIXES):
        raise RefusedError(
            "must be the bare name of the profile", hint="only ~/.aws/config has such prefixes"
        )
    length_within(word, 1, MOST_NAME)
    return word


def profile_name(value: object) -> str:
    """Accept the name of a profile: a section name that no command takes for an option."""
    word = section(value)
    if word.startswith("-"):
        raise RefusedError("must not begin with `-`", hint="use the key `section` for that")
    return word


def segments(value: object) -> str:
    """Accept the path of a mount or prefix in an engine: plain segments between slashes."""
    word = text(value)
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", word):
        return word
    raise RefusedError("must be plain words between slashes", hint="such as `secret` or `kv/ci`")
