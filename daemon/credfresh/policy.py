"""The renewal policy: when to renew, and when to try again. Pure: time and chance are passed in.

    sent_at                                renew_at                       expires_at
       |------------------------------------|-- jitter --|-- renew_before --|
       0                                                                    L (lifetime)

Everything is counted from the moment before the request left, so that the time a slow answer
took is never mistaken for life. Deadlines are pairs (`Instant`): whichever clock comes first.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from credfresh.errors import Mend
from credfresh.model import Grant, Instant, Upstream
from credfresh.settings import RenewBefore, Rhythm
from credfresh.values import dataclass

MOST_RENEW_BEFORE = 0.8
"""`renew_before` is clamped to this share of the granted lifetime, or it would renew for ever."""

JITTER = (0.02, 0.07)
"""The bounds of the jitter, as shares of the granted lifetime."""

LONGEST_STEP = 512.0
"""Seconds between two bursts of renewals at most, with sessions of twelve hours."""

BURST = 0.005
"""How long a burst may last, as a share of the shortest lifetime: no longer than followers wait at
least. A job that asks for a renewal during a burst waits no longer than that either."""

FOLLOWS = (0.005, 0.013)
"""The bounds of a follower's delay after its hub's renewal, as shares of the granted lifetime:
below the least jitter, so that a follower's readers find `renew_before` of life left as well."""

FOLLOWS_WITHIN = 0.003
"""How much longer a follower may wait to ask for several profiles at once (share of lifetime)."""

FLOOR = 1.0
"""Seconds from the end of one attempt to the next at least, in any case (I6)."""

CAP = 60.0
"""The longest delay between attempts that time may mend, seconds."""

HUMAN_CAP = 300.0
"""The longest delay between attempts while a human must mend something, seconds."""

ATTEMPT_LIMIT = 60.0
"""Seconds after which an attempt in flight counts as failed (I1)."""

MUCH_SHORTER = 0.9
"""A grant below this share of what was asked is worth a warning."""

ANY_RHYTHM = Rhythm()


@dataclass(frozen=True, slots=True)
class Plan:
    """When a grant is to be renewed, and how much life its readers still find then."""

    renew_at: Instant
    renew_before: float
    clamped: bool


def jitter(access_key_id: str, lifetime: float) -> float:
    """Return the seconds by which this grant is renewed early, so that profiles spread.

    It is drawn from a hash of the access key id, so that a restart, a reload or a second look
    gives the same. (If drawn anew at each look, the earliest draw wins and the spread collapses.)
    """
    return _drawn(access_key_id, JITTER) * lifetime


def renewal(at: Instant, lifetime: float, salt: str) -> Instant:
    """Return when to renew what lasts `lifetime` seconds from `at` on: half way, spread by `salt`.

    For tokens of the engine; credentials have a `plan`.
    """
    return at + (0.5 * lifetime - jitter(salt, lifetime))


def _drawn(seed: str, bounds: tuple[float, float]) -> float:
    """Return a number between the bounds, always the same for the same seed."""
    digest = hashlib.sha256(seed.encode()).digest()
    low, high = bounds
    return low + (high - low) * (int.from_bytes(digest[:8]) / 2**64)


def calls_needed(profiles: Mapping[tuple[int, RenewBefore], int]) -> float:
    """Return the calls a second that renewing all `profiles` takes on average, at most.

    Each kind of profile is the seconds it asks for, and how long before their end to renew; the
    value says how many there are.
    """
    return sum(
        many / (life - min(before.of(life), MOST_RENEW_BEFORE * life) - JITTER[1] * life)
        for (life, before), many in profiles.items()
    )


def rhythm(salt: str, *, shortest: float, busy: float) -> Rhythm:
    """Return when the daemon called `salt` renews.

    `shortest` is the least duration that it asks for, in seconds; `busy` the share of the calls
    allowed a second that it needs on average (`calls_needed`). The more it needs, the longer a
    burst lasts, and the closer together the bursts must be.
    """
    return Rhythm(_drawn(salt, (0.0, LONGEST_STEP)), min(BURST * shortest / busy, LONGEST_STEP))


def plan(grant: Grant, renew_before: RenewBefore, rhythm: Rhythm = ANY_RHYTHM) -> Plan:
    """Decide when to renew `grant`; a follower asks soon after the hub that it follows renews.

    Within the bounds of the jitter a moment is chosen that many grants share (`_together`): a
    renewal in a burst costs a third of a lone one.
    """
    lifetime = grant.lifetime
    if grant.upstream is not None:
        return _followed(grant, grant.upstream, rhythm)
    wished = renew_before.of(lifetime)
    most = MOST_RENEW_BEFORE * lifetime
    before = min(wished, most)
    ends = grant.sent_at.wall + lifetime - before
    least, longest = JITTER
    at = _together(
        ends - longest * lifetime,
        ends - jitter(grant.credentials.access_key_id, lifetime),
        ends - least * lifetime,
        rhythm,
    )
    return Plan(
        renew_at=grant.sent_at + (at - grant.sent_at.wall),
        renew_before=before,
        clamped=wished > most,
    )


def _followed(grant: Grant, upstream: Upstream, rhythm: Rhythm) -> Plan:
    key, lifetime = grant.credentials.access_key_id, grant.lifetime
    delay = _drawn(f"{key} {upstream.salt}", FOLLOWS) * lifetime
    asks = grant.sent_at.wall + upstream.renews_after + delay
    at = _together(asks, asks, asks + FOLLOWS_WITHIN * lifetime, rhythm)
    renews_after = min(at - grant.sent_at.wall, lifetime)
    return Plan(grant.sent_at + renews_after, lifetime - renews_after, clamped=False)


def _together(earliest: float, drawn: float, latest: float, rhythm: Rhythm) -> float:
    """Return the wall second nearest to `drawn`, of those that all grants of a daemon share.

    They lie as far apart as the bounds allow, by powers of two: so the moments of longer lifetimes
    are among those of shorter ones.
    """
    widest = min(latest - earliest, rhythm.longest)
    if widest <= 0:  # a life so short that the clock cannot tell the bounds apart
        return drawn
    step = math.ldexp(0.5, math.frexp(widest)[1])  # the largest power of two that fits
    nearest = rhythm.phase + round((drawn - rhythm.phase) / step) * step
    if nearest > latest:
        return nearest - step
    return nearest + step if nearest < earliest else nearest


def much_shorter(grant: Grant) -> bool:
    """Say whether STS granted much less than was asked (a success all the same)."""
    return grant.lifetime < MUCH_SHORTER * grant.asked


def retry_cap(mend: Mend, life_left: float) -> float:
    """Return the longest delay before the next attempt, seconds.

    `life_left` is the life left of the published credentials, 0 if there are none: the less is
    left, the more often we try.
    """
    if mend is Mend.HUMAN:
        return HUMAN_CAP
    if life_left <= 0:
        return CAP
    return min(max(life_left / 10, FLOOR), CAP)


def retry_delay(
    failures: int,
    mend: Mend,
    life_left: float,
    roll: float,
    retry_after: float | None = None,
) -> float:
    """Return the seconds from the end of a failed attempt until the next is eligible.

    Full jitter between the floor and a ceiling that doubles with each consecutive failure
    (`failures` >= 1) up to the cap. The delay that the server asked for (`retry_after`) is
    honoured within the cap. 0 <= `roll` < 1.
    """
    cap = retry_cap(mend, life_left)
    ceiling = max(FLOOR, min(cap, float(1 << min(failures, 30))))
    delay = FLOOR + roll * (ceiling - FLOOR)
    if retry_after is not None:
        delay = max(delay, min(retry_after, cap))
    return delay
