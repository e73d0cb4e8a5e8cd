"""The provider against servers on loopback: what it asks, and what it makes of answers."""

from __future__ import annotations

import gc
import json
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

import fakes
from aws_servers import Answer, AwsServer, Request, ScriptedServer, error_xml, grant_xml
from credfresh import __version__
from credfresh.cli.clock import clock
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.model import SessionCredentials
from credfresh.principals import EnvironmentSource, FileSource
from credfresh.settings import Profile, StsLimits
from credfresh.sts import StsProvider
from sources import ProviderAt

KEYS = {"AWS_ACCESS_KEY_ID": "AKIASOURCE", "AWS_SECRET_ACCESS_KEY": "source-secret"}
PARENT = SessionCredentials("ASIAPARENT", "parent-secret", "parent-token", 0.0)


def provider(url: str, **limits: float) -> StsProvider:
    """Return a provider whose one source is the environment, with keys in it."""
    return ProviderAt(
        url,
        {"ci": EnvironmentSource()},
        StsLimits(connect_timeout=2.0, **{"read_timeout": 2.0, **limits}),  # type: ignore[arg-type] # tests pass floats
        clock=clock,
        environ=KEYS,
    )


def profile(name: str = "production", **changes: object) -> Profile:
    """Return a profile of the source `ci`."""
    return replace(fakes.profile(name, source="ci"), **changes)  # type: ignore[arg-type] # fields by name


def test_every_argument_of_the_profile_reaches_sts(sts: ScriptedServer) -> None:
    """AssumeRole gets each setting of the profile under AWS's name for it."""
    full = profile(
        role_arn="arn:aws:iam::111111111111:role/deploy",
        role_session_name="credfresh-host-production",
        duration=1800,
        external_id="012345670123",
        policy='{"Version":"2012-10-17","Statement":[]}',
        policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",),
        session_tags=(("team", "release"), ("stage", "production")),
        transitive_tag_keys=("team",),
        source_identity="build-7",
    )
    provider(sts.url).obtain(full, None)
    (request,) = sts.requests
    assert {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::111111111111:role/deploy",
        "RoleSessionName": "credfresh-host-production",
        "DurationSeconds": "1800",
        "ExternalId": "012345670123",
        "Policy": '{"Version":"2012-10-17","Statement":[]}',
        "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "Tags.member.1.Key": "team",
        "Tags.member.1.Value": "release",
        "Tags.member.2.Key": "stage",
        "Tags.member.2.Value": "production",
        "TransitiveTagKeys.member.1": "team",
        "SourceIdentity": "build-7",
    } == request.form
    assert f"credfresh/{__version__}" in request.headers["user-agent"]


def test_what_a_profile_leaves_out_is_not_sent(sts: ScriptedServer) -> None:
    """A minimal profile sends only role, session name and duration."""
    provider(sts.url).obtain(profile(), None)
    assert {"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds"} == set(
        sts.requests[0].form
    )


def test_requests_are_signed_by_the_source_or_by_the_parent(sts: ScriptedServer) -> None:
    """The source's key signs, or the parent's for a chained profile, with its token."""
    asking = provider(sts.url)
    asking.obtain(profile(), None)
    asking.obtain(profile(source_profile="production"), PARENT)
    assert ["AKIASOURCE", "ASIAPARENT"] == [r.key_id for r in sts.requests]
    assert [None, "parent-token"] == [r.headers.get("x-amz-security-token") for r in sts.requests]


def test_one_client_serves_a_thousand_renewals_with_a_thousand_parents(
    sts: ScriptedServer,
) -> None:
    """A chained parent has new keys at each renewal, and months of them leak no memory."""
    asking = provider(sts.url)

    def renew(count: int) -> None:
        for serial in range(count):
            parent = SessionCredentials(f"ASIA{serial:016d}", f"secret-{serial}", "t" * 1000, 0.0)
            asking.obtain(profile(source_profile="production"), parent)
        sts.requests.clear()
        gc.collect()

    renew(50)
    before = len(gc.get_objects())
    renew(1000)
    assert len(gc.get_objects()) - before < 500, "one object for two renewals would be a leak"


def test_a_provider_that_is_let_go_is_gone_once_the_collector_has_looked(
    sts: ScriptedServer,
) -> None:
    """Neither the SDK nor a connection keeps an old provider alive, so reloads leak no memory."""
    asking = provider(sts.url)
    asking.obtain(profile(), None)
    gone = weakref.ref(asking)
    del asking
    gc.collect()
    assert gone() is None


def test_a_request_is_signed_for_the_region_of_its_profile(sts: ScriptedServer) -> None:
    """Requests for several regions to one endpoint are each signed for their profile's region."""
    asking = provider("http://127.0.0.1:1")
    regions = ["eu-west-1", "us-east-1", "eu-west-1"]
    for region in regions:
        asking.obtain(profile(region=region, endpoint_url=sts.url), None)
    assert regions == [r.headers["authorization"].split("/")[2] for r in sts.requests]


def test_the_profiles_endpoint_goes_before_that_of_sts_and_that_before_the_environments(
    sts: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile's endpoint_url comes before that of `sts`, and AWS_ENDPOINT_URL_STS is last."""
    nowhere = "http://127.0.0.1:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", nowhere)
    provider(nowhere).obtain(profile(endpoint_url=sts.url), None)
    provider(sts.url).obtain(profile(), None)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    unset = StsProvider({"ci": EnvironmentSource()}, StsLimits(), clock=clock, environ=KEYS)
    unset.obtain(profile(), None)
    assert 3 == len(sts.requests)


def test_the_daemons_own_profile_does_not_leak_into_other_sources(
    sts: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_PROFILE, AWS_MAX_ATTEMPTS and other variables do not change what a source does."""
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    sts.script = lambda _: Answer(503, error_xml("ServiceUnavailable"))
    with pytest.raises(RenewalError) as failed:
        provider(sts.url).obtain(profile(), None)
    assert "ServiceUnavailable" == failed.value.code
    assert ["AKIASOURCE"] == [r.key_id for r in sts.requests], "one attempt, signed by the source"


def test_the_lifetime_is_counted_by_the_servers_clock(sts: ScriptedServer) -> None:
    """With a server two hours ahead an hour is an hour, and the skew is known."""
    ahead = time.time() + 7200  # noqa: TID251 - the server's clock
    sts.script = lambda _: Answer(
        body=grant_xml(expiration=_stamp(ahead + 3600)), date=formatdate(ahead, usegmt=True)
    )
    before = clock()
    grant = provider(sts.url).obtain(profile(), None)
    assert grant.lifetime == pytest.approx(3600, abs=2)
    assert grant.skew == pytest.approx(7200, abs=60)
    assert before.wall <= grant.sent_at.wall <= clock().wall
    assert grant.credentials.expiration == pytest.approx(ahead + 3600, abs=1)


def test_without_a_date_the_lifetime_is_never_much_more_than_was_asked(
    sts: ScriptedServer,
) -> None:
    """With a clock three hours slow and no Date header, a lifetime is cut to 3,605 s."""
    sts.script = lambda _: Answer(body=grant_xml(lifetime=3600 + 3 * 3600), date="")
    grant = provider(sts.url).obtain(profile(), None)
    assert 3605.0 == grant.lifetime
    assert grant.skew is None


def test_a_shorter_grant_is_a_success(sts: ScriptedServer) -> None:
    """A shorter grant is used, with its true lifetime."""
    sts.script = lambda _: Answer(body=grant_xml(lifetime=900))
    grant = provider(sts.url).obtain(profile(), None)
    assert grant.lifetime == pytest.approx(900, abs=2)
    assert 3600.0 == grant.asked


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (grant_xml(lifetime=-10), "GrantExpired"),
        (grant_xml(expiration=""), "GrantIncomplete"),
        (grant_xml(secret=""), "GrantIncomplete"),
        ("", "ResponseParserError"),
        ("<html>captive portal</html>", "KeyError"),
    ],
)
def test_an_expired_or_incomplete_grant_is_a_failure(
    sts: ScriptedServer, body: str, code: str
) -> None:
    """An expired or incomplete grant, or a 200 that is no grant, is an error that time mends."""
    sts.script = lambda _: Answer(body=body)
    with pytest.raises(RenewalError) as failed:
        provider(sts.url).obtain(profile(), None)
    assert (code, Mend.TIME) == (failed.value.code, failed.value.mend)


def test_sixteen_threads_get_each_their_own_grant(sts: ScriptedServer) -> None:
    """However many calls run at once, none is signed with the keys of another."""

    def echo(request: Request) -> Answer:
        return Answer(body=grant_xml(key_id=f"{request.form['RoleSessionName']}{request.key_id}"))

    sts.script = echo
    asking = provider(sts.url)

    def one(serial: int) -> bool:
        parent = SessionCredentials(f"ASIA{serial:04d}", f"s{serial}", f"t{serial}", 0.0)
        asked = profile(role_session_name=f"n{serial}", source_profile="p")
        key = asking.obtain(asked, parent).credentials.access_key_id
        return key == f"n{serial}ASIA{serial:04d}"

    with ThreadPoolExecutor(16) as pool:
        assert [True] * 200 == list(pool.map(one, range(200)))


def test_refused_keys_are_looked_up_again_at_once_and_once(
    sts: ScriptedServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """If the keys were rotated after we read them, the attempt still succeeds."""
    path = tmp_path_factory.mktemp("source") / "credentials"
    path.write_text("[ci]\naws_access_key_id = AKIAOLD\naws_secret_access_key = old\n")

    def rotate(request: Request) -> Answer:
        if request.key_id == "AKIANEW":
            return Answer(body=grant_xml())
        path.write_text("[ci]\naws_access_key_id = AKIANEW\naws_secret_access_key = new\n")
        return Answer(403, error_xml("InvalidClientTokenId"))

    sts.script = rotate
    asking = ProviderAt(
        sts.url,
        {"ci": FileSource(str(path), "ci")},
        StsLimits(),
        clock=clock,
        environ={},
    )
    asking.obtain(profile(), None)
    assert ["AKIAOLD", "AKIANEW"] == [r.key_id for r in sts.requests]


def test_refused_keys_that_have_not_changed_are_not_tried_twice(sts: ScriptedServer) -> None:
    """If the keys are unchanged, there is no second request, and the source is blamed."""
    sts.script = lambda _: Answer(403, error_xml("ExpiredToken"))
    with pytest.raises(RenewalError) as failed:
        provider(sts.url).obtain(profile(), None)
    assert 1 == len(sts.requests)
    assert ("ExpiredToken", Scope.SOURCE) == (failed.value.code, failed.value.scope)
    assert "ci" in str(failed.value.hint)


def test_a_parents_refused_keys_concern_the_chained_profile_alone(sts: ScriptedServer) -> None:
    """A refusal of a parent's credentials is not blamed on a source."""
    sts.script = lambda _: Answer(403, error_xml("ExpiredToken"))
    with pytest.raises(RenewalError) as failed:
        provider(sts.url).obtain(profile(source_profile="production"), PARENT)
    assert (Scope.PROFILE, Mend.TIME) == (failed.value.scope, failed.value.mend)
    assert "source_profile production" in str(failed.value.hint)


def _stamp(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TRUST_ALL = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
MAY_ASSUME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
}


def test_a_chain_of_three_roles_works_against_ministack(ministack: AwsServer) -> None:
    """Each of three roles trusts only the one before it, and the last can be assumed."""
    key_id, secret = ministack.user("chain-ci", MAY_ASSUME)
    arns = ["arn:aws:iam::000000000000:user/chain-ci"]
    for name in ("chain-one", "chain-two", "chain-three"):
        trust = json.loads(json.dumps(TRUST_ALL))
        trust["Statement"][0]["Principal"]["AWS"] = arns[-1]
        arns.append(ministack.role(name, trust, MAY_ASSUME))
    asking = ProviderAt(
        ministack.url,
        {"ci": EnvironmentSource()},
        StsLimits(),
        clock=clock,
        environ={"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret},
    )
    grant = asking.obtain(profile("one", role_arn=arns[1]), None)
    for name, arn in zip(("two", "three"), arns[2:], strict=True):
        chained = profile(name, role_arn=arn, source_profile="before")
        grant = asking.obtain(chained, grant.credentials)
    who = ministack.client(
        "sts",
        {
            "aws_access_key_id": grant.credentials.access_key_id,
            "aws_secret_access_key": grant.credentials.secret_access_key,
            "aws_session_token": grant.credentials.session_token,
        },
    ).get_caller_identity()
    assert "assumed-role/chain-three/credfresh-host-three" in who["Arn"]
    with pytest.raises(RenewalError) as failed:
        asking.obtain(profile("three", role_arn=arns[3]), None)  # it does not trust the source
    assert "AccessDenied" == failed.value.code


def test_ministack_refuses_a_wrong_secret_and_we_name_the_source(ministack: AwsServer) -> None:
    """A wrong secret is blamed on the source, and a human must mend it."""
    key_id, _ = ministack.user("typo-ci", MAY_ASSUME)
    arn = ministack.role("typo-role", TRUST_ALL)
    asking = ProviderAt(
        ministack.url,
        {"ci": EnvironmentSource()},
        StsLimits(),
        clock=clock,
        environ={"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": "mistyped"},
    )
    with pytest.raises(RenewalError) as failed:
        asking.obtain(profile(role_arn=arn), None)
    assert ("SignatureDoesNotMatch", Scope.SOURCE, Mend.HUMAN) == (
        failed.value.code,
        failed.value.scope,
        failed.value.mend,
    )


def test_renewal_works_against_motos_server(moto: AwsServer) -> None:
    """Each call to moto grants the hour that was asked for, with other keys."""
    asking = provider(moto.url)
    grant = asking.obtain(profile(), None)
    assert grant.lifetime == pytest.approx(3600, abs=2)
    assert grant.credentials.access_key_id.startswith("ASIA")
    again = asking.obtain(profile(), None)
    assert again.credentials != grant.credentials
