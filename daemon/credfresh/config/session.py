"""Accepts the parameters of AssumeRole besides the role, within AWS's documented bounds.

Sources: AWS STS API reference, AssumeRole; IAM user guide, "IAM and AWS STS quotas" and "Pass
session tags in AWS STS".
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from credfresh.config import arn
from credfresh.config.words import RefusedError, length_within, text

MOST_TAGS = 50
MOST_POLICY_ARNS = 10

_WORD = re.compile(r"[A-Za-z0-9_+=,.@-]*")
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]*")
_STRANGE = re.compile(r"[^A-Za-z0-9_+=,.@-]")
_WORD_HINT = "letters, digits and any of +=,.@_-"


def role_session_name(value: object) -> str:
    r"""Accept 2 to 64 of `[\w+=,.@-]`."""
    return _matching(value, _WORD, 64, _WORD_HINT)


def source_identity(value: object) -> str:
    r"""Accept 2 to 64 of `[\w+=,.@-]`."""
    return _matching(value, _WORD, 64, _WORD_HINT)


def external_id(value: object) -> str:
    r"""Accept 2 to 1,224 of `[\w+=,.@:/-]`."""
    return _matching(value, _EXTERNAL_ID, 1224, "letters, digits and any of +=,.@:/_-")


def _matching(value: object, pattern: re.Pattern[str], most: int, hint: str) -> str:
    word = text(value)
    length_within(word, 2, most)
    if not pattern.fullmatch(word):
        raise RefusedError("has a character that STS does not take", hint=hint)
    return word


def default_session_name(hostname: str, profile: str) -> str:
    """Return `credfresh-<hostname>-<profile>`, made valid; a long one ends in a hash of itself."""
    whole = f"credfresh-{hostname}-{profile}"
    name = _STRANGE.sub("-", whole)
    if len(name) <= 64:  # noqa: PLR2004  # the bound of RoleSessionName
        return name
    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{name[:55]}-{digest}"


def session_tags(value: object) -> tuple[tuple[str, str], ...]:
    """Accept a mapping of at most 50 tags."""
    if not isinstance(value, dict):
        raise RefusedError(
            "must be a mapping of tag keys to values", hint="such as {team: release}"
        )
    if len(value) > MOST_TAGS:
        raise RefusedError(f"must have at most {MOST_TAGS} tags", got=f"(got {len(value)})")
    folded: dict[str, int] = {}
    for number, (key, word) in enumerate(value.items(), start=1):
        tag_key(key, f"the key of tag {number} ")
        _tag_text(word, 0, 256, f"the value of tag {number} ")
        first = folded.setdefault(key.casefold(), number)
        if first != number:
            raise RefusedError(
                f"tags {first} and {number} have the same key but for its case",
                hint="STS takes them for one and refuses both",
                got="",
            )
    return tuple(value.items())


def tag_key(value: object, what: str = "") -> str:
    """Accept the key of a tag: 1 to 128 letters, digits, spaces and any of `_.:/=+-@`."""
    word = _tag_text(value, 1, 128, what)
    if word.lower().startswith("aws:"):
        raise RefusedError(f"{what}must not begin with `aws:`", got="")
    return word


def _tag_text(value: object, least: int, most: int, what: str) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"{what}must be text", got="")
    length_within(value, least, most, what)
    # The documented pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@].
    if not all(unicodedata.category(c)[0] in "LZN" or c in "_.:/=+-@" for c in value):
        raise RefusedError(
            f"{what}has a character that STS does not take",
            hint="letters, digits, spaces and any of _.:/=+-@",
            got="",
        )
    return value


def transitive_tag_keys(value: object) -> tuple[str, ...]:
    """Accept a list of at most 50 tag keys."""
    keys = _items(value, MOST_TAGS, "tag keys")
    return tuple(tag_key(key, f"item {n} ") for n, key in enumerate(keys, start=1))


def policy_arns(value: object) -> tuple[str, ...]:
    """Accept a list of at most 10 ARNs of managed policies."""
    found: list[str] = []
    for number, item in enumerate(_items(value, MOST_POLICY_ARNS, "policies"), start=1):
        try:
            found.append(arn.policy_arn(item))
        except RefusedError as error:
            raise RefusedError(f"item {number} {error.reason}", hint=error.hint, got="") from None
    return tuple(found)


def credential_process(value: object) -> tuple[str, ...]:
    """Accept a command as a list: an absolute path and its arguments. No shell reads it."""
    words = _items(value, 100, "words")
    if not words:
        raise RefusedError("must name a command", got="(got an empty list)")
    for number, word in enumerate(words, start=1):
        if not isinstance(word, str) or "\0" in word:
            raise RefusedError(f"item {number} must be text", got="")
    command = str(words[0])
    if not command.startswith("/"):
        raise RefusedError(
            "must begin with the absolute path of a command",
            hint="it is started directly: no shell, no PATH",
            got="",
        )
    return tuple(str(word) for word in words)


def _items(value: object, most: int, what: str) -> list[object]:
    if not isinstance(value, list):
        raise RefusedError("must be a list", hint="write it as [a, b] or as lines with dashes")
    if len(value) > most:
        raise RefusedError(f"must have at most {most} {what}", got=f"(got {len(value)})")
    return list(value)
