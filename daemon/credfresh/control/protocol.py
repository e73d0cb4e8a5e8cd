"""The protocol of the control socket: one line of JSON each way, version 1. Pure.

A client sends `{"version": 1, "ask": …}` and gets `{"version": 1, "answer": {…}}` or
`{"version": 1, "error": {"code": …, "message": …, "hint": …}}`; then the connection is closed.
docs/control.md is the reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, NoReturn, TypeVar, cast

from credfresh.control.shapes import (
    NotReached,
    NotReloaded,
    Reached,
    Reloaded,
    Renewals,
    Report,
    Withdrawals,
    fitting,
)
from credfresh.errors import ControlCode, ControlError
from credfresh.values import dataclass

VERSION = 1

MOST_REQUEST = 64 * 1024
"""Bytes of a request at most, its line end included."""

MOST_NAME = 128
"""Characters of a profile's name at most (as in the configuration)."""

MOST_TIMEOUT = 3600.0
"""Seconds that a question may wait for its answer at most."""

MOST_VALID_FOR = 43_200.0
"""Seconds: the longest session that AWS STS grants (AssumeRole, DurationSeconds)."""


Answer = TypeVar("Answer", covariant=True)  # noqa: PLC0105 - a word for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[Answer]):
    """A request, and what its answer is."""

    instances: tuple[str, ...] = ()
    """Only a daemon that is called one of these may answer; any if none is named."""


@dataclass(frozen=True, slots=True)
class Status(Asked[Report]):
    """How are all profiles?"""


@dataclass(frozen=True, slots=True)
class Ensure(Asked[Reached | NotReached]):
    """Tell me when the published credentials of `profile` last for `valid_for` more seconds.

    The answer comes within `timeout` seconds.
    """

    profile: str
    valid_for: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Renew(Asked[Renewals]):
    """Renew these profiles now, all if none is named, and tell me what came of it."""

    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reload(Asked[Reloaded | NotReloaded]):
    """Read the configuration again, and tell me what came of it."""


@dataclass(frozen=True, slots=True)
class Withdraw(Asked[Withdrawals]):
    """Take away what is published for these profiles, for all if none is named."""

    profiles: tuple[str, ...] = ()


Request = Status | Ensure | Renew | Reload | Withdraw

_ANSWERS: Mapping[type[Asked[Any]], tuple[type, ...]] = {
    Status: (Report,),
    Ensure: (Reached, NotReached),
    Renew: (Renewals,),
    Reload: (Reloaded, NotReloaded),
    Withdraw: (Withdrawals,),
}
"""The shapes of the answer to each."""

PRIVILEGED = (Renew, Reload, Withdraw)
"""Requests for root and the daemon's user alone; the others are for all who may connect."""


def suffices(life_left: float, valid_for: float) -> bool:
    """Say whether an `Ensure` holds; no life at all never suffices, even if `valid_for` is 0."""
    return life_left > 0 and life_left >= valid_for


def encode_request(request: Asked[Any]) -> bytes:
    """Return a request as its line."""
    said: dict[str, Any] = {"version": VERSION, "ask": type(request).__name__.lower()}
    match request:
        case Ensure(profile, valid_for, timeout):
            said |= {"profile": profile, "valid_for_s": valid_for, "timeout_s": timeout}
        case Renew(profiles) | Withdraw(profiles):
            said["profiles"] = profiles
        case _:
            pass
    if request.instances:
        said["instances"] = request.instances
    return _line(said)


def decode_request(line: bytes) -> Request:
    """Return the request in a line.

    Raises:
        ControlError: the line is no request of this version.
    """
    try:
        said = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ControlError(ControlCode.BAD_REQUEST, "not a line of JSON") from None
    if not isinstance(said, dict):
        raise ControlError(ControlCode.BAD_REQUEST, "not a JSON object")
    version = said.pop("version", None)
    if version != VERSION or type(version) is not int:  # True and 1.0 are 1 to Python
        raise ControlError(
            ControlCode.UNSUPPORTED_VERSION, f"this daemon speaks version {VERSION} of the protocol"
        )
    ask = said.pop("ask", None)
    instances = _names(said, "instances")
    request: Request
    match ask:
        case "status":
            request = Status(instances=instances)
        case "ensure":
            request = Ensure(
                profile=_name(said.pop("profile", None)),
                valid_for=_seconds(said, "valid_for_s", MOST_VALID_FOR),
                timeout=_seconds(said, "timeout_s", MOST_TIMEOUT),
                instances=instances,
            )
        case "renew":
            request = Renew(_names(said, "profiles"), instances=instances)
        case "reload":
            request = Reload(instances=instances)
        case "withdraw":
            request = Withdraw(_names(said, "profiles"), instances=instances)
        case _:
            raise ControlError(ControlCode.BAD_REQUEST, "`ask` names nothing that can be asked")
    if said:
        raise ControlError(ControlCode.BAD_REQUEST, f"{len(said)} unknown keys beside {ask}")
    return request


NOBODY = 65534
"""What the kernel shows for users that have no number in our user namespace."""


def check_right(request: Request, *, uid: int, own: int) -> None:
    """Refuse a request that user `uid` may not make; `own` is the daemon's user.

    Under PrivateUsers= the kernel shows us every other user as NOBODY, so that none of them can
    pass for root or for the daemon's user.

    Raises:
        ControlError: the user may not make it.
    """
    if isinstance(request, PRIVILEGED) and uid not in (0, own):
        you = "another user" if uid == NOBODY else f"uid {uid}"
        raise ControlError(
            ControlCode.NOT_ALLOWED,
            f"{type(request).__name__.lower()} is for root and the daemon's user (uid {own});"
            f" you are {you}",
            hint="sudo, or ask for status and ensure only",
        )


def check_instance(request: Request, instance: str) -> None:
    """Refuse a request that is meant for another daemon than `instance`.

    Raises:
        ControlError: the request names other instances only.
    """
    if request.instances and instance not in request.instances:
        raise ControlError(
            ControlCode.ANOTHER_DAEMON,
            f"the daemon that answers is another configuration's (instance {instance})",
            hint="where yours names no socket: set control.socket there, or use --socket",
        )


def encode_answer(answer: Mapping[str, Any]) -> bytes:
    """Return an answer as its line."""
    return _line({"version": VERSION, "answer": answer})


def encode_error(error: ControlError) -> bytes:
    """Return an error as its line."""
    said = {"code": error.code, "message": error.message, "hint": error.hint}
    return _line({"version": VERSION, "error": said})


def decode_answer(line: bytes, request: Asked[Answer]) -> Answer:
    """Return the daemon's answer to `request`.

    Raises:
        ControlError: the line is an error, or no answer of this version.
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    match said:
        case {"error": {"code": str(code), "message": str(message), "hint": str() | None as hint}}:
            raise ControlError(ControlCode(code), message, hint=hint)
        case {"version": int(version)} if version != VERSION:
            message = f"the daemon speaks version {version} of the protocol"
            hint = "use the credfresh of its own version; after an upgrade, restart the daemon"
            raise ControlError(ControlCode.UNSUPPORTED_VERSION, message, hint=hint)
        case {"version": int(1), "answer": answer}:
            if any(fitting(shape)(answer) for shape in _ANSWERS[type(request)]):
                return cast("Answer", answer)
    message = "what answers there is no credfresh daemon, or not of this version"
    hint = "find out what listens there; after an upgrade, restart the daemon"
    raise ControlError(ControlCode.BAD_ANSWER, message, hint=hint)


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _no_constant(_word: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are no JSON


def is_name(text: str) -> bool:
    """Say whether a profile could be called that: by its length, and without lone surrogates."""
    return 0 < len(text) <= MOST_NAME and not any("\ud800" <= c <= "\udfff" for c in text)


def _name(value: object) -> str:
    if isinstance(value, str) and is_name(value):
        return value
    raise ControlError(ControlCode.BAD_REQUEST, f"a name is a text of 1 to {MOST_NAME} characters")


def _names(said: dict[str, Any], key: str) -> tuple[str, ...]:
    names = said.pop(key, [])
    if not isinstance(names, list):
        raise ControlError(ControlCode.BAD_REQUEST, f"`{key}` must be a list of names")
    return tuple(dict.fromkeys(_name(name) for name in names))


def _seconds(said: dict[str, Any], key: str, most: float) -> float:
    value = said.pop(key, None)
    # To Python a bool is an int; and json reads 1e999 as infinity.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
        return float(value)
    raise ControlError(
        ControlCode.BAD_REQUEST, f"`{key}` must be a number of seconds, 0 to {most:.0f}"
    )
