"""Takes what may be a secret out of texts that others wrote. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 300
"""Characters that are repeated, at most."""

GONE = "[...]"

_ARN_OR_SECRET = re.compile(
    r"(?P<arn>\barn:[\w-]+:[\w-]*:[\w-]*:\d*:[\w+=,.@/-]{1,256})"  # names, never secrets
    r"|\beyJ[\w.=-]+"  # a JSON web token
    r"|[A-Za-z0-9+/=_%-]{40,}"  # secret keys have 40 characters, tokens hundreds
    r"|(?<=://)[^/@\s]+(?=@)"  # user:password of a URL
)
_SIGNED_TEXT = re.compile(r"\s*The Canonical String\b.*", re.DOTALL | re.IGNORECASE)
"""STS quotes the text that it signed, with the session token in it, if a signature is wrong."""


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """Return one line of `text`, at most `MOST` characters, without what may be a secret.

    The given `secrets` are taken out, and all else that looks like a key, a token or a password.
    ARNs stay: a person must know who was refused what.
    """
    for secret in secrets:
        text = text.replace(secret, GONE)
    text = _SIGNED_TEXT.sub("", text)
    text = _ARN_OR_SECRET.sub(lambda found: found["arn"] or GONE, text)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MOST else f"{line[: MOST - 3]}..."
