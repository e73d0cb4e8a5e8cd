"""What a client must find in an answer: each key that it reads, and of which type. Pure.

What answers may be another service, or a daemon of another version. Keys beyond these are passed on
as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypedDict, get_args, get_origin, get_type_hints, is_typeddict


class ProfileState(TypedDict):
    """One profile in the answer to `status`; see `ProfileStatus.as_json`."""

    profile: str
    state: str
    expiration: str | None
    seconds_left: int
    renew_at: str | None
    guarantee_s: int | None
    consecutive_failures: int
    access_key_id: str | None
    role_arn: str
    last_error: str | None
    hint: str | None
    lifetime_s: int | None
    renew_in_s: int | None


class Report(TypedDict):
    """The answer to `status`."""

    instance: str
    reload_refused: str | None
    profiles: list[ProfileState]


class Reached(TypedDict):
    """The answer to `ensure`: the credentials last that long."""

    reached: Literal[True]
    profile: str
    asked_s: int
    seconds_left: int


class NotReached(TypedDict):
    """The answer to `ensure`: they do not."""

    reached: Literal[False]
    profile: str
    asked_s: int
    seconds_left: int
    error: str
    hint: str | None
    most_s: int | None


class Outcome(TypedDict):
    """What `renew` and `withdraw` tell of each profile, beside the verdict."""

    profile: str
    earlier: bool
    expiration: str | None
    error: str | None
    hint: str | None


class Renewal(Outcome):
    """One profile in the answer to `renew`."""

    renewed: bool


class Withdrawal(Outcome):
    """One profile in the answer to `withdraw`."""

    withdrawn: bool


class Renewals(TypedDict):
    """The answer to `renew`."""

    profiles: list[Renewal]


class Withdrawals(TypedDict):
    """The answer to `withdraw`."""

    profiles: list[Withdrawal]


class Reloaded(TypedDict):
    """The answer to `reload`: the configuration was taken over."""

    accepted: Literal[True]
    added: list[str]
    removed: list[str]
    changed: list[str]
    needs_restart: list[str]


class Mistake(TypedDict):
    """One mistake in a configuration; see `errors.Problem`."""

    source: str
    line: int
    column: int
    path: str
    reason: str
    hint: str | None


class NotReloaded(TypedDict):
    """The answer to `reload`: it was refused."""

    accepted: Literal[False]
    problems: list[Mistake]


@cache
def fitting(shape: Any) -> Callable[[object], bool]:
    """Return what says whether a value of JSON has a shape: one of the above, or a type of theirs.

    It is put together once for each shape: a status may have ten thousand profiles.
    """
    if is_typeddict(shape):
        keys = [(key, fitting(hint)) for key, hint in get_type_hints(shape).items()]
        return lambda value: (
            isinstance(value, dict) and all(key in value and fits(value[key]) for key, fits in keys)
        )
    if get_origin(shape) is list:
        each = fitting(*get_args(shape))
        return lambda value: isinstance(value, list) and all(map(each, value))
    if get_origin(shape) is Literal:
        return lambda value: value in get_args(shape)
    return lambda value: isinstance(value, shape)
