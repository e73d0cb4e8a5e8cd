"""The protocol of the control socket: one line of JSON each way, version 1. Pure.

A client sends `{"version": 1, "ask": …}` and gets `{"version": 1, "answer": {…}}` or
`{"version": 1, "error": {"code": …, "message": …, "hint": …}}`; then the connection is closed.
docs/control.md is the reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

VERSION = 1

MOST_REQUEST = 64 * 1024
"""Bytes of a request at most, its line end included."""

MOST_NAME = 128
"""Characters of a profile's name at most (as in the configuration)."""

MOST_TIMEOUT = 3600.0
"""Seconds that a question may wait for its answer at most."""

MOST_VALID_FOR = 43_200.0
"""Seconds: the longest session that AWS STS grants (AssumeRole, DurationSeconds)."""


class RequestError(Exception):
    """A request is refused; `code` is for programs, `message` a sentence for people."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    instances: tuple[str, ...] = ()
    """Only a daemon that is called one of these may answer; any if none is named."""


@dataclass(frozen=True, slots=True)
class Status(_Asked):
    """How are all profiles?"""


@dataclass(frozen=True, slots=True)
class Ensure(_Asked):
    """Tell me when the published credentials of `profile` last for `valid_for` more seconds.

    The answer comes within `timeout` seconds.
    """

    profile: str
    valid_for: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Renew(_Asked):
    """Renew these profiles now, all if none is named, and tell me what came of it."""

    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reload(_Asked):
    """Read the configuration again, and tell me what came of it."""


@dataclass(frozen=True, slots=True)
class Withdraw(_Asked):
    """Take away what is published for these profiles, for all if none is named."""

    profiles: tuple[str, ...] = ()


Request = Status | Ensure | Renew | Reload | Withdraw

_ANSWERS: Mapping[type[Request], frozenset[str]] = {
    Status: frozenset({"profiles"}),
    Ensure: frozenset({"reached", "seconds_left", "asked_s"}),
    Renew: frozenset({"profiles"}),
    Reload: frozenset({"accepted"}),
    Withdraw: frozenset({"profiles"}),
}
"""The keys that each answer must have."""

_VERDICTS: Mapping[type[Request], tuple[str, frozenset[str], frozenset[str]]] = {
    Ensure: ("reached", frozenset(), frozenset({"error", "hint", "most_s"})),
    Reload: (
        "accepted",
        frozenset({"added", "removed", "changed", "needs_restart"}),
        frozenset({"problems"}),
    ),
}
"""The key of an answer's verdict, and the further keys that it must have if true, and if false."""

_OUTCOME = frozenset({"profile", "expiration", "error", "hint"})
_OF_EACH: Mapping[type[Request], frozenset[str]] = {
    Status: frozenset(
        {"profile", "state", "expiration", "seconds_left", "lifetime_s", "renew_in_s", "last_error"}
    ),
    Renew: _OUTCOME | {"renewed"},
    Reload: frozenset({"source", "line", "column", "path", "reason", "hint"}),
    Withdraw: _OUTCOME | {"withdrawn"},
}
"""The keys that each item of an answer's `profiles`, or `problems`, must have."""

PRIVILEGED = (Renew, Reload, Withdraw)
"""Requests for root and the daemon's user alone; the others are for all who may connect."""


def suffices(life_left: float, valid_for: float) -> bool:
    """Say whether an `Ensure` holds; no life at all never suffices, even if `valid_for` is 0."""
    return life_left > 0 and life_left >= valid_for


def encode_request(request: Request) -> bytes:
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
        RequestError: the line is no request of this version.
    """
    try:
        said = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RequestError("bad_request", "not a line of JSON") from None
    if not isinstance(said, dict):
        raise RequestError("bad_request", "not a JSON object")
    version = said.pop("version", None)
    if version != VERSION or type(version) is not int:  # True and 1.0 are 1 to Python
        raise RequestError(
            "unsupported_version", f"this daemon speaks version {VERSION} of the protocol"
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
            raise RequestError("bad_request", "`ask` names nothing that can be asked")
    if said:
        raise RequestError("bad_request", f"{len(said)} unknown keys beside {ask}")
    return request


NOBODY = 65534
"""What the kernel shows for users that have no number in our user namespace."""


def check_right(request: Request, *, uid: int, own: int) -> None:
    """Refuse a request that user `uid` may not make; `own` is the daemon's user.

    Under PrivateUsers= the kernel shows us every other user as NOBODY, so that none of them can
    pass for root or for the daemon's user.

    Raises:
        RequestError: the user may not make it.
    """
    if isinstance(request, PRIVILEGED) and uid not in (0, own):
        you = "another user" if uid == NOBODY else f"uid {uid}"
        raise RequestError(
            "not_allowed",
            f"{type(request).__name__.lower()} is for root and the daemon's user (uid {own});"
            f" you are {you}",
            hint="sudo, or ask for status and ensure only",
        )


def check_instance(request: Request, instance: str) -> None:
    """Refuse a request that is meant for another daemon than `instance`.

    Raises:
        RequestError: the request names other instances only.
    """
    if request.instances and instance not in request.instances:
        raise RequestError(
            "another_daemon",
            f"the daemon that answers is another configuration's (instance {instance})",
            hint="where yours names no socket: set control.socket there, or use --socket",
        )


def encode_answer(answer: Mapping[str, Any]) -> bytes:
    """Return an answer as its line."""
    return _line({"version": VERSION, "answer": answer})


def encode_error(code: str, message: str, *, hint: str | None = None) -> bytes:
    """Return an error as its line."""
    return _line({"version": VERSION, "error": {"code": code, "message": message, "hint": hint}})


def decode_answer(line: bytes, request: Request) -> dict[str, Any]:
    """Return the daemon's answer to `request`.

    Raises:
        RequestError: the line is an error, or no answer of this version.
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    match said:
        case {"error": {"code": str(code), "message": str(message), "hint": str() | None as hint}}:
            raise RequestError(code, message, hint=hint)
        case {"version": int(1), "answer": dict(answer)} if _whole(answer, request):
            return answer
        case {"version": int(version)} if version != VERSION:
            raise RequestError("unsupported_version", f"the daemon speaks version {version}")
        case _:
            message = "what answers here is no credfresh daemon, or not of this version"
            raise RequestError("bad_answer", message)


def _whole(answer: Mapping[str, Any], request: Request) -> bool:
    """Say whether an answer has all the keys that a client reads."""
    asked = type(request)
    members = _ANSWERS[asked]
    if asked in _VERDICTS:
        verdict, if_true, if_false = _VERDICTS[asked]
        members |= if_true if answer.get(verdict) else if_false
    of_each = _OF_EACH.get(asked, frozenset())
    each = answer.get("profiles", answer.get("problems", []))
    return (
        answer.keys() >= members
        and isinstance(each, list)
        and all(isinstance(one, dict) and one.keys() >= of_each for one in each)
    )


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
    raise RequestError("bad_request", f"a name is a text of 1 to {MOST_NAME} characters")


def _names(said: dict[str, Any], key: str) -> tuple[str, ...]:
    names = said.pop(key, [])
    if not isinstance(names, list):
        raise RequestError("bad_request", f"`{key}` must be a list of names")
    return tuple(dict.fromkeys(_name(name) for name in names))


def _seconds(said: dict[str, Any], key: str, most: float) -> float:
    value = said.pop(key, None)
    # To Python a bool is an int; and json reads 1e999 as infinity.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
        return float(value)
    raise RequestError("bad_request", f"`{key}` must be a number of seconds, 0 to {most:.0f}")
