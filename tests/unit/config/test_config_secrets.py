"""No message repeats what may be a secret."""

from __future__ import annotations

import pytest

from configs import TOP, accepted, one_profile, profiles, refused
from credfresh.config.echo import closest, looks_secret, shown

KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
WORD = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        one_profile(f"external_id: 'a {WORD}'"),
        one_profile(f"external_id: [{WORD}]"),
        one_profile(f"external_id: {{{WORD}: {WORD}}}"),
        one_profile(f"external_id: {{{WORD}}}"),
        one_profile(f"external_id: {{{WORD}: a, {WORD}: b}}"),
        one_profile(f"external_id: {{{WORD}: *a}}"),
        one_profile(f"on_renew: {{command: [/x, {WORD}:]}}"),
        one_profile(top=f"sources: {{a: {{credential_process: [/x, {{{WORD}}}]}}}}\n"),
        one_profile(f"policy: '{WORD}'"),
        one_profile(f"policy: '{{\"Statement\": {WORD}}}'"),
        one_profile(f"policy: {{Version: {WORD}}}"),
        one_profile(f"session_tags: {{a: '{WORD};'}}"),
        one_profile(f"session_tags: {{'{WORD};': a}}"),
        one_profile(f"session_tags: {WORD}"),
        one_profile(f"session_tags: {{aws:{WORD}: x}}"),
        one_profile(f"transitive_tag_keys: [{WORD}]"),
        one_profile(f"transitive_tag_keys: {WORD}"),
        one_profile(f"endpoint_url: https://me:{WORD}@sts.example.com"),
        one_profile(f"endpoint_url: http://sts.example.com/?{WORD}"),
        one_profile(f"endpoint_url: ftp://me:{WORD}"),
        one_profile(top=f"metrics: {{listen: 'http://me:{WORD}@127.0.0.1:9464'}}\n"),
        one_profile(top=f"ready: https://me:{WORD}@host/\n"),
        one_profile(f"endpoint_url: https://me:7{WORD}"),
        one_profile(f"endpoint_url: sts.example.com/?{WORD}"),
        one_profile(f"aws_secret_access_key: {WORD}"),
        one_profile(f"aws_secret_access_key: {{{WORD}}}"),
        one_profile(f"aws_secret_access_key: [{{{WORD}}}]"),
        one_profile(top=f"password: {{{WORD}}}\n"),
        one_profile(f"on_renew: {{command: [{WORD}]}}"),
        one_profile(
            top="endpoint: {listen: '127.0.0.1:9465', token_dir: /run/t,"
            f" groups: {{credential_process: [{WORD}]}}}}\n"
        ),
        one_profile(top=f"sources: {{a: {{credential_process: [{WORD}]}}}}\n"),
        one_profile(top=f"sources: {{a: {{credential_process: '/x {WORD}'}}}}\n"),
        one_profile(top=f"sources: {{a: {{aws_secret_access_key: {WORD}}}}}\n"),
        one_profile(top=f"sources: {{a: {{vault: {WORD}}}}}\n"),
        one_profile(top=f"sources: {{a: {{vault: {{auth: {{token_file: {WORD}}}}}}}}}\n"),
        one_profile(top=f"sources: {{a: {{web_identity: {{token_file: {WORD}}}}}}}\n"),
        one_profile(
            top=f"sources: {{a: {{vault: {{auth: {{approle: {{secret_id_file: {WORD}}}}}}}}}}}\n"
        ),
        one_profile(f"external_id: &{WORD} x"),
        one_profile(f"external_id: !{WORD} x"),
        one_profile(f"external_id: !{WORD}!{WORD} x"),
        one_profile(f"external_id: *{WORD}"),
        one_profile(f"external_id: %{WORD}"),
        one_profile(f"external_id: '{WORD}\n"),
        one_profile(f"external_id: a: {WORD}"),
        TOP + f"profiles: {WORD}\n",
        TOP + f"profiles: {{a: {WORD}}}\n",
        f"{WORD}\n",
        f"- {WORD}\n",
    ],
)
def test_values_of_keys_that_may_be_secret_are_not_repeated(text: str) -> None:
    """This holds for the message and for all that is attached to the error."""
    assert WORD not in repr(refused(text))


def test_the_place_of_a_mistake_is_named_in_a_profile_that_is_called_as_a_hidden_key() -> None:
    """Only what stands below the key itself is left out."""
    paths = {problem.path for problem in refused(profiles("policy: {region: }"))}
    assert "profiles.policy.region" in paths


@pytest.mark.parametrize(
    "key",
    [
        "role_arn", "source", "source_profile", "section", "role_session_name", "duration",
        "renew_before", "region", "endpoint_url", "fips", "on_expired", "enabled", KEY,
    ],
)  # fmt: skip
def test_a_text_that_looks_like_an_aws_key_is_repeated_nowhere(key: str) -> None:
    """A secret access key that is pasted as any value, or as a key, is not shown."""
    text = TOP + f"defaults: {{region: eu-west-1}}\nprofiles: {{a: {{{key}: {KEY}}}}}\n"
    assert KEY not in repr(refused(text))


def test_a_key_pasted_as_a_name_is_not_repeated() -> None:
    """Names of profiles and sources are shown, but not one that looks like a key."""
    text = TOP + f"sources: {{{KEY}: {{}}}}\nprofiles: {{{KEY}: {{source_profile: {KEY}}}}}\n"
    assert KEY not in repr(refused(text))


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"x {KEY} y",
        "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQ" * 4,
        "0123456789abcdef0123456789abcdef01234567",
        "-----BEGIN PRIVATE KEY-----",
        "abcdEFGHijklMNOPqrstUVWXyzABcdEFghIJklMN",  # one key in a thousand has no digit
        "hvs.CAESIJabcdefghijklmnopqrst",
        "https://me:hunter2@host/path",
    ],
)
def test_keys_tokens_and_digests_look_secret(text: str) -> None:
    """All forms that credentials come in are recognised, and not shown."""
    assert looks_secret(text)
    assert text not in shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "arn:aws:iam::111111111111:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123ab",
        "/var/lib/buildkite-agent/credentials",
        "http://[::1]:9464/a:b@c",
        "https://vpce-0123456789abcdef0.sts.eu-west-1.vpce.amazonaws.com",
        "credfresh-build-host-017.internal.example.com-production",
    ],
)
def test_key_ids_arns_paths_and_hosts_do_not_look_secret(text: str) -> None:
    """The access key id is the CloudTrail join key; ARNs, paths and hosts are no secrets."""
    assert not looks_secret(text)
    assert shown(text) == repr(text)


def test_a_long_value_is_cut() -> None:
    """A message stays on a screen."""
    assert shown("x y " * 1_000) == f"{'x y ' * 22!r}… (4,000 characters)"


def test_a_suggestion_never_shows_a_secret() -> None:
    """Did-you-mean names what stands elsewhere in the file, so it is guarded too."""
    assert closest(KEY[:-1] + "Z", [KEY]) is None
    assert closest("prod", ["production", "staging"]) == "production"
    assert closest("xyz", ["production", "staging"]) is None


def test_the_external_id_arrives_unchanged() -> None:
    """STS needs it as it stands, though no message repeats it."""
    settings = accepted(one_profile(f"external_id: '{WORD}'"))
    assert settings.profiles["production"].external_id == WORD


def test_a_name_that_cannot_be_shown_is_not_suggested() -> None:
    """A tab in a key is valid YAML, but no text for a terminal."""
    text = profiles(
        "a: {role_arn: ROLE, source: from-hub}",
        top='sources: {"f\trom-hub": {environment: true}}\n',
    )
    assert all(str(p).replace("\n", "").isprintable() for p in refused(text))
