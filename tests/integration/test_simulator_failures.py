"""Each fault of the simulator, as a real boto3 client meets it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from types_boto3_sts import STSClient

from credfresh.cli.clock import clock
from credfresh.simulator import Fault, Simulator, User, faults
from simulated import ROLE_ARN, USER_ARN, client, refusal


@pytest.fixture
def sts() -> Iterator[Simulator]:
    """Run a simulator."""
    with Simulator(clock) as simulator:
        yield simulator


@pytest.fixture
def user(sts: Simulator) -> User:
    """Return a user whom the role trusts."""
    sts.add_role(ROLE_ARN, trusts={"111111111111"})
    return sts.add_user(USER_ARN)


def assume(sts: Simulator, user: User, **config: Any) -> Any:
    """Assume the role once."""
    return client(sts, user, **config).assume_role(RoleArn=ROLE_ARN, RoleSessionName="build-7")


def test_a_fault_strikes_as_often_as_told_and_no_more(sts: Simulator, user: User) -> None:
    """Two throttles are followed by a grant, and the injection counts its uses."""
    throttled = sts.inject(faults.throttle(), times=2)
    for _ in range(2):
        with pytest.raises(ClientError):
            assume(sts, user)
    assume(sts, user)
    assert [ROLE_ARN] == [session.role.arn for session in sts.sessions]
    assert 2 == throttled.used
    assert ["Throttling", "Throttling", "ok"] == [call.outcome for call in sts.calls]
    assert (2, 1, 3) == (
        sts.count("AssumeRole", outcome="Throttling"),
        sts.count("AssumeRole", role=ROLE_ARN, outcome="ok"),
        sts.count(),
    )


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (faults.throttle(), 400, "Throttling"),
        (faults.throttle("ThrottlingException"), 400, "ThrottlingException"),
        (faults.throttle("SlowDown", status=503), 503, "SlowDown"),
        (faults.internal_error(), 500, "InternalFailure"),
        (faults.unavailable(), 503, "ServiceUnavailable"),
        (faults.access_denied(), 403, "AccessDenied"),
        (faults.malformed_policy(), 400, "MalformedPolicyDocument"),
        (faults.packed_policy_too_large(), 400, "PackedPolicyTooLarge"),
        (faults.region_disabled(), 403, "RegionDisabledException"),
        (faults.request_expired(), 400, "RequestExpired"),
        (faults.Refuse("Anything<&", 418, "a <teapot>"), 418, "Anything<&"),
        (faults.html_page(502), 502, "502"),
    ],
)
def test_botocore_reads_the_code_of_every_refusal(
    sts: Simulator, user: User, fault: Fault, status: int, code: str
) -> None:
    """The SDK reads status and code of each injected error."""
    sts.inject(fault)
    with pytest.raises(ClientError) as caught:
        assume(sts, user)
    assert (status, code) == refusal(caught.value)[:2]
    assert () == sts.sessions


def test_the_modelled_errors_are_botocores_own_exceptions(sts: Simulator, user: User) -> None:
    """Errors in botocore's service model can be caught by their class."""
    caller = client(sts, user)
    for fault, modelled in (
        (faults.malformed_policy(), caller.exceptions.MalformedPolicyDocumentException),
        (faults.packed_policy_too_large(), caller.exceptions.PackedPolicyTooLargeException),
        (faults.region_disabled(), caller.exceptions.RegionDisabledException),
    ):
        sts.inject(fault)
        with pytest.raises(modelled):
            caller.assume_role(RoleArn=ROLE_ARN, RoleSessionName="build-7")


def test_a_throttle_may_say_how_long_to_wait(sts: Simulator, user: User) -> None:
    """Retry-After is in seconds or a date; x-amz-retry-after, for seconds only, in milliseconds."""
    sts.inject(faults.throttle(retry_after="7"))
    with pytest.raises(ClientError) as caught:
        assume(sts, user)
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert ("7", "7000") == (headers["retry-after"], headers["x-amz-retry-after"])
    sts.inject(faults.throttle(retry_after="Tue, 24 Nov 2026 12:00:00 GMT"))
    with pytest.raises(ClientError) as caught:
        assume(sts, user)
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert "Tue, 24 Nov 2026 12:00:00 GMT" == headers["retry-after"]
    assert "x-amz-retry-after" not in headers


def test_an_error_in_the_style_of_s3_has_no_error_for_botocore(sts: Simulator, user: User) -> None:
    """The SDK raises a ClientError whose response has no `Error`."""
    sts.inject(faults.s3_error())
    with pytest.raises(ClientError) as caught:
        assume(sts, user)
    assert "Error" not in caught.value.response
    assert 403 == caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("fault", [faults.garbage_xml(), faults.Truncate(0.5, announced=False)])
def test_a_body_that_is_no_xml_cannot_be_parsed(sts: Simulator, user: User, fault: Fault) -> None:
    """The SDK raises ResponseParserError, which is not a ClientError."""
    sts.inject(fault)
    with pytest.raises(ResponseParserError):
        assume(sts, user)


def test_a_page_that_happens_to_be_xml_is_a_key_error(sts: Simulator, user: User) -> None:
    """A captive portal that answers 200 makes botocore raise KeyError, not an error of its own."""
    sts.inject(faults.html_page(200))
    with pytest.raises(KeyError, match="AssumeRoleResult"):
        assume(sts, user)
    assert "html" == sts.calls[0].outcome


def test_a_body_shorter_than_announced_is_no_answer(sts: Simulator, user: User) -> None:
    """The session was issued all the same, which the client cannot know.

    botocore says that the connection was closed; since 1.44 it parses what has come.
    """
    sts.inject(faults.Truncate(0.5))
    with pytest.raises((ConnectionClosedError, ResponseParserError)):
        assume(sts, user)
    assert 1 == len(sts.sessions)


def test_a_reset_is_a_closed_connection_and_issues_nothing(sts: Simulator, user: User) -> None:
    """The request is lost before STS has read it."""
    sts.inject(faults.Reset())
    with pytest.raises(ConnectionClosedError):
        assume(sts, user)
    assert () == sts.sessions
    assert "reset" == sts.calls[0].outcome


def test_a_hang_ends_in_the_clients_patience(sts: Simulator, user: User) -> None:
    """Nothing is answered or issued, and the call counts as abandoned."""
    sts.inject(faults.Hang())
    with pytest.raises(ReadTimeoutError):
        assume(sts, user, read_timeout=0.2)
    assert sts.wait_for(1, outcome="abandoned")
    assert () == sts.sessions
    assert 0 == sts.in_flight


def test_a_released_hang_is_answered_late(sts: Simulator, user: User) -> None:
    """A hanging call is answered on release, and does not delay later calls."""
    sts.inject(faults.Hang())
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(assume(sts, user)))
    waiting.start()
    assert sts.wait_for(1)
    assume(sts, user)
    assert (1, None) == (sts.in_flight, sts.calls[0].outcome)
    sts.release()
    waiting.join(10)
    assert answers[0]["Credentials"]["AccessKeyId"] == sts.sessions[1].access_key_id
    assert sts.wait_for(2, outcome="ok")


def test_a_drip_is_a_whole_answer_in_the_end(sts: Simulator, user: User) -> None:
    """Each byte comes within the read timeout, the whole answer long after it."""
    sts.inject(faults.Drip(0.0005))
    assert "AssumedRoleUser" in assume(sts, user, read_timeout=0.5)
    call = sts.calls[0]
    assert call.answered_at is not None
    assert call.answered_at.boot - call.at.boot > 0.5


def test_latency_makes_requests_overlap(sts: Simulator, user: User) -> None:
    """The high-water mark says how many requests were in flight at once."""
    sts.inject(faults.Latency(0.1), times=None)
    together = threading.Barrier(5)

    def call(caller: STSClient) -> None:
        together.wait(10)
        caller.assume_role(RoleArn=ROLE_ARN, RoleSessionName="build-7")

    callers = [client(sts, user) for _ in range(5)]  # making them takes long
    threads = [threading.Thread(target=call, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert 5 == sts.count(outcome="ok")
    assert 2 <= sts.high_water <= 5
    assert all(c.answered_at and c.answered_at.boot - c.at.boot >= 0.09 for c in sts.calls)


def test_faults_of_different_slots_combine(sts: Simulator, user: User) -> None:
    """One request can be late, fail and have a wrong date."""
    sts.inject(faults.Latency(0.05), faults.unavailable(), faults.skewed_date(-3600))
    with pytest.raises(ClientError) as caught:
        assume(sts, user)
    assert "ServiceUnavailable" == refusal(caught.value)[1]
    date = caught.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert -3605 < parsedate_to_datetime(date).timestamp() - clock().wall < -3595
    assume(sts, user)
    assert "ok" == sts.calls[1].outcome


def test_the_date_can_be_wrong_or_missing(sts: Simulator, user: User) -> None:
    """Only the Date header is changed: the Expiration stays right."""
    sts.inject(faults.skewed_date(7200))
    sts.inject(faults.no_date(), after=1)
    skewed, without = assume(sts, user), assume(sts, user)
    date = skewed["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert 7195 < parsedate_to_datetime(date).timestamp() - clock().wall < 7205
    assert 3590 < skewed["Credentials"]["Expiration"].timestamp() - clock().wall < 3605
    assert "date" not in without["ResponseMetadata"]["HTTPHeaders"]


@pytest.mark.parametrize(
    ("fault", "lifetime"),
    [
        (faults.expired_grant(60), -60),
        (faults.short_grant(5), 5),
        (faults.short_grant(90000), 90000),
    ],
)
def test_a_grant_can_last_otherwise_than_asked(
    sts: Simulator, user: User, fault: Fault, lifetime: float
) -> None:
    """A grant may be expired, shorter or longer, and the simulator ends the session accordingly."""
    sts.inject(fault)
    granted = assume(sts, user)["Credentials"]["Expiration"].timestamp()
    assert lifetime - 5 < granted - clock().wall <= lifetime
    assert granted == sts.sessions[0].expires_at


def test_a_grant_can_lack_its_expiration(sts: Simulator, user: User) -> None:
    """A grant without its Expiration has everything else."""
    sts.inject(faults.grant_without_expiration())
    credentials = assume(sts, user)["Credentials"]
    assert {"AccessKeyId", "SecretAccessKey", "SessionToken"} == set(credentials)


def test_faults_choose_their_requests(sts: Simulator, user: User) -> None:
    """A fault may be limited to an action, a role or a predicate; other requests pass."""
    other = "arn:aws:iam::222222222222:role/other"
    sts.add_role(other, trusts={USER_ARN})
    sts.inject(faults.unavailable(), times=None, action="AssumeRole", role=other)
    sts.inject(faults.access_denied(), when=lambda query: query.text("RoleSessionName") == "no")
    caller = client(sts, user)
    caller.get_caller_identity()
    assume(sts, user)
    with pytest.raises(ClientError) as caught:
        caller.assume_role(RoleArn=other, RoleSessionName="build-7")
    assert "ServiceUnavailable" == refusal(caught.value)[1]
    with pytest.raises(ClientError) as caught:
        caller.assume_role(RoleArn=ROLE_ARN, RoleSessionName="no")
    assert "AccessDenied" == refusal(caught.value)[1]
    sts.clear_faults()
    caller.assume_role(RoleArn=other, RoleSessionName="build-7")
    assert [None, ROLE_ARN, other, ROLE_ARN, other] == [call.role_arn for call in sts.calls]
    assert {user.access_key_id} == {call.access_key_id for call in sts.calls}
