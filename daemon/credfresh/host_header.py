"""The host that a request names: HTTP servers on loopback know by it whom to answer.

A browser on this host can be made to ask us by a web page whose own name was pointed at 127.0.0.1
(DNS rebinding). It sends that name in the Host header.
"""

from __future__ import annotations

import re

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(:[0-9]*)?")


def host_in(header: str) -> str | None:
    """Return the host of a Host header in lower case, without the port; None if it is malformed.

    The port does not matter: a tunnel has another one.
    """
    match = _HOST.fullmatch(header)
    return None if match is None else match[1].lower()
