"""Tries the policies of docs/aws-setup.md, taken from the page, on ministack.

ministack (AUTH=true) enforces identity policies across accounts, trust policies with ExternalId,
session name, tags (sts:TagSession in the trust policy) and web identity's audience and subject.
It does not enforce MaxSessionDuration, the hour of chained roles, sts:SetSourceIdentity, or
sts:TagSession in the identity policy: for these, tests only show that a correct request passes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import aws_servers
import fakes
from aws_servers import AwsServer
from credfresh.cli.clock import clock
from credfresh.config.parse import parse
from credfresh.errors import Mend, RenewalError
from credfresh.model import Grant
from credfresh.principals import EnvironmentSource, Principal, WebIdentitySource
from credfresh.settings import Profile, StsLimits
from credfresh.sts import StsProvider
from sources import ProviderAt

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "aws-setup.md"
EXAMPLE = ROOT / "config" / "credfresh.example.yaml"
TOOLS, DEVELOPMENT, PREPRODUCTION, PRODUCTION = (d * 12 for d in "4123")


def policies() -> dict[str, Any]:
    """Return the page's JSON blocks by the file names that it gives them."""
    named = re.findall(
        r"^`(\S+\.json)`[^\n]*(?:\n[^\n`]+)*:?\n\n```json\n(.*?)^```",
        PAGE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return {name: json.loads(text) for name, text in named}


POLICIES = policies()

EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}],
}
"""An identity policy that allows all of STS, so that only the trust policy decides."""


@pytest.fixture
def aws() -> Iterator[AwsServer]:
    """Run a ministack whose accounts are empty."""
    with aws_servers.ministack() as server:
        yield server


def provider(aws: AwsServer, source: Principal, keys: tuple[str, str] = ("", "")) -> StsProvider:
    """Return a provider whose source `ci` is `source`."""
    return ProviderAt(
        aws.url,
        {"ci": source},
        StsLimits(),
        clock=clock,
        environ={"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]},
    )


def user(aws: AwsServer, policy: str = "may-assume.json", name: str = "ci") -> StsProvider:
    """Return a provider of a user of the tools account with one of the page's policies."""
    keys = aws.user(name, POLICIES[policy], account=TOOLS)
    return provider(aws, EnvironmentSource(), keys)


def deploy(aws: AwsServer, policy: str, account: str = PRODUCTION) -> Profile:
    """Create a deploy role with one of the page's trust policies; return a profile of it."""
    arn = aws.role("deploy", POLICIES[policy], account=account)
    return replace(fakes.profile(source="ci"), role_arn=arn)


def trust(aws: AwsServer, name: str, policy: object, *, account: str) -> None:
    """Replace the trust policy of an existing role, to show that only this was in the way."""
    aws.client("iam", account=account).update_assume_role_policy(
        RoleName=name, PolicyDocument=json.dumps(policy)
    )


def denied(asking: StsProvider, profile: Profile) -> None:
    """Assert that the profile is refused, and that the hint names the page."""
    with pytest.raises(RenewalError) as failed:
        asking.obtain(profile, None)
    assert ("AccessDenied", Mend.HUMAN) == (failed.value.code, failed.value.mend)
    assert "docs/aws-setup.md" in str(failed.value.hint)


def who(aws: AwsServer, grant: Grant) -> str:
    """Return the ARN of the identity that the granted credentials belong to."""
    keys = {
        "aws_access_key_id": grant.credentials.access_key_id,
        "aws_secret_access_key": grant.credentials.secret_access_key,
        "aws_session_token": grant.credentials.session_token,
    }
    return str(aws.client("sts", keys).get_caller_identity()["Arn"])


def test_every_policy_of_the_page_is_found_and_tried() -> None:
    """Every JSON block of the page is a valid policy that some test here uses."""
    blocks = PAGE.read_text().count("```json")
    here = Path(__file__).read_text()
    assert blocks == len(POLICIES)
    assert [] == [name for name in POLICIES if f'"{name}"' not in here]
    assert {"2012-10-17"} == {policy["Version"] for policy in POLICIES.values()}


def configured() -> list[str]:
    """Return the configuration of section 6 of the page, and the example in `config/`."""
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [text, EXAMPLE.read_text()]


@pytest.mark.parametrize("text", configured(), ids=["the page's", "the example"])
def test_one_user_and_three_environments_as_the_page_configures_them(
    aws: AwsServer, text: str
) -> None:
    """With the policies of section 6, either configuration assumes all three roles."""
    settings = parse(text.encode(), "/etc/credfresh/credfresh.yaml", hostname="build-7")
    for account, policy in (
        (DEVELOPMENT, "trust-user.json"),
        (PREPRODUCTION, "trust-user.json"),
        (PRODUCTION, "trust-production.json"),
    ):
        aws.role("deploy", POLICIES[policy], account=account)
    keys = aws.user("ci", POLICIES["may-assume.json"], account=TOOLS)
    asking = provider(aws, EnvironmentSource(), keys)
    arns = {
        name: who(aws, asking.obtain(replace(profile, source="ci"), None))
        for name, profile in settings.profiles.items()
    }
    sessions = {name: profile.role_session_name for name, profile in settings.profiles.items()}
    assert {
        name: f"arn:aws:sts::{account}:assumed-role/deploy/{sessions[name]}"
        for name, account in (
            ("development", DEVELOPMENT),
            ("preproduction", PREPRODUCTION),
            ("production", PRODUCTION),
        )
    } == arns


def test_another_user_with_the_same_permissions_is_not_trusted(aws: AwsServer) -> None:
    """An identity policy alone is not enough: the trust policy decides."""
    profile = deploy(aws, "trust-user.json")
    denied(user(aws, name="somebody-else"), profile)
    assert user(aws).obtain(profile, None).lifetime > 3500


def test_the_identity_policy_names_the_roles(aws: AwsServer) -> None:
    """A role that the statement does not name cannot be assumed, though it trusts the user."""
    asking = user(aws)
    arn = aws.role("other", POLICIES["trust-user.json"], account=PRODUCTION)
    other = replace(fakes.profile(source="ci"), role_arn=arn)
    denied(asking, other)
    aws.client("iam", account=TOOLS).put_user_policy(
        UserName="ci", PolicyName="p", PolicyDocument=json.dumps(EVERYTHING)
    )
    assert asking.obtain(other, None).lifetime > 3500


def test_production_takes_only_sessions_that_name_themselves(aws: AwsServer) -> None:
    """The condition refuses any other session name."""
    profile = deploy(aws, "trust-production.json")
    asking = user(aws)
    denied(asking, replace(profile, role_session_name="by-hand"))
    assert asking.obtain(profile, None).lifetime > 3500


def test_another_account_needs_the_external_id(aws: AwsServer) -> None:
    """The right ExternalId passes; a wrong one and none are refused."""
    profile = deploy(aws, "trust-account-with-external-id.json")
    asking = user(aws)
    denied(asking, profile)
    denied(asking, replace(profile, external_id="1402433619"))
    granted = asking.obtain(replace(profile, external_id="012345670123"), None)
    assert granted.lifetime > 3500


def token(tmp_path: Path, subject: str, audience: str = "sts.amazonaws.com") -> WebIdentitySource:
    """Write a token of the page's issuer; return the source that uses it."""
    claims = {"iss": "https://oidc.example.com", "sub": subject, "aud": audience}
    parts = [{"alg": "none"}, claims, {}]
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    path = tmp_path / f"token-{len(list(tmp_path.iterdir()))}"
    path.write_text(".".join(encoded))
    return WebIdentitySource(str(path), f"arn:aws:iam::{TOOLS}:role/build-host")


def test_a_token_becomes_the_build_host_and_that_the_deploy_role(
    aws: AwsServer, tmp_path: Path
) -> None:
    """An OIDC token gives `build-host`, which assumes `deploy`; wrong subject or audience fails."""
    build_host = aws.role(
        "build-host", POLICIES["trust-oidc.json"], POLICIES["may-assume.json"], account=TOOLS
    )
    assert build_host == f"arn:aws:iam::{TOOLS}:role/build-host"
    profile = deploy(aws, "trust-build-host.json")
    right = token(tmp_path, "system:serviceaccount:build:credfresh")
    granted = provider(aws, right).obtain(profile, None)
    assert f"arn:aws:sts::{PRODUCTION}:assumed-role/deploy/" in who(aws, granted)
    for wrong in (
        token(tmp_path, "system:serviceaccount:default:default"),
        token(tmp_path, "system:serviceaccount:build:credfresh", audience="somebody-else"),
    ):
        with pytest.raises(RenewalError, match="AccessDenied") as failed:
            provider(aws, wrong).obtain(profile, None)
        assert "source_refused" == failed.value.code


def test_a_role_for_instances_cannot_be_assumed_by_others(aws: AwsServer) -> None:
    """A user cannot assume a `build-host` that trusts EC2, nor a role that trusts `build-host`."""
    aws.role("build-host", POLICIES["trust-ec2.json"], account=TOOLS)
    asking = provider(aws, EnvironmentSource(), aws.user("ci", EVERYTHING, account=TOOLS))
    arn = f"arn:aws:iam::{TOOLS}:role/build-host"
    build_host = replace(fakes.profile(source="ci"), role_arn=arn)
    deployed = deploy(aws, "trust-build-host.json")
    denied(asking, build_host)
    denied(asking, deployed)
    for name, account, profile in (
        ("build-host", TOOLS, build_host),
        ("deploy", PRODUCTION, deployed),
    ):
        trust(aws, name, POLICIES["trust-user.json"], account=account)
        assert asking.obtain(profile, None).lifetime > 3500


def test_the_role_takes_only_the_session_tag_that_it_requires(aws: AwsServer) -> None:
    """The required tag passes; another value, an additional tag and no tag are refused."""
    profile = deploy(aws, "trust-with-tags.json")
    asking = user(aws, "may-assume-and-tag.json")
    denied(asking, profile)
    denied(asking, replace(profile, session_tags=(("team", "other"),)))
    denied(asking, replace(profile, session_tags=(("team", "release"), ("stage", "x"))))
    granted = asking.obtain(replace(profile, session_tags=(("team", "release"),)), None)
    assert granted.lifetime > 3500


def test_tags_need_tag_session_in_the_trust_policy(aws: AwsServer) -> None:
    """The plain trust policy refuses a request that carries tags."""
    profile = deploy(aws, "trust-user.json")
    asking = user(aws, "may-assume-and-tag.json")
    tagged = replace(profile, session_tags=(("team", "release"),))
    denied(asking, tagged)
    assert asking.obtain(profile, None).lifetime > 3500
    trust(aws, "deploy", POLICIES["trust-with-tags.json"], account=PRODUCTION)
    assert asking.obtain(tagged, None).lifetime > 3500


def test_a_role_that_permits_it_takes_a_source_identity(aws: AwsServer) -> None:
    """A request with a source identity passes (ministack does not check sts:SetSourceIdentity)."""
    profile = deploy(aws, "trust-with-source-identity.json")
    asking = user(aws, "may-assume-and-set-source-identity.json")
    granted = asking.obtain(replace(profile, source_identity="build-host-7"), None)
    assert granted.lifetime > 3500
