"""What a configuration may depend on besides its file, in one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from credfresh.values import dataclass

SOCKET = "control.sock"
"""The name of the control socket in the service's RuntimeDirectory=."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The daemon's environment variables, its host's name, and how links resolve here."""

    environment: Mapping[str, str]
    hostname: str
    resolve: Callable[[str], str]


def control_socket(environment: Mapping[str, str]) -> str | None:
    """Return where the control socket is if none is configured; None if there is no place for it.

    systemd.exec(5): $RUNTIME_DIRECTORY holds the absolute paths, a colon between each two.
    """
    directory = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return f"{directory}/{SOCKET}" if directory.startswith("/") else None
