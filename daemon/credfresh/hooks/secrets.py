"""Keeps secrets out of what commands print: they may print what they have read."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from credfresh.model import SessionCredentials

TAIL = 20
"""Characters at the end of a secret by which it is found: the beginnings of tokens are alike."""

REDACTED = "[redacted]"
"""What replaces a secret, as elsewhere in the log."""


class Secrets:
    """The newest secrets of each profile, and the previous ones, which the file may still hold.

    Those of removed profiles stay: they are valid.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}

    def note(self, name: str, own: SessionCredentials, *, keep: bool) -> tuple[str, ...]:
        """Note the newest of a profile; return those that are not known any more.

        The previous ones stay known if `keep` is set: a command may read them.
        """
        newest = own.secret_access_key, own.session_token
        known = self._known.get(name, ())
        if known[:2] == newest:
            return ()
        self._known[name] = (*newest, *known[:2]) if keep else newest
        return known[2:] if keep else known

    def taken_out(self, output: str, more: Iterable[str]) -> str:
        """Return the output without those that are known, and `more`.

        Among other letters they might not be recognised by their look.
        """
        if not output:
            return output
        plain = output.replace("\\/", "/")  # JSON may escape the slash
        tails = {secret[-TAIL:]: secret for secret in chain(*self._known.values())}
        ends = (plain[start : start + TAIL] for start in range(len(plain)))
        for secret in {*more, *(tails[end] for end in ends if end in tails)}:
            output = output.replace(secret, REDACTED)
            output = output.replace(secret.replace("/", "\\/"), REDACTED)
        return output
