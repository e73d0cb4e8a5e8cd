"""Every rule of the simulated STS, tried with a real boto3 client over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from credfresh.simulator import Session, Simulator, User
from fakes import AheadClock
from simulated import ROLE_ARN, USER_ARN, client, refusal

ASSUME: dict[str, Any] = {"RoleArn": ROLE_ARN, "RoleSessionName": "build-7"}
POLICY = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


@pytest.fixture
def clock() -> AheadClock:
    """Return a clock that a test can put forward."""
    return AheadClock()


@pytest.fixture
def sts(clock: AheadClock) -> Iterator[Simulator]:
    """Run a simulator without users."""
    with Simulator(clock, max_skew=None) as simulator:
        yield simulator


@pytest.fixture
def user(sts: Simulator) -> User:
    """Return a user whom the role trusts."""
    user = sts.add_user(USER_ARN)
    sts.add_role(ROLE_ARN, trusts={USER_ARN})
    return user


def refused(sts: Simulator, caller: User | Session, **parameters: Any) -> tuple[int, str, str]:
    """Return status, code and message with which AssumeRole is refused."""
    with pytest.raises(ClientError) as caught:
        client(sts, caller).assume_role(**(ASSUME | parameters))
    return refusal(caught.value)


def session(sts: Simulator, caller: User | Session, **parameters: Any) -> Session:
    """Assume a role; return the session as the simulator remembers it."""
    client(sts, caller).assume_role(**(ASSUME | parameters))
    return sts.sessions[-1]


def test_a_trusted_user_gets_a_session_for_as_long_as_asked(
    sts: Simulator, user: User, clock: AheadClock
) -> None:
    """The grant lasts DurationSeconds from now, or 3,600 s by default."""
    before = clock().wall
    asked = client(sts, user).assume_role(**ASSUME, DurationSeconds=900)["Credentials"]
    unsaid = client(sts, user).assume_role(**ASSUME)["Credentials"]
    assert 898 < asked["Expiration"].timestamp() - before < 905
    assert 3598 < unsaid["Expiration"].timestamp() - before < 3605


@pytest.mark.parametrize(
    "trusts",
    [
        {USER_ARN},
        {"111111111111"},
        {"arn:aws:iam::111111111111:root"},
        {"*"},
        {"arn:aws:iam::111111111111:user/another", USER_ARN},
    ],
)
def test_a_role_trusts_a_user_by_arn_or_account(sts: Simulator, trusts: set[str]) -> None:
    """A trust policy may name the user, the account in both spellings, or anybody."""
    sts.add_role(ROLE_ARN, trusts=trusts)
    assert session(sts, sts.add_user(USER_ARN)).caller_arn == USER_ARN


@pytest.mark.parametrize(
    "trusts",
    [set(), {"arn:aws:iam::111111111111:user/cix"}, {"222222222222"}, {"user/ci"}, {ROLE_ARN}],
)
def test_a_role_that_does_not_trust_the_caller_is_denied(sts: Simulator, trusts: set[str]) -> None:
    """Neither another name nor a part of the caller's name lets the caller in."""
    sts.add_role(ROLE_ARN, trusts=trusts)
    assert (
        403,
        "AccessDenied",
        f"User: {USER_ARN} is not authorized to perform: sts:AssumeRole on resource: {ROLE_ARN}",
    ) == refused(sts, sts.add_user(USER_ARN))
    assert () == sts.sessions


def test_a_role_that_does_not_exist_is_denied_alike(sts: Simulator, user: User) -> None:
    """STS does not tell callers which roles exist."""
    absent = ROLE_ARN + "s"
    status, code, message = refused(sts, user, RoleArn=absent)
    assert (403, "AccessDenied") == (status, code)
    assert message.endswith(absent)


def test_the_external_id_must_match(sts: Simulator, user: User) -> None:
    """A role with an ExternalId needs exactly that; a role without one ignores it."""
    sts.add_role(ROLE_ARN, trusts={USER_ARN}, external_id="012345670123")
    assert "AccessDenied" == refused(sts, user)[1]
    assert "AccessDenied" == refused(sts, user, ExternalId="12345670123")[1]
    assert session(sts, user, ExternalId="012345670123").name == "build-7"
    sts.add_role(ROLE_ARN, trusts={USER_ARN})
    assert session(sts, user, ExternalId="whatever").name == "build-7"


def test_a_wrong_secret_is_a_signature_that_does_not_match(sts: Simulator, user: User) -> None:
    """The signature is checked, not only the key id."""
    forged = User(user.arn, user.access_key_id, user.secret_access_key[::-1])
    status, code, _ = refused(sts, forged)
    assert (403, "SignatureDoesNotMatch") == (status, code)


def test_an_unknown_key_is_no_client(sts: Simulator, user: User) -> None:
    """A key id that was never issued is InvalidClientTokenId."""
    stranger = User(user.arn, "AKIA" + "X" * 16, user.secret_access_key)
    assert (403, "InvalidClientTokenId") == refused(sts, stranger)[:2]


def test_session_keys_need_their_own_token(sts: Simulator, user: User) -> None:
    """Session keys without their token, or with another's, are InvalidClientTokenId."""
    own, other = session(sts, user), session(sts, user)
    without = User(user.arn, own.access_key_id, own.secret_access_key)
    assert "InvalidClientTokenId" == refused(sts, without)[1]
    sts.add_role(ROLE_ARN, trusts={ROLE_ARN, USER_ARN})
    mixed = Session(
        role=own.role,
        name=own.name,
        access_key_id=own.access_key_id,
        secret_access_key=own.secret_access_key,
        session_token=other.session_token,
        issued_at=0,
        expires_at=0,
        caller_arn="",
    )
    assert "InvalidClientTokenId" == refused(sts, mixed)[1]
    assert session(sts, own).caller_arn == own.arn


def test_a_session_ends_when_it_said(sts: Simulator, user: User, clock: AheadClock) -> None:
    """A session is answered up to its Expiration, and then with ExpiredToken."""
    own = session(sts, user, DurationSeconds=900)
    clock.ahead = 890
    assert client(sts, own).get_caller_identity()["Arn"] == own.arn
    clock.ahead = 901
    with pytest.raises(ClientError) as caught:
        client(sts, own).get_caller_identity()
    assert (
        403,
        "ExpiredToken",
        "The security token included in the request is expired",
    ) == refusal(caught.value)


def test_grants_are_cut_when_told(sts: Simulator, user: User, clock: AheadClock) -> None:
    """`grant_seconds` cuts longer grants to that, and leaves shorter ones."""
    sts.grant_seconds = 30
    own = session(sts, user)
    assert 29 <= own.expires_at - own.issued_at <= 30
    clock.ahead = 31
    with pytest.raises(ClientError) as caught:
        client(sts, own).get_caller_identity()
    assert "ExpiredToken" == refusal(caught.value)[1]
    sts.grant_seconds = 2000
    own = session(sts, user, DurationSeconds=900)
    assert 899 <= own.expires_at - own.issued_at <= 900


def test_the_caller_is_who_signed(sts: Simulator, user: User) -> None:
    """A user's ARN comes with its path, a session's without the path of its role, as with AWS."""
    answer = client(sts, user).get_caller_identity()
    assert ("111111111111", USER_ARN) == (answer["Account"], answer["Arn"])
    assert answer["UserId"].startswith("AIDA")
    assert 21 == len(answer["UserId"])
    own = session(sts, user)
    answer = client(sts, own).get_caller_identity()
    assert "222222222222" == answer["Account"]
    assert "arn:aws:sts::222222222222:assumed-role/deploy/build-7" == answer["Arn"]
    role_id, _, name = answer["UserId"].partition(":")
    assert ("AROA", 21, "build-7") == (role_id[:4], len(role_id), name)


def test_revoked_credentials_are_nobodys(sts: Simulator, user: User) -> None:
    """Revoked keys of a session or user, and sessions of a deleted role, are refused."""
    own, kept = session(sts, user), session(sts, user)
    sts.revoke(own.access_key_id)
    assert "InvalidClientTokenId" == refused(sts, own)[1]
    assert client(sts, kept).get_caller_identity()["Arn"] == kept.arn
    sts.remove_role(ROLE_ARN)
    assert "InvalidClientTokenId" == refused(sts, kept)[1]
    sts.revoke(user.access_key_id)
    assert "InvalidClientTokenId" == refused(sts, user)[1]


def test_the_oldest_sessions_are_forgotten_beyond_the_limit(clock: AheadClock) -> None:
    """With `max_sessions` the simulator's memory is bounded."""
    with Simulator(clock, max_sessions=2) as sts:
        user = sts.add_user(USER_ARN)
        sts.add_role(ROLE_ARN, trusts={USER_ARN})
        first, second, third = (session(sts, user) for _ in range(3))
        assert (second, third) == sts.sessions
        assert "InvalidClientTokenId" == refused(sts, first)[1]


# Chaining


def test_a_role_is_chained_by_the_role_or_by_the_session(sts: Simulator, user: User) -> None:
    """A role may trust another role (any session of it), its account, or one session."""
    own, target = session(sts, user), "arn:aws:iam::333333333333:role/audit"
    for trusted in (ROLE_ARN, own.arn, "222222222222"):
        sts.add_role(target, trusts={trusted})
        assert session(sts, own, RoleArn=target).caller_arn == own.arn
    sts.add_role(target, trusts={own.arn.replace("build-7", "build-8"), USER_ARN})
    status, code, message = refused(sts, own, RoleArn=target)
    assert (403, "AccessDenied") == (status, code)
    assert own.arn in message


def test_a_chained_session_lasts_an_hour_at_most(sts: Simulator, user: User) -> None:
    """Whatever the role allows, role chaining is limited to 3,600 s."""
    sts.add_role(ROLE_ARN, trusts={USER_ARN, ROLE_ARN}, max_session_duration=43200)
    own = session(sts, user, DurationSeconds=43200)
    assert (400, "ValidationError") == refused(sts, own, DurationSeconds=3601)[:2]
    assert "chaining" in refused(sts, own, DurationSeconds=3601)[2]
    chained = session(sts, own, DurationSeconds=3600)
    assert 3599 <= chained.expires_at - chained.issued_at <= 3600


def test_transitive_tags_and_the_source_identity_go_down_a_chain(
    sts: Simulator, user: User
) -> None:
    """Transitive tags are inherited and cannot be set again; a source identity stays."""
    sts.add_role(ROLE_ARN, trusts={USER_ARN, ROLE_ARN})
    tags = [{"Key": "team", "Value": "release"}, {"Key": "job", "Value": "7"}]
    first = session(sts, user, Tags=tags, TransitiveTagKeys=["Team"], SourceIdentity="alice")
    assert {"team": "release", "job": "7"} == first.tags
    second = session(sts, first, Tags=[{"Key": "job", "Value": "8"}])
    assert {"team": "release", "job": "8"} == second.tags
    third = session(sts, second)
    assert {"team": "release"} == third.tags
    assert "alice" == third.source_identity
    again = [{"Key": "TEAM", "Value": "x"}]
    assert (400, "InvalidParameterValue") == refused(sts, third, Tags=again)[:2]
    assert (403, "AccessDenied") == refused(sts, third, SourceIdentity="bob")[:2]
    assert "alice" == session(sts, third, SourceIdentity="alice").source_identity


# Bounds


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"RoleSessionName": "x"}, "at 'roleSessionName' failed to satisfy constraint"),
        ({"RoleSessionName": "x" * 65}, "length less than or equal to 64"),
        ({"RoleSessionName": "two words"}, "regular expression pattern"),
        ({"RoleSessionName": "naïve"}, "regular expression pattern"),
        ({"DurationSeconds": 899}, "greater than or equal to 900"),
        ({"DurationSeconds": 43201}, "less than or equal to 43200"),
        ({"DurationSeconds": 3601}, "exceeds the MaxSessionDuration set for this role"),
        ({"DurationSeconds": "1h"}, "at 'durationSeconds' failed to satisfy constraint"),
        ({"RoleArn": "arn:aws:iam::1:role"}, "length greater than or equal to 20"),
        ({"RoleArn": "arn:aws:iam::222222222222:user/deploy"}, "Request ARN is invalid"),
        ({"RoleArn": ROLE_ARN + "x" * 2048}, "length less than or equal to 2048"),
        ({"ExternalId": "1"}, "at 'externalId' failed to satisfy constraint"),
        ({"ExternalId": "a b"}, "regular expression pattern"),
        ({"ExternalId": "x" * 1225}, "length less than or equal to 1224"),
        ({"SourceIdentity": "x"}, "at 'sourceIdentity' failed to satisfy constraint"),
        ({"SourceIdentity": "a:b"}, "regular expression pattern"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "equal to 50"),
        ({"Tags": [{"Key": "x" * 129, "Value": ""}]}, "equal to 128"),
        ({"Tags": [{"Key": "", "Value": ""}]}, "greater than or equal to 1"),
        ({"Tags": [{"Key": "x", "Value": "x" * 257}]}, "equal to 256"),
        ({"Tags": [{"Key": "x", "Value": "a;b"}]}, "regular expression pattern"),
        ({"PolicyArns": [{"arn": f"arn:aws:iam::aws:policy/p{n}"} for n in range(11)]}, "to 10"),
        ({"PolicyArns": [{"arn": "arn:aws"}]}, "greater than or equal to 20"),
        ({"Policy": json.dumps({"Statement": [POLICY]} | {"Id": "x" * 2048})}, "to 2048"),
    ],
)
def test_a_parameter_out_of_bounds_is_a_validation_error(
    sts: Simulator, user: User, parameters: dict[str, Any], told: str
) -> None:
    """Each documented bound of AssumeRole is enforced, and the message names the bound."""
    status, code, message = refused(sts, user, **parameters)
    assert (400, "ValidationError") == (status, code)
    assert told in message
    assert () == sts.sessions


def test_a_role_and_a_name_are_required(sts: Simulator, user: User) -> None:
    """Like AWS, the simulator calls a missing parameter null."""
    with pytest.raises(ClientError) as caught:
        client(sts, user).assume_role()  # type: ignore[call-arg] # that is the point
    _, code, message = refusal(caught.value)
    assert "ValidationError" == code
    assert (
        "Value null at 'roleArn' failed to satisfy constraint: Member must not be null" in message
    )
    assert "Value null at 'roleSessionName'" in message


def test_all_broken_constraints_are_told_at_once(sts: Simulator, user: User) -> None:
    """The message begins with their number, as at AWS."""
    _, _, message = refused(sts, user, RoleSessionName="x", DurationSeconds=1, ExternalId="1")
    assert message.startswith("3 validation errors detected: ")


def test_what_is_just_within_bounds_is_granted_and_remembered(sts: Simulator, user: User) -> None:
    """The extremes that AWS documents as valid are accepted, and arrive unchanged."""
    sts.add_role(ROLE_ARN, trusts={USER_ARN}, max_session_duration=43200)
    tags = {f"k{n}": "v" for n in range(48)} | {"x" * 128: "é" * 256, "empty": ""}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [POLICY]})
    own = session(
        sts,
        user,
        RoleSessionName="a+=,.@-_" + "x" * 56,
        DurationSeconds=43200,
        Policy=policy,
        PolicyArns=[{"arn": f"arn:aws:iam::aws:policy/p{n}"} for n in range(10)],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        SourceIdentity="al",
    )
    assert 64 == len(own.name)
    assert tags == own.tags
    assert policy == own.policy
    assert tuple(f"arn:aws:iam::aws:policy/p{n}" for n in range(10)) == own.policy_arns
    assert "al" == own.source_identity


@pytest.mark.parametrize(
    "policy",
    [
        "{",
        "[]",
        "null",
        "[" * 2000,
        "{}",
        json.dumps({"Statement": []}),
        json.dumps({"Statement": POLICY, "Version": "2026-01-01"}),
        json.dumps({"Statement": ["s3:*"]}),
        json.dumps({"Statement": POLICY | {"Effect": "allow"}}),
        json.dumps({"Statement": {"Effect": "Allow", "Resource": "*"}}),
        json.dumps({"Statement": {"Effect": "Allow", "Action": "*"}}),
        json.dumps({"Statement": POLICY | {"Principal": "*"}}),
    ],
)
def test_a_policy_that_is_none_is_malformed(sts: Simulator, user: User, policy: str) -> None:
    """A session policy is JSON with statements of effect, action and resource."""
    assert (400, "MalformedPolicyDocument") == refused(sts, user, Policy=policy)[:2]


def test_policies_and_tags_are_packed_into_a_limited_space(sts: Simulator, user: User) -> None:
    """PackedPolicySize is the percentage used; too much is PackedPolicyTooLarge."""
    policy = json.dumps({"Statement": POLICY})
    some = client(sts, user).assume_role(**ASSUME, Policy=policy)
    assert 0 < some["PackedPolicySize"] <= 100
    assert 0 == client(sts, user).assume_role(**ASSUME)["PackedPolicySize"]
    noise = [{"Key": f"k{n}", "Value": f"{n * 7919**60:x}"[:200]} for n in range(1, 50)]
    status, code, message = refused(sts, user, Tags=noise)
    assert (400, "PackedPolicyTooLarge") == (status, code)
    assert "% of allotted space" in message


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]}, "Duplicate"),
        ({"TransitiveTagKeys": ["team"]}, "must be included in the requested tags"),
    ],
)
def test_tags_that_do_not_go_together_are_refused(
    sts: Simulator, user: User, parameters: dict[str, Any], told: str
) -> None:
    """Tag keys are compared without case, and a transitive key needs its tag."""
    status, code, message = refused(sts, user, **parameters)
    assert (400, "InvalidParameterValue") == (status, code)
    assert told in message


def test_a_source_identity_of_aws_is_reserved(sts: Simulator, user: User) -> None:
    """The pattern of source identities excludes the prefix `aws:`."""
    assert "ValidationError" == refused(sts, user, SourceIdentity="aws:alice")[1]


# Regions, web identities, other operations


def test_a_disabled_region_is_refused_by_what_the_request_was_signed_for(
    sts: Simulator, user: User
) -> None:
    """The region of the signature decides, and it can be enabled again."""
    sts.disable_region("eu-south-1")
    south = client(sts, user, region="eu-south-1")
    with pytest.raises(ClientError) as caught:
        south.assume_role(**ASSUME)
    assert (403, "RegionDisabledException") == refusal(caught.value)[:2]
    assert session(sts, user).name == "build-7"
    sts.enable_region("eu-south-1")
    assert south.assume_role(**ASSUME)["AssumedRoleUser"]["Arn"].endswith("deploy/build-7")


def test_a_registered_web_identity_gets_a_session(sts: Simulator, user: User) -> None:
    """An unsigned request with a token of a trusted provider gets a session."""
    sts.add_role(ROLE_ARN, trusts={"oidc.example"})
    sts.add_web_identity("token-1", provider="oidc.example", subject="repo:a/b")
    web = client(sts, user)
    answer = web.assume_role_with_web_identity(**ASSUME, WebIdentityToken="token-1")
    assert "repo:a/b" == answer["SubjectFromWebIdentityToken"]
    assert "oidc.example" == answer["Provider"]
    assert "sts.amazonaws.com" == answer["Audience"]
    own = sts.sessions[-1]
    assert answer["Credentials"]["AccessKeyId"] == own.access_key_id
    assert client(sts, own).get_caller_identity()["Arn"] == own.arn


def test_a_web_identity_that_is_unknown_late_or_untrusted_is_refused(
    sts: Simulator, user: User, clock: AheadClock
) -> None:
    """Each way in which a token fails has its own code."""
    sts.add_role(ROLE_ARN, trusts={"oidc.example"})
    end = clock().wall + 60
    sts.add_web_identity("good", provider="oidc.example", subject="repo:a/b", expires_at=end)
    sts.add_web_identity("else", provider="oidc.invalid", subject="repo:a/b")

    def refused_web(token: str, **parameters: Any) -> tuple[int, str]:
        with pytest.raises(ClientError) as caught:
            client(sts, user).assume_role_with_web_identity(
                **(ASSUME | parameters), WebIdentityToken=token
            )
        return refusal(caught.value)[:2]

    assert (400, "InvalidIdentityToken") == refused_web("unknown")
    assert (403, "AccessDenied") == refused_web("else")
    assert (403, "AccessDenied") == refused_web("good", RoleArn=ROLE_ARN + "x")
    assert (400, "ValidationError") == refused_web("good", DurationSeconds=3601)
    assert () == sts.sessions
    clock.ahead = 61
    assert (400, "ExpiredTokenException") == refused_web("good")


def test_other_operations_are_invalid_actions(sts: Simulator, user: User) -> None:
    """The error names the operation that is not simulated."""
    with pytest.raises(ClientError) as caught:
        client(sts, user).get_session_token()
    status, code, message = refusal(caught.value)
    assert (400, "InvalidAction") == (status, code)
    assert "Could not find operation GetSessionToken for version 2011-06-15" == message


@pytest.mark.parametrize("off", [-905, 905])  # a signature names whole seconds, and takes time
def test_a_clock_off_by_more_than_a_quarter_of_an_hour_is_a_bad_signature(off: float) -> None:
    """The limit is 15 minutes, and the code is SignatureDoesNotMatch, as with AWS."""
    clock = AheadClock()
    with Simulator(clock) as sts:
        user = sts.add_user(USER_ARN)
        sts.add_role(ROLE_ARN, trusts={USER_ARN})
        clock.ahead = off
        status, code, message = refused(sts, user)
        assert (403, "SignatureDoesNotMatch") == (status, code)
        assert ("Signature expired" if off > 0 else "Signature not yet current") in message
        clock.ahead = off * 0.98
        assert session(sts, user).name == "build-7"


def test_a_role_of_impossible_duration_cannot_be_made(sts: Simulator) -> None:
    """As with IAM, MaxSessionDuration is 1 to 12 hours."""
    for seconds in (3599, 43201):
        with pytest.raises(ValueError, match="max_session_duration must be 3600 to 43200"):
            sts.add_role(ROLE_ARN, trusts=set(), max_session_duration=seconds)


def test_no_secret_is_in_the_repr_of_what_the_simulator_gives_out(
    sts: Simulator, user: User
) -> None:
    """Users, sessions, web identities and calls can be printed without their secrets."""
    own = session(sts, user)
    identity = sts.add_web_identity("token-1", provider="p", subject="s")
    printed = repr((user, own, identity, sts.calls))
    for secret in (
        user.secret_access_key,
        own.secret_access_key,
        own.session_token,
        identity.token,
    ):
        assert secret not in printed
    assert own.access_key_id in printed
