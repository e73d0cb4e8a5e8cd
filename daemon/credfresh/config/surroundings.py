"""What of the world a configuration may depend on, gathered in one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The daemon's environment variables, its host's name, and how links resolve here."""

    environment: Mapping[str, str]
    hostname: str
    resolve: Callable[[str], str]
