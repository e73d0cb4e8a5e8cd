"""What a failed call means, for whatever the SDK can raise."""

from __future__ import annotations

import string
from typing import Any

import pytest
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError
from hypothesis import given, settings
from hypothesis import strategies as st

from credfresh.errors import Mend, RenewalError, Scope
from credfresh.sts.classify import Caller, classify
from credfresh.sts.codes import REFUSED_KEYS, RULES, THROTTLES
from credfresh.sts.scrub import MOST, scrubbed

SOURCE = Caller(source="ci")
PARENT = Caller(parent="production")
WALL = 1_800_000_000.0
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def refusal(response: dict[str, Any], caller: Caller = SOURCE) -> RenewalError:
    """Classify what a server answered."""
    return classify(
        sdk.ClientError(response, "AssumeRole"),  # type: ignore[arg-type] # odd ones are the point
        caller,
        wall=WALL,
        secrets=(SECRET,),
    )


@pytest.mark.parametrize("code", sorted(RULES))
def test_every_known_code_says_what_to_do_or_that_time_will(code: str) -> None:
    """A human is never left without a hint, and no hint has a placeholder left in it."""
    error = refusal({"Error": {"Code": code, "Message": "m"}})
    assert code == error.code
    assert error.hint or error.mend is Mend.TIME
    assert "{" not in str(error.hint)


@pytest.mark.parametrize("code", sorted(REFUSED_KEYS))
def test_refused_keys_concern_the_source_but_not_where_a_parent_signed(code: str) -> None:
    """A parent is a profile with renewals of its own, so no source becomes suspect."""
    response = {"Error": {"Code": code}}
    assert Scope.SOURCE == refusal(response).scope
    chained = refusal(response, PARENT)
    assert (Scope.PROFILE, Mend.TIME) == (chained.scope, chained.mend)


def test_a_failure_of_a_chained_profile_counts_for_its_endpoint() -> None:
    """A failing STS fails for chained profiles too: one probe goes there, not all of them."""
    assert Scope.ENDPOINT == refusal({"Error": {"Code": "InternalFailure"}}, PARENT).scope


def test_the_message_of_sts_is_repeated() -> None:
    """An operator reads in it who may not assume what."""
    assert "not you" == refusal({"Error": {"Code": "AccessDenied", "Message": "not you"}}).message


def test_throttles_are_the_sdks_own_list() -> None:
    """When the SDK learns another spelling, so must we."""
    from botocore.retries.standard import ThrottledRetryableChecker  # noqa: PLC0415 - its private list

    known: list[str] = ThrottledRetryableChecker._THROTTLED_ERROR_CODES  # type: ignore[attr-defined] # not in the stubs
    assert set(known) <= THROTTLES


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"Error": {}},
        {"Error": {"Code": None, "Message": None}},
        {"ResponseMetadata": {"HTTPHeaders": None, "HTTPStatusCode": 403}},
        {"Code": "AccessDenied", "Message": "no"},
        {"Error": {"Code": SECRET, "Message": SECRET}},
        {"Error": {"Code": ["list"], "Message": {"a": 1}}},
    ],
)
def test_any_answer_can_be_classified(response: dict[str, Any]) -> None:
    """Servers that are not AWS's may leave out anything, or put anything anywhere."""
    error = refusal(response)
    assert error.code
    assert SECRET not in f"{error.code} {error.message} {error.hint}"


def test_an_unknown_code_is_judged_by_its_status() -> None:
    """5xx concerns the endpoint, other codes the profile; both are retried."""
    sick = refusal({"ResponseMetadata": {"HTTPStatusCode": 529}})
    odd = refusal({"Error": {"Code": "New"}, "ResponseMetadata": {"HTTPStatusCode": 402}})
    slow = refusal({"ResponseMetadata": {"HTTPStatusCode": 429}})
    assert ("HTTP529", Mend.TIME, Scope.ENDPOINT) == (sick.code, sick.mend, sick.scope)
    assert ("New", Mend.TIME, Scope.PROFILE) == (odd.code, odd.mend, odd.scope)
    assert ("HTTP429", Mend.THROTTLE) == (slow.code, slow.mend)


@pytest.mark.parametrize("status", [302, 307, 402, 403])
def test_a_refusal_without_a_code_concerns_the_endpoint(status: int) -> None:
    """A redirect, a portal or a proxy answers all alike, so it is told once for all."""
    page = refusal({"ResponseMetadata": {"HTTPStatusCode": status}})
    assert (f"HTTP{status}", Mend.TIME, Scope.ENDPOINT) == (page.code, page.mend, page.scope)
    assert "something other than STS" in str(page.hint)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("AssumeRoleResult"),
        ResponseParserError(f"invalid XML received: b'{SECRET}'"),
        ValueError(SECRET),
        RuntimeError(SECRET),
        MemoryError(SECRET),
        sdk.ChecksumError(checksum_type=SECRET, expected_checksum="", actual_checksum=""),
    ],
)
def test_an_unforeseen_error_is_named_and_not_quoted(error: Exception) -> None:
    """Its text may quote the answer, so only its type is told."""
    told = classify(error, SOURCE, wall=WALL)
    assert (type(error).__name__, Mend.TIME) == (told.code, told.mend)
    assert told.scope in {Scope.NONE, Scope.ENDPOINT}, "nothing says that STS has answered"
    assert SECRET not in f"{told.message} {told.hint}"
    assert told.__cause__ is None


def test_an_endpoint_without_fips_needs_a_human() -> None:
    """The SDK refuses the combination before anything is sent."""
    told = classify(sdk.EndpointProviderError(msg="FIPS and custom endpoint"), SOURCE, wall=WALL)
    assert (Mend.HUMAN, Scope.NONE) == (told.mend, told.scope)
    assert "FIPS and custom endpoint" in told.message


def test_a_clock_within_tolerance_is_not_blamed() -> None:
    """With a clock four minutes off, a refused signature means a wrong secret."""
    date = "Fri, 15 Jan 2027 08:04:00 GMT"  # WALL + 240 s
    metadata = {"HTTPHeaders": {"date": date}, "HTTPStatusCode": 403}
    near = refusal({"Error": {"Code": "SignatureDoesNotMatch"}, "ResponseMetadata": metadata})
    assert (Mend.HUMAN, Scope.SOURCE) == (near.mend, near.scope)
    metadata["HTTPHeaders"] = {"date": "Fri, 15 Jan 2027 08:06:00 GMT"}
    far = refusal({"Error": {"Code": "SignatureDoesNotMatch"}, "ResponseMetadata": metadata})
    assert (Mend.TIME, Scope.ENDPOINT) == (far.mend, far.scope)
    assert "360 s behind" in far.message


@pytest.mark.parametrize("headers", [{}, {"date": "Fri, 15 Jan 2027 08:00:01 GMT"}])
def test_a_clock_that_the_code_names_is_blamed_whatever_the_date_says(
    headers: dict[str, str],
) -> None:
    """A proxy may drop the Date, or answer by a clock of its own."""
    metadata = {"HTTPHeaders": headers, "HTTPStatusCode": 400}
    told = refusal({"Error": {"Code": "RequestExpired"}, "ResponseMetadata": metadata})
    assert (Mend.TIME, Scope.ENDPOINT) == (told.mend, told.scope)
    assert "clock: this host's clock and the server's differ" == told.message


ARN = "arn:aws:sts::111111111111:assumed-role/a-role-with-a-rather-long-name/credfresh-host-prod"


def test_scrubbing_keeps_arns_and_drops_what_looks_secret() -> None:
    """The message still says who was refused what."""
    text = (
        f"User: {ARN} is not authorized\n {SECRET} eyJhbGciOi.eyJzdWIi.c2ln http://u:pw@proxy:3128/"
    )
    assert f"User: {ARN} is not authorized [...] [...] http://[...]@proxy:3128/" == scrubbed(text)


@settings(max_examples=50)
@given(
    before=st.text(max_size=60),
    secret=st.text(string.ascii_letters + string.digits + "+/", min_size=8, max_size=400),
    after=st.text(max_size=60),
)
def test_scrubbing_takes_out_known_secrets(before: str, secret: str, after: str) -> None:
    """A secret that is known is taken out of any text; the result is one bounded line."""
    line = scrubbed(f"{before}{secret}{after}", (secret,))
    assert secret not in line or secret in scrubbed(before + after)
    assert len(line) <= MOST
    assert 1 >= len(line.splitlines())


@given(
    before=st.sampled_from(["", "key=", "'", " ", "token: ", "arn:aws:iam::1:role/x "]),
    secret=st.text(string.ascii_letters + string.digits + "+/", min_size=40, max_size=1500),
)
def test_scrubbing_takes_out_what_looks_like_a_secret_of_aws(before: str, secret: str) -> None:
    """An unknown secret of AWS's shapes (40 characters and up) is recognised."""
    assert secret not in scrubbed(f"{before}{secret} and more")
