"""Signature version 4: what botocore signs passes, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from credfresh.simulator.refusals import StsError
from credfresh.simulator.signature import check_signature, check_time, read_claim
from credfresh.simulator.wire import HttpRequest

KEY, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG", "IQoJb3JpZ2luX2VjEXAMPLE"
BODY = b"Action=AssumeRole&Version=2011-06-15"


def signed(
    *,
    method: str = "POST",
    target: str = "/",
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    service: str = "sts",
    region: str = "eu-west-1",
    token: str | None = None,
) -> HttpRequest:
    """Return a request as botocore's full signer, the client's side, signs it."""
    url = f"http://127.0.0.1:4566{target}"
    request = AWSRequest(method, url, {"Host": "127.0.0.1:4566"} | (headers or {}), body)
    SigV4Auth(Credentials(KEY, SECRET, token), service, region).add_auth(request)
    sent = tuple((name.lower(), value.strip()) for name, value in request.headers.items())
    return HttpRequest(method, target, sent, body)


def judge(request: HttpRequest, secret: str = SECRET) -> None:
    """Check a request as the service does, time aside."""
    check_signature(request, read_claim(request), secret)


def altered(request: HttpRequest, name: str, value: str | None) -> HttpRequest:
    """Return the request with one header changed, or removed."""
    kept = tuple(pair for pair in request.headers if pair[0] != name)
    return replace(request, headers=kept if value is None else (*kept, (name, value)))


def code_of(request: HttpRequest, secret: str = SECRET) -> str:
    """Return the code with which a request is refused."""
    with pytest.raises(StsError) as caught:
        judge(request, secret)
    assert SECRET not in str(caught.value)
    return caught.value.code


def scoped(credential: str) -> str:
    """Return an Authorization header with this credential."""
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_botocore_signs_is_accepted(data: st.DataObject) -> None:
    """Any path, query, body, header and region pass; a changed secret, body or header does not."""
    target = "/" + quote(data.draw(st.text(st.characters(codec="utf-8"), max_size=10)))
    query = urlencode(data.draw(st.dictionaries(TEXT, TEXT, max_size=5)))
    header = data.draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20))
    get = data.draw(st.booleans())
    request = signed(
        method="GET" if get else "POST",
        target=f"{target}?{query}" if get and query else target,
        body=b"" if get else query.encode(),
        headers={"X-Amz-Meta": header},
        token=data.draw(st.sampled_from([None, TOKEN])),
        region=data.draw(st.sampled_from(["us-east-1", "us-gov-west-1", "cn-north-1"])),
    )
    judge(request)
    assert "SignatureDoesNotMatch" == code_of(request, SECRET[::-1])
    assert "SignatureDoesNotMatch" == code_of(replace(request, body=request.body + b"&"))
    assert "SignatureDoesNotMatch" == code_of(altered(request, "x-amz-meta", header + "x"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "sts.amazonaws.com"),
        ("x-amz-security-token", TOKEN + "x"),
        ("x-amz-date", "20261124T000000Z"),
    ],
)
def test_a_signed_header_cannot_be_altered(name: str, value: str) -> None:
    """Each of them is part of what was signed; the date is part of the scope as well."""
    request = signed(token=TOKEN)
    judge(request)
    assert "SignatureDoesNotMatch" == code_of(altered(request, name, value))


def test_method_and_path_are_part_of_the_signature() -> None:
    """A signature does not fit another method, path or query."""
    request = signed(target="/a?b=c")
    for other in (
        replace(request, method="GET"),
        replace(request, target="/?b=c"),
        replace(request, target="/a?b=d"),
    ):
        assert "SignatureDoesNotMatch" == code_of(other)


def test_a_claimed_checksum_of_the_body_must_be_right() -> None:
    """Clients that send x-amz-content-sha256 sign it; it is compared with the true body."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    judge(signed(body=b"", headers={"X-Amz-Content-SHA256": empty}))
    assert "SignatureDoesNotMatch" == code_of(signed(headers={"X-Amz-Content-SHA256": empty}))
    unsigned = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    assert "SignatureDoesNotMatch" == code_of(signed(headers=unsigned))


def test_a_header_that_others_sign_and_botocore_does_not_is_judged_too() -> None:
    """The list of signed headers is the client's: Java's SDK signs the user agent."""
    request = signed(headers={"User-Agent": "java"})
    authorization = request.header("authorization") or ""
    assert "user-agent" not in authorization
    wider = authorization.replace("host;", "host;user-agent;")
    assert "SignatureDoesNotMatch" == code_of(altered(request, "authorization", wider))


@pytest.mark.parametrize("missing", ["host", "x-amz-date", "x-amz-security-token"])
def test_what_must_be_signed_cannot_be_left_out(missing: str) -> None:
    """The host and every x-amz- header have to be among the signed ones."""
    request = signed(token=TOKEN)
    names = ["host", "x-amz-date", "x-amz-security-token"]
    listed = ";".join(names)
    fewer = ";".join(name for name in names if name != missing)
    authorization = request.header("authorization") or ""
    assert listed in authorization
    changed = altered(request, "authorization", authorization.replace(listed, fewer))
    with pytest.raises(StsError, match=f"'{missing}' must be a 'SignedHeader'"):
        read_claim(changed)


@pytest.mark.parametrize(
    ("authorization", "code", "told"),
    [
        (None, "MissingAuthenticationToken", "missing Authentication Token"),
        ("Bearer x", "IncompleteSignature", "algorithm"),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", "IncompleteSignature", "algorithm"),
        ("AWS4-HMAC-SHA256", "IncompleteSignature", "'Credential'"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e", "IncompleteSignature", "'SignedHeaders'"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host",
            "IncompleteSignature",
            "'Signature'",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00",
            "IncompleteSignature",
            "5 slash-delimited elements",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20261124/eu/sts/end, SignedHeaders=host, Signature=0",
            "SignatureDoesNotMatch",
            "terminator",
        ),
        (
            scoped("a/20261124/E U/sts/aws4_request"),
            "IncompleteSignature",
            "5 slash-delimited elements",
        ),
        (
            scoped("a/20261124/E_U/sts/aws4_request"),
            "SignatureDoesNotMatch",
            "valid region",
        ),
        (
            scoped("a/20261123/eu/sts/aws4_request"),
            "SignatureDoesNotMatch",
            "Date in Credential scope",
        ),
    ],
)
def test_a_broken_authorization_says_what_is_wrong(
    authorization: str | None, code: str, told: str
) -> None:
    """Each defect is named, and has AWS's code."""
    request = altered(signed(), "x-amz-date", "20261124T120000Z")
    with pytest.raises(StsError, match=told) as caught:
        read_claim(altered(request, "authorization", authorization))
    assert code == caught.value.code


def test_another_services_signature_is_refused() -> None:
    """A request signed for S3 is none for STS."""
    with pytest.raises(StsError, match="correct service: 'sts'"):
        read_claim(signed(service="s3"))


@pytest.mark.parametrize("date", [None, "24 Nov 2026", "20261324T000000Z", "20261124T000000"])
def test_a_date_that_is_missing_or_none_makes_an_incomplete_signature(date: str | None) -> None:
    """Only the basic ISO 8601 form is accepted."""
    request = signed()
    today = (request.header("x-amz-date") or "")[:8]
    authorization = (request.header("authorization") or "").replace(today, (date or "")[:8])
    request = altered(altered(request, "x-amz-date", date), "authorization", authorization)
    assert "IncompleteSignature" == code_of(request)


@pytest.mark.parametrize(
    ("off", "refused"), [(-901, True), (-900, False), (900, False), (901, True)]
)
def test_the_time_of_signing_may_be_off_by_the_limit(off: float, refused: bool) -> None:  # noqa: FBT001 - a table
    """Exactly the limit passes, to either side."""
    claim = read_claim(signed())
    stated = datetime.strptime(f"{claim.timestamp}+0000", "%Y%m%dT%H%M%SZ%z")
    assert stated.timestamp() == claim.signed_at
    if refused:
        with pytest.raises(StsError, match=r"Signature (expired|not yet current)"):
            check_time(claim, claim.signed_at + off, 900)
    else:
        check_time(claim, claim.signed_at + off, 900)


def test_the_repr_of_a_claim_shows_no_secret() -> None:
    """Its repr has neither signature nor token."""
    claim = read_claim(signed(token=TOKEN))
    assert TOKEN == claim.token
    assert TOKEN not in repr(claim)
    assert claim.signature not in repr(claim)
