"""The name of a daemon whose configuration gives it none."""

from __future__ import annotations

import hashlib
import os


def default_instance(source: str) -> str:
    """Return the instance of the configuration at the path `source`, for when it sets none."""
    named = os.path.abspath(source)  # noqa: PTH100 - a link may lead elsewhere after an upgrade
    return hashlib.sha256(os.fsencode(named)).hexdigest()[:16]
