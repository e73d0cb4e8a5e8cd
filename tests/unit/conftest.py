"""Shared by all unit tests: hypothesis judges an example by its outcome, not by its time."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# By default an example may take 200 ms: on a busy machine any can take longer, now and then.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
