"""What of the world a configuration may depend on, gathered in one value."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The daemon's environment variables, its host's name, and how links resolve here."""

    environment: Mapping[str, str] = field(default_factory=dict)
    hostname: str = "localhost"
    resolve: Callable[[str], str] = os.path.realpath

    @classmethod
    def here(cls) -> Surroundings:
        """Return those of this process on this host."""
        return cls(os.environ, socket.gethostname())
