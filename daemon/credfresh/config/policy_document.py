"""The inline session policy: YAML or JSON text in, compact JSON out."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from credfresh.config.words import RefusedError

MOST_CHARACTERS = 2048
"""AWS STS API reference, AssumeRole, Policy: the plaintext, as it is sent."""

_MOST_READ = 64 * 1024
_FILE = re.compile(r"file://|[./~]|.*\.json\Z")
"""How the AWS CLI is told to read a policy from a file."""
# The same page: tab, line feed, carriage return and U+0020 to U+00FF.
_ALLOWED = re.compile("[\t\n\r -\xff]*")


def session_policy(value: object) -> str:
    """Accept a policy as a mapping, or as text that is a JSON object; return compact JSON.

    In a mapping every value is text (`"true"` for true); IAM reads numbers and booleans from
    text as well. White space is taken out, so it does not count against the 2,048 characters,
    and a change of it causes no renewal.
    """
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, dict):
        raise RefusedError("must be a policy: a mapping, or text that is a JSON object")
    if "Statement" not in value:
        raise RefusedError("is no policy: it has no `Statement`", got="")
    try:
        policy = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise RefusedError("is nested too deep", got="") from None
    if len(policy) > MOST_CHARACTERS:
        raise RefusedError(
            f"must have at most {MOST_CHARACTERS:,} characters as compact JSON",
            hint="attach a managed policy and name it in `policy_arns`",
            got=f"(got {len(policy):,})",
        )
    if not _ALLOWED.fullmatch(policy):
        raise RefusedError("has a character beyond U+00FF, which IAM does not take", got="")
    return policy


def _parsed(text: str) -> object:
    if len(text) > _MOST_READ:
        raise RefusedError(
            f"must have at most {MOST_CHARACTERS:,} characters", got=f"(got {len(text):,})"
        )
    try:
        parsed: object = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        raise RefusedError(
            f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno} of it",
            hint=_instead(text),
            got="",
        ) from None
    except RecursionError:
        raise RefusedError("is nested too deep", got="") from None
    except RefusedError:
        raise
    except ValueError:  # a number of thousands of digits
        raise RefusedError("is not JSON that IAM takes", got="") from None
    return parsed


def _instead(text: str) -> str | None:
    """Return the hint for what people write in the place of a policy."""
    if _FILE.match(text):
        return "no file is read: write the policy itself here"
    return "a managed policy goes into `policy_arns`" if text.startswith("arn:") else None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedError("has an object with a duplicate key", got="")
    return found


def _no_constant(_: str) -> NoReturn:
    raise RefusedError("has a number that JSON does not have", got="")
