"""Quotes the configuration in messages, but never anything that may be a secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice

Path = tuple[str | int, ...]
"""Where a value stands: keys and list indexes, from the top."""

HIDDEN = frozenset(
    {
        "credential_process",
        "command",
        "external_id",
        "policy",
        "secret_id_file",  # people paste the content of such a file: a UUID looks like no secret
        "session_tags",
        "token_file",
        "transitive_tag_keys",
    }
)
"""Keys whose values, and all within them, are never shown."""

_MOST_SHOWN = 100
_MOST_PARTS = 8
_RUN = re.compile(r"[A-Za-z0-9+/=]{20,}")
_HEX = re.compile(r"[0-9A-Fa-f]{32,}")
_VAULT = re.compile(r"\bhv[sbr]\.")
_IN_URL = re.compile(r"//[^/@\s]*:[^/@\s]+@")
"""A user's password in a URL."""
_NOT_PLAIN = re.compile(
    "[\xa0\xab\xad\xbb\u2000-\u2015\u2018-\u201f\u202a-\u202f\u205f-\u2060\u2212\u3000\ufeff]"
)
"""The spaces, dashes and quotes of word processors, and characters that cannot be seen."""
_LONG = 40
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_MOST_CANDIDATES = 200


def looks_secret(text: str) -> bool:
    """Say whether `text` holds what may be a key, a token or a digest.

    A secret access key is 40 characters of base64; a token is longer. One in a thousand has no
    digit. An access key id (no lower case) and a role ARN are not taken for one. A false alarm
    costs one `(got …)`.
    """
    if "PRIVATE KEY" in text or any(p.search(text) for p in (_HEX, _VAULT, _IN_URL)):
        return True
    return any(
        any(c.islower() for c in run)
        and any(c.isupper() for c in run)
        and (len(run) >= _LONG or re.search(r"\d", run))
        for run in _RUN.findall(text)
    )


def shown(text: str) -> str:
    """Render one word of the file, quoted and on one line, or say that it is withheld.

    What is not ASCII is escaped: a Cyrillic letter that looks like a Latin one may be the mistake.
    """
    if looks_secret(text):
        return "a value not shown here"
    if len(text) > _MOST_SHOWN:
        return f"{text[: _MOST_SHOWN - 12]!a}… ({len(text):,} characters)"
    return ascii(text)


def got(value: object, path: Path) -> str:
    """Render `(got …)` for a value at `path`: its kind where its content may be secret."""
    match value:
        case str() if HIDDEN.isdisjoint(path):
            return f"(got {shown(value)})"
        case str():
            return f"(got {len(value):,} characters, not shown)"
        case dict():
            return "(got a mapping)"
        case list():
            return "(got a list)"
        case _:
            return ""


def kind(value: object) -> str:
    """Name the kind of a value, never its content."""
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "text"


def dotted(path: Path) -> str:
    """Render a path as `profiles.production.policy_arns[2]`, odd names in quotes.

    Below a hidden key it ends: to YAML, the text of `external_id: {text}` is a name.
    """
    named = 2 if path[:1] in (("profiles",), ("sources",)) else 1  # by people: it hides nothing
    hides = (end for end, part in enumerate(path[named:], named + 1) if part in HIDDEN)
    shown_to = min(next(hides, _MOST_PARTS), _MOST_PARTS)
    parts = [
        f"[{part}]" if isinstance(part, int) else f".{_name(part)}" for part in path[:shown_to]
    ]
    rest = "…" if len(path) > shown_to else ""
    return "".join(parts).removeprefix(".") + rest


def _name(part: str) -> str:
    if looks_secret(part):
        return "(name not shown)"
    return part if _PLAIN.fullmatch(part) and len(part) <= _MOST_SHOWN else shown(part)


def not_plain(text: str) -> str | None:
    """Return the hint for a text with a character that looks like another, if it has one."""
    odd = _NOT_PLAIN.search(text)
    return odd and f"`{ascii(odd[0])[1:-1]}` is no plain space, dash or quote: type the line anew"


def closest(word: str, candidates: Iterable[str], *, least: float = 0.6) -> str | None:
    """Return the candidate that `word` is probably a slip of, if any. Bounded in time.

    `least` is how alike they must be, 0 to 1. One that ends in `word`, as `role_arn` in `arn`,
    comes first; one that begins with it is close, too.
    """
    word = _folded(word[:_MOST_SHOWN])
    slack = max(4, len(word) // 3)
    worth = (
        c
        for c in candidates
        if abs(len(c) - len(word)) <= slack or _begins(c, word) or _ends(c, word)
    )
    folded = {_folded(candidate): candidate for candidate in islice(worth, _MOST_CANDIDATES)}
    near = [whole for whole in folded if _ends(whole, word)]
    near = near or difflib.get_close_matches(word, folded, n=1, cutoff=least)
    near = near or [whole for whole in folded if _begins(whole, word)]
    return folded[near[0]] if near and not looks_secret(folded[near[0]]) else None


def _begins(whole: str, word: str) -> bool:
    return len(word) > 2 and _folded(whole).startswith(word)  # noqa: PLR2004  # `prod`, not `p`


def _ends(whole: str, word: str) -> bool:
    return len(word) > 2 and _folded(whole).endswith(f"_{word}")  # noqa: PLR2004  # as above


def _folded(word: str) -> str:
    return word.lower().replace("-", "_")


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """Return the hint for a misspelt word, if one candidate is close."""
    near = closest(word, candidates)
    return f"did you mean `{near}`?" if near and near.isprintable() else None
