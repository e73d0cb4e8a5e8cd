"""Views made by hand: the daemon at one moment, as a test needs it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from credfresh.metrics.snapshot import RESULTS, Figures, Snapshot, Trouble
from credfresh.metrics.view import STATES, View
from credfresh.model import Instant
from credfresh.settings import MetricsSettings
from credfresh.statuses import State
from fakes import EPOCH, profile, settings

NOW = Instant(EPOCH, 1000.0)
TROUBLE = Trouble("AccessDenied", "User: ci is not authorized", "mend the trust policy")


def figures(
    name: str = "production",
    state: State = "fresh",
    *,
    age: float = 1200.0,
    lifetime: float = 3600.0,
    failures: int = 0,
    failing_for: float = 300.0,
    renew_in: float = 480.0,
    retry_in: float = 21.0,
    trouble: Trouble | None = None,
    key: str = "ASIAFAKE000000000000",
) -> Figures:
    """Return the figures of a profile whose session was issued `age` seconds ago."""
    has = state not in {"missing", "refused"}
    now = NOW.wall
    return Figures(
        profile=profile(name),
        state=state,
        access_key_id=key if has else None,
        issued=now - age if has else None,
        expiration=now - age + lifetime if has else None,
        seconds_left=max(0.0, lifetime - age) if has else 0.0,
        lifetime=lifetime if has else 0.0,
        renew_at=now + renew_in if has else None,
        next_attempt=now + (retry_in if failures else renew_in),
        last_success=now - age if has else None,
        failures=failures,
        failing_since=now - failing_for if failures else None,
        results=(3, failures, 0, 0),
        trouble=trouble or (TROUBLE if failures else None),
    )


def snapshot(*profiles: Figures, detail: bool = False, ready: bool = True) -> Snapshot:
    """Return a snapshot with these profiles."""
    assert len(RESULTS) == 4
    config = settings(*(one.profile for one in profiles))
    return Snapshot(
        taken=NOW,
        settings=replace(config, metrics=MetricsSettings(detail=detail)),
        profiles=profiles,
        ready=ready,
        reloaded=True,
        skew=None,
        lag=0.0,
        writes={"written": 2, "unchanged": 1, "failed": 0},
        last_write=NOW.wall - 60,
    )


def view(*profiles: Figures, detail: bool = False, ready: bool = True) -> View:
    """Return a view in which the files hold what the daemon believes."""
    counts = Counter(one.state for one in profiles)
    return View(
        snapshot(*profiles, detail=detail, ready=ready),
        profiles,
        {state: counts[state] for state in STATES},
    )
