"""What a daemon is called where its configuration gives it no name."""

from __future__ import annotations

import hashlib
import os


def default_instance(source: str) -> str:
    """Return the instance of the configuration that is named so, unless it says another one."""
    named = os.path.abspath(source)  # noqa: PTH100 - a link may lead elsewhere after an upgrade
    return hashlib.sha256(os.fsencode(named)).hexdigest()[:16]
