"""Accepts the URLs of servers, and repeats in a message none that may hold a secret."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from typing import NoReturn

from credfresh.config.words import RefusedError, text

_MAYBE_SECRET = re.compile(r"[@?]|:(?!//|:|\d+(?:[]/]|$))")
"""A user or a query in a URL, or what may be a password: what follows a `:` and is no port."""


def endpoint_url(value: object) -> str:
    """Accept https://HOST[:PORT], or http:// to this host alone: requests carry signatures."""
    word = url(value)
    if is_plaintext(word):
        raise RefusedError("must be https, except to this host", hint="http:// only to 127.0.0.1")
    return word


def is_plaintext(address: str) -> bool:
    """Say whether an accepted URL leads off this host without TLS."""
    parts = urllib.parse.urlsplit(address)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def url(value: object) -> str:
    """Accept https://HOST[:PORT] or http://; whether http is right there is the caller's to say."""
    word = text(value)
    try:
        parts = urllib.parse.urlsplit(word)
        port = parts.port
    except ValueError:
        _bad_url("must be a URL", word)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        _bad_url("must be https://HOST or https://HOST:PORT", word)
    if parts.username or parts.password:
        _bad_url("must not contain a user or password", word)
    if parts.query or parts.fragment or not re.fullmatch(r"[\x21-\x7e]+", word):
        _bad_url("must be https://HOST or https://HOST:PORT", word)
    return word


def _bad_url(reason: str, word: str) -> NoReturn:
    raise RefusedError(reason, got="" if _MAYBE_SECRET.search(word) else None)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
