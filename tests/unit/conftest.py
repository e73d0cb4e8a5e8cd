"""What unit tests share: properties that are judged by what they say, not by how long they take."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# An example may take 200 ms by default: on a busy machine any does, now and then.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
