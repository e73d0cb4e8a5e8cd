"""Requests and answers on the control socket, and who may ask what."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credfresh.config import words
from credfresh.control import protocol
from credfresh.control.protocol import (
    Ensure,
    Reload,
    Renew,
    Request,
    Status,
    Withdraw,
)
from credfresh.errors import ControlCode, ControlError, Problem
from credfresh.statuses import ProfileStatus

REQUESTS: list[Request] = [
    Status(),
    Ensure("production", 2700.0, 60.0),
    Renew(),
    Renew(("dev", "prod")),
    Reload(),
    Withdraw(("a b",)),
    Status(instances=("a", "5f2a")),
    Ensure("a", 1, 1, instances=("a",)),
    Renew(("a",), instances=("b",)),
    Reload(instances=("a",)),
    Withdraw(instances=("a",)),
]


def refusal(line: bytes) -> ControlError:
    """Return why a line is no request."""
    with pytest.raises(ControlError) as caught:
        protocol.decode_request(line)
    return caught.value


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_arrives_as_it_was_sent(request_: Request) -> None:
    """It is one line, whose end is its last byte."""
    line = protocol.encode_request(request_)

    assert line.endswith(b"\n")
    assert 1 == line.count(b"\n")
    assert request_ == protocol.decode_request(line[:-1])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"null",
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b'{"version": 1}',
        b'{"version": 1, "ask": ["status"]}',
        b'{"version": 1, "ask": "Status"}',
        b'{"version": 1, "ask": "status", "more": 1}',
        b'{"version": 1, "ask": "ensure"}',
        b'{"version": 1, "ask": "ensure", "profile": "", "valid_for_s": 1, "timeout_s": 1}',
        b'{"version": 1, "ask": "ensure", "profile": "a", "valid_for_s": NaN, "timeout_s": 1}',
        b'{"version": 1, "ask": "ensure", "profile": "a", "valid_for_s": 1e999, "timeout_s": 1}',
        b'{"version": 1, "ask": "ensure", "profile": "a", "valid_for_s": -1, "timeout_s": 1}',
        b'{"version": 1, "ask": "ensure", "profile": "a", "valid_for_s": true, "timeout_s": 1}',
        b'{"version": 1, "ask": "ensure", "profile": "a", "valid_for_s": 1, "timeout_s": 3601}',
        b'{"version": 1, "ask": "renew", "profiles": "a"}',
        b'{"version": 1, "ask": "renew", "profiles": [1]}',
        b'{"version": 1, "ask": "withdraw", "instances": "a"}',
        b'{"version": 1, "ask": "withdraw", "instances": [null]}',
        b'{"version": 1, "ask": "renew", "profiles": ["' + b"x" * 129 + b'"]}',
        b'{"version": 1, "ask": "withdraw", "profiles": [["a"]]}',
        b'{"version": 1, "ask": "status", "n": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_malformed_request_is_refused(line: bytes) -> None:
    """The error has a code and a short sentence, whatever was sent, and does not repeat it."""
    error = refusal(line)

    assert "bad_request" == error.code
    assert len(error.message) < 100


ASKS = ("status", "ensure", "renew", "reload", "withdraw")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=140)
    | st.sampled_from([*ASKS, "", "\ud800", 0, 1, 45.0, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
NEARLY = st.fixed_dictionaries(
    {"version": st.just(1) | VALUES, "ask": st.sampled_from(ASKS) | VALUES},
    optional={
        "profile": st.just("production") | VALUES,
        "profiles": st.just(["dev", "prod"]) | VALUES,
        "instances": st.just(["5f2a"]) | VALUES,
        "valid_for_s": st.just(2700) | VALUES,
        "timeout_s": st.just(60.5) | VALUES,
        "more": VALUES,
    },
)
"""Requests of which any part may have been replaced by some odd value."""


@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(str.encode)
    | NEARLY.map(lambda said: json.dumps(said).encode())
)
def test_any_bytes_are_decoded_to_a_request_or_an_error(line: bytes) -> None:
    """The result is a request that can be sent, or a ControlError that can be sent back."""
    request, refused = None, None
    try:
        request = protocol.decode_request(line)
    except ControlError as error:
        refused = error

    if request is not None:
        assert request == protocol.decode_request(protocol.encode_request(request))
    else:
        assert refused is not None
        assert refused.code in {"bad_request", "unsupported_version"}
        assert protocol.encode_error(refused)


@pytest.mark.parametrize("version", ["2", '"1"', "null", "true", "1.0", "1.5", "[]"])
def test_another_version_of_the_protocol_is_refused_with_a_code_of_its_own(version: str) -> None:
    """The code tells a client of a later version that it has to do without that version."""
    assert "unsupported_version" == refusal(f'{{"version": {version}, "ask": "x"}}'.encode()).code


def test_a_profile_named_twice_is_asked_for_once() -> None:
    """A profile that is named twice is renewed once."""
    assert Renew(("b", "a")) == protocol.decode_request(
        b'{"version": 1, "ask": "renew", "profiles": ["b", "a", "b"]}'
    )


def test_an_answer_arrives_as_it_was_sent() -> None:
    """It is one line, and keeps names beyond ASCII and undecodable bytes of paths."""
    answer = {
        "reached": True,
        "seconds_left": 1,
        "asked_s": 1,
        "profile": "größe\n\udcff",
        "new": 1,
    }
    line = protocol.encode_answer(answer)

    assert 1 == line.count(b"\n")
    assert answer == protocol.decode_answer(line, Ensure("größe\n", 1, 1))


def test_an_error_arrives_with_its_code_and_hint() -> None:
    """The client raises the exception that the daemon meant."""
    for hint in ("sudo", None):
        meant = ControlError(ControlCode.NOT_ALLOWED, "no", hint=hint)
        with pytest.raises(ControlError) as caught:
            protocol.decode_answer(protocol.encode_error(meant), Status())
        error = caught.value
        assert ("not_allowed", "no", hint) == (error.code, error.message, error.hint)


def test_an_error_with_a_code_of_a_later_daemon_arrives_too() -> None:
    """Version 1 may get new codes; what the daemon says is still told."""
    line = b'{"version": 1, "error": {"code": "too_late", "message": "no", "hint": null}}'
    with pytest.raises(ControlError, match="no") as caught:
        protocol.decode_answer(line, Status())
    assert ControlCode.OTHER is caught.value.code


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"{}",
        b'{"version": 1}',
        b'{"version": 1, "answer": 3}',
        b'{"version": 1, "answer": {}}',
        b'{"version": 1, "answer": {"profiles": 5}}',
        b'{"version": 1, "answer": {"profiles": ["production"]}}',
        b'{"version": 1, "answer": {"profiles": [{"profile": "production", "state": "fresh"}]}}',
        b'{"error": 1}',
        b'{"error": {"code": 1}}',
        b'{"version": true, "answer": []}',
        b"[[" * 9999,
    ],
)
def test_an_answer_of_another_service_is_an_error(line: bytes) -> None:
    """A client that was pointed at another service raises ControlError and does not crash."""
    with pytest.raises(ControlError) as caught:
        protocol.decode_answer(line, Status())
    assert "bad_answer" == caught.value.code


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (Ensure("dev", 1, 1), {"reached": False, "seconds_left": 1, "asked_s": 1}),
        (Ensure("dev", 1, 1), {"seconds_left": 1, "asked_s": 1, "error": "", "hint": ""}),
        (Reload(), {"accepted": True, "added": [], "removed": [], "changed": []}),
        (Reload(), {"accepted": False}),
        (Reload(), {"accepted": False, "problems": [{"reason": "no such key"}]}),
    ],
)
def test_an_answer_that_lacks_a_field_is_an_error(
    request_: Request, answer: dict[str, object]
) -> None:
    """A client does not end in a traceback where a daemon leaves something out."""
    with pytest.raises(ControlError) as caught:
        protocol.decode_answer(protocol.encode_answer(answer), request_)
    assert "bad_answer" == caught.value.code


PROFILE = ProfileStatus("dev", "fresh", "arn", 9.5, 8.5, 7.5, 6.5, 0, "ASIA", None, None).as_json()
OUTCOME = {"profile": "dev", "earlier": False, "expiration": None, "error": None, "hint": "wait"}
ENSURED = {"profile": "dev", "asked_s": 60, "seconds_left": 50}
MISTAKE = asdict(Problem("credfresh.yaml", 1, 2, "sts", "no such key"))
ANSWERS: list[tuple[Request, dict[str, Any]]] = [
    (Status(), {"instance": "5f2a", "reload_refused": None, "profiles": [PROFILE]}),
    (Ensure("dev", 60, 1), {"reached": True, **ENSURED}),
    (
        Ensure("dev", 60, 1),
        {"reached": False, "error": "no", "hint": None, "most_s": None, **ENSURED},
    ),
    (Renew(), {"profiles": [{"renewed": True, **OUTCOME}]}),
    (Withdraw(), {"profiles": [{"withdrawn": False, **OUTCOME}]}),
    (
        Reload(),
        {"accepted": True, "added": ["a"], "removed": [], "changed": [], "needs_restart": []},
    ),
    (Reload(), {"accepted": False, "problems": [MISTAKE]}),
]


def altered(value: Any) -> Iterator[Any]:
    """Yield copies of a value of JSON that have another type in one place, for each place."""
    yield 3.5
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: odd} for odd in altered(inner))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from ([*value[:at], odd, *value[at + 1 :]] for odd in altered(inner))


@pytest.mark.parametrize(("request_", "answer"), ANSWERS)
def test_an_answer_of_which_any_part_has_another_type_is_an_error(
    request_: Request, answer: dict[str, Any]
) -> None:
    """A client reads only what it has judged: another service may answer with well-formed JSON."""
    assert answer == protocol.decode_answer(protocol.encode_answer(answer), request_)
    for odd in altered(answer):
        with pytest.raises(ControlError) as caught:
            protocol.decode_answer(protocol.encode_answer(odd), request_)
        assert "bad_answer" == caught.value.code, odd


def test_an_answer_of_a_later_version_is_an_error_that_names_it() -> None:
    """The error says which version the daemon speaks."""
    with pytest.raises(ControlError, match="version 2"):
        protocol.decode_answer(json.dumps({"version": 2, "answer": {}}).encode(), Status())


@pytest.mark.parametrize("request_", REQUESTS)
def test_everybody_may_ask_status_and_ensure_and_others_nothing_else(request_: Request) -> None:
    """Status and ensure are for all who may connect, the rest for root and the daemon's user."""
    for uid in (0, 998):
        protocol.check_right(request_, uid=uid, own=998)
    for_all = isinstance(request_, Status | Ensure)
    for uid in (1, 997, 999, 65534):
        with contextlib.nullcontext() if for_all else pytest.raises(ControlError) as caught:
            protocol.check_right(request_, uid=uid, own=998)
        if caught is not None:
            assert "not_allowed" == caught.value.code
            you = "another user" if uid == protocol.NOBODY else f"uid {uid}"
            assert caught.value.message.endswith(f"you are {you}")


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_for_another_instance_is_refused(request_: Request) -> None:
    """A request that names no daemon is for any; otherwise one of its names must fit."""
    for name in request_.instances or ("other",):
        protocol.check_instance(request_, name)
    if request_.instances:
        with pytest.raises(ControlError) as caught:
            protocol.check_instance(request_, "other")
        assert "another_daemon" == caught.value.code


def test_the_bounds_of_the_protocol_are_those_of_the_configuration() -> None:
    """Clients do without the configuration's code; what it accepts they can ask for."""
    assert words.MOST_NAME == protocol.MOST_NAME
    assert words.MOST_DURATION == protocol.MOST_VALID_FOR
