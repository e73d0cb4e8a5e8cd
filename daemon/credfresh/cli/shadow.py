"""Finds what hides the refreshable twin from SDKs in this environment."""

from __future__ import annotations

from collections.abc import Mapping

from credfresh.regular import only_regular
from credfresh.twin import MARK

MOST = 1 << 20
"""Bytes of a file that are looked at."""


def shadow(environ: Mapping[str, str]) -> str | None:
    """Say what outranks the twin that AWS_CONFIG_FILE names; None for nothing, or no twin.

    In every SDK but that for Rust, static keys under the name of a profile come before its
    `credential_process`, and keys in the environment before both.
    """
    config = environ.get("AWS_CONFIG_FILE", "")
    profile = environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or "default"
    if not config or not _read(config).startswith(MARK):
        return None
    if environ.get("AWS_ACCESS_KEY_ID"):
        return "AWS_ACCESS_KEY_ID is set here: it outranks the twin, and is not renewed"
    home = f"{environ.get('HOME', '')}/.aws/credentials"
    shared = environ.get("AWS_SHARED_CREDENTIALS_FILE") or home
    if f"[{profile}]" in _read(shared).splitlines():
        return (
            f"{shared} has a section [{profile}], which outranks the twin here, and which an SDK"
            f" reads once: set all that stands in {profile}.env"
        )
    return None


def _read(path: str) -> str:
    try:
        with open(path, "rb", opener=only_regular) as file:
            return file.read(MOST).decode("utf-8", "replace")
    except OSError:
        return ""
