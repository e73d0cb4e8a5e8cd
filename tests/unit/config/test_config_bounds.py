"""Every value of the file has bounds: their edges are accepted, what lies beyond is refused."""

from __future__ import annotations

import pytest

from configs import ROLE, one_profile, only_problem, production, profiles, refused
from credfresh.config.arn import PARTITIONS, partition_of_region


def _tags(count: int) -> str:
    return "session_tags: {" + ", ".join(f"k{n}: v" for n in range(count)) + "}"


def _arns(count: int) -> str:
    found = ", ".join(f"arn:aws:iam::aws:policy/P{n}" for n in range(count))
    return f"policy_arns: [{found}]"


def _policy(characters: int) -> str:
    frame = '{"Statement":[{"Sid":"*"}]}'
    return "policy: '" + frame.replace("*", "x" * (characters - len(frame) + 1)) + "'"


@pytest.mark.parametrize(
    "keys",
    [
        "duration: 15m",
        "duration: 900s",
        "duration: 12h",
        "role_session_name: ab",
        f"role_session_name: {'a' * 64}",
        "role_session_name: 'a_+=,.@-'",
        "external_id: ab",
        f"external_id: {'a' * 1224}",
        "external_id: 'a:/@'",
        "source_identity: ab",
        f"source_identity: {'a' * 64}",
        _tags(50),
        f"session_tags: {{{'k' * 128}: {'v' * 256}}}",
        'session_tags: {"größe ٣": "a b_.:/=+-@", leer: ""}',
        _arns(10),
        f"policy_arns: ['arn:aws:iam::111111111111:policy/path/{'p' * 128}']",
        _policy(2048),
        "renew_before: 1s",
        "section: 'a b'",
        f"section: {'s' * 128}",
        "section: 'profile'",
        "endpoint_url: http://[::1]:4566",
        "endpoint_url: http://localhost:1",
        "endpoint_url: https://sts.example.com/path",
        "region: us-gov-east-1\nendpoint_url: https://sts.example.com",
    ],
)
def test_values_at_the_bounds_are_accepted(keys: str) -> None:
    """The documented bounds themselves are allowed."""
    assert production(one_profile(keys)).name == "production"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("duration: 30s", "must be 15m to 12h, the bounds of AssumeRole (got '30s')"),
        ("duration: 14m", "must be 15m to 12h, the bounds of AssumeRole (got '14m')"),
        ("duration: 13h", "must be 15m to 12h, the bounds of AssumeRole (got '13h')"),
        ("duration: 43201s", "must be 15m to 12h, the bounds of AssumeRole (got '43201s')"),
        ("duration: 1:30", "must be a number and s, m or h (got '1:30')"),
        ("duration: -1h", "must be a number and s, m or h (got '-1h')"),
        ("duration: 1.5h", "must be a number and s, m or h (got '1.5h')"),
        (
            "duration: \N{ARABIC-INDIC DIGIT ONE}h",
            "must be a number and s, m or h (got '\\u0661h')",
        ),
        ("duration: 9999999999h", "must be a number and s, m or h (got '9999999999h')"),
        ('duration: ""', "must not be empty"),
        ("duration: [1h]", "must be text (got a list)"),
        ("duration: {h: 1}", "must be text (got a mapping)"),
        ("role_session_name: a", "must have 2 to 64 characters (got 1)"),
        (f"role_session_name: {'a' * 65}", "must have 2 to 64 characters (got 65)"),
        ("role_session_name: a b", "has a character that STS does not take (got 'a b')"),
        ("role_session_name: käse", "has a character that STS does not take (got 'k\\xe4se')"),
        ("role_session_name: ab/c", "has a character that STS does not take (got 'ab/c')"),
        ("external_id: a", "must have 2 to 1,224 characters (got 1)"),
        (f"external_id: {'a' * 1225}", "must have 2 to 1,224 characters (got 1,225)"),
        (
            "external_id: a b",
            "has a character that STS does not take (got 3 characters, not shown)",
        ),
        ("source_identity: a", "must have 2 to 64 characters (got 1)"),
        ("source_identity: 'a:b'", "has a character that STS does not take (got 'a:b')"),
        (_tags(51), "must have at most 50 tags (got 51)"),
        ("session_tags: [a]", "must be a mapping of tag keys to values (got a list)"),
        ("session_tags: {'': x}", "the key of tag 1 must have 1 to 128 characters (got 0)"),
        (
            f"session_tags: {{{'k' * 129}: x}}",
            "the key of tag 1 must have 1 to 128 characters (got 129)",
        ),
        (
            f"session_tags: {{a: x, k: {'v' * 257}}}",
            "the value of tag 2 must have 0 to 256 characters (got 257)",
        ),
        ("session_tags: {a: 'x;y'}", "the value of tag 1 has a character that STS does not take"),
        ('session_tags: {a: "x\\ny"}', "the value of tag 1 has a character that STS does not take"),
        ("session_tags: {a: [x]}", "the value of tag 1 must be text"),
        ("session_tags: {AWS:x: y}", "the key of tag 1 must not begin with `aws:`"),
        ("session_tags: {Team: a, team: b}", "tags 1 and 2 have the same key but for its case"),
        ("transitive_tag_keys: team", "must be a list (got 4 characters, not shown)"),
        ("transitive_tag_keys: [team]", "item 1 is not among the keys of `session_tags`"),
        (_arns(11), "must have at most 10 policies (got 11)"),
        ("policy_arns: [x]", "item 1 must be the ARN of a policy"),
        (f"policy_arns: ['{ROLE}']", "item 1 is not the ARN of a policy"),
        (
            "policy_arns: ['arn:aws:iam::222222222222:policy/x']",
            "item 1 is not in the account of the role",
        ),
        (
            "policy_arns: ['arn:aws-cn:iam::aws:policy/x']",
            "item 1 is not in the account of the role",
        ),
        (_policy(2049), "must have at most 2,048 characters as compact JSON (got 2,049)"),
        (
            "policy: text",
            "is not JSON: Expecting value at line 1, column 1 of it",
        ),
        ("policy: '[]'", "must be a policy: a mapping, or text that is a JSON object (got 2 "),
        ("policy: [a]", "must be a policy: a mapping, or text that is a JSON object (got a list)"),
        ("policy: {Version: x}", "is no policy: it has no `Statement`"),
        ('policy: \'{"Statement": 1, "Statement": 2}\'', "has an object with a duplicate key"),
        ("policy: '{\"Statement\": NaN}'", "has a number that JSON does not have"),
        ('policy: \'{"Statement": ' + "1" * 5000 + "}'", "is not JSON that IAM takes"),
        ("policy: {Statement: '€'}", "has a character beyond U+00FF, which IAM does not take"),
        ("renew_before: 0%", "must be 1% to 80%, or a duration such as 20m (got '0%')"),
        ("renew_before: 81%", "must be 1% to 80%, or a duration such as 20m (got '81%')"),
        ("renew_before: 12.5%", "must be 1% to 80%, or a duration such as 20m (got '12.5%')"),
        ("renew_before: 0s", "must be at least 1s (got '0s')"),
        ("renew_before: 1h", "must be less than the duration of 1h (got 1h)"),
        (
            "renew_before: half",
            "must be a share such as 50% or a duration such as 20m (got 'half')",
        ),
        ("region: EU", "must be an AWS region (got 'EU')"),
        (
            "region: cn-north-1",
            "is in partition aws-cn, the role in aws (got 'cn-north-1')",
        ),
        ("fips: yes", "must be true or false (got 'yes')"),
        ("fips: True", "must be true or false (got 'True')"),
        ("fips: true\nendpoint_url: https://sts.example.com", "cannot be true where"),
        ("on_expired: delete", "must be 'keep' or 'remove' (got 'delete')"),
        ("on_expired: [keep]", "must be 'keep' or 'remove' (got a list)"),
        ("endpoint_url: http://sts.example.com", "must be https, except to this host (got 'http"),
        ("endpoint_url: ftp://127.0.0.1", "must be https://HOST or https://HOST:PORT (got 'ftp"),
        ("endpoint_url: https://", "must be https://HOST or https://HOST:PORT (got 'https://')"),
        ("endpoint_url: https://a:99999", "must be a URL (got 'https://a:99999')"),
        ("endpoint_url: https://a:0", "must be https://HOST or https://HOST:PORT (got"),
        ("endpoint_url: 'https://[::1'", "must be a URL (got 'https://[::1')"),
        ("endpoint_url: https://user:hunter2@host", "must not contain a user or password"),
        ("endpoint_url: https://host/?token=hunter2", "must be https://HOST or https://HOST:PORT"),
        ("endpoint_url: 'https://a b'", "must be https://HOST or https://HOST:PORT (got"),
        ("section: default", "the section `default` is what every process on the host falls back"),
        ("section: DEFAULT", "must not be `DEFAULT`"),
        ("section: 'a]b'", "must not contain `[` or `]` (got 'a]b')"),
        ("section: ' a'", "must not begin or end with a space (got ' a')"),
        ('section: "a\\nb"', "must be printable ASCII (got 'a\\nb')"),
        ('section: "a\\tb"', "must be printable ASCII (got 'a\\tb')"),
        ("section: bücher", "must be printable ASCII (got 'b\\xfccher')"),
        ("section: profile x", "must be the bare name of the profile (got 'profile x')"),
        (f"section: {'s' * 129}", "must have 1 to 128 characters (got 129)"),
        ("source: nobody", "no such source (got 'nobody')"),
        ("source_profile: nobody", "no such profile (got 'nobody')"),
        ("credentials_file: /run/x", "must be a mapping of keys (got text)"),
    ],
)
def test_values_beyond_the_bounds_are_refused_at_load(keys: str, reason: str) -> None:
    """Each mistake is the only problem, with its reason and the value that was given."""
    problem = only_problem(one_profile(keys))
    assert problem.reason.startswith(reason)
    assert problem.path.startswith("profiles.production.")
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_every_partition_of_aws_has_roles(partition: str) -> None:
    """A role of each partition is accepted with a region of that partition."""
    regions = ["eu-west-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1"]
    regions += ["eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1"]
    region = {partition_of_region(region): region for region in regions}[partition]
    arn = f"arn:{partition}:iam::111111111111:role/deploy"
    profile = production(one_profile(f"region: {region}").replace(ROLE, arn))
    assert (profile.role_arn, profile.region) == (arn, region)


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::111111111111:role/{'r' * 64}",
        "arn:aws:iam::111111111111:role/a+=,.@_-B9",
        "arn:aws:iam::111111111111:role/aws-reserved/sso.amazonaws.com/eu-west-1/X_1",
        f"arn:aws:iam::111111111111:role/{'p' * 510}/r",
        "arn:aws:iam::111111111111:role/a//r",
        "arn:aws:iam::111111111111:role///r",
    ],
)
def test_role_names_and_paths_of_every_kind_are_accepted(arn: str) -> None:
    """Whatever IAM allows in the name and the path of a role is accepted."""
    assert production(one_profile().replace(ROLE, arn)).role_arn == arn


@pytest.mark.parametrize(
    ("arn", "reason"),
    [
        ("deploy", "must be the ARN of a role"),
        ("arn:aws:iam::111111111111", "must be the ARN of a role"),
        ("arn:amazon:iam::111111111111:role/x", "is in a partition that AWS does not have"),
        (
            "arn:aws:sts::111111111111:assumed-role/x/session",
            "is a session of a role, not the role",
        ),
        ("arn:aws:s3:::bucket", "is not an ARN of the service `iam`"),
        ("arn:aws:iam:eu-west-1:111111111111:role/x", "names a region, which IAM does not have"),
        ("arn:aws:iam::11111111111:role/x", "has no account of 12 digits"),
        ("arn:aws:iam::aws:role/x", "has no account of 12 digits"),
        ("arn:aws:iam::ACCOUNT:role/x", "has no account of 12 digits"),
        ("arn:aws:iam::111111111111:user/x", "is not the ARN of a role"),
        ("arn:aws:iam::111111111111:role", "is not the ARN of a role"),
        ("arn:aws:iam::111111111111:role/", "has no valid role name at its end"),
        ("arn:aws:iam::111111111111:role/path/", "has no valid role name at its end"),
        ("arn:aws:iam::111111111111:role/x y", "has no valid role name at its end"),
        (f"arn:aws:iam::111111111111:role/{'r' * 65}", "has no valid role name at its end"),
        (f"arn:aws:iam::111111111111:role/{'p' * 512}/r", "has a path before the role name"),
        ("arn:aws:iam::111111111111:role/p ath/r", "has a path before the role name"),
        ("arn:aws:iam::111111111111:role//r", "has a path before the role name"),
    ],
)
def test_each_part_of_a_bad_arn_is_named(arn: str, reason: str) -> None:
    """The reason names the part that is wrong, and the hint the form that it should have."""
    problem = only_problem(one_profile().replace(ROLE, f"'{arn}'"))
    assert problem.path == "profiles.production.role_arn"
    assert problem.reason.startswith(reason)
    assert problem.hint


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("rw-r-----", "must be an octal file mode"),
        ("0800", "must be an octal file mode"),
        ("06400", "must be an octal file mode"),
        ("4640", "must be an octal file mode"),
        ("0666", "must not be writable by everybody"),
        ("0602", "must not be writable by everybody"),
        ("0700", "must not be executable"),
        ("0641", "must not be executable"),
        ("0400", "must let the owner read and write"),
        ("0240", "must let the owner read and write"),
    ],
)
def test_modes_that_would_do_harm_are_refused(mode: str, reason: str) -> None:
    """The credentials file is data: its owner reads and writes it, and never everybody."""
    text = one_profile().replace("credentials}", f"credentials, mode: '{mode}'}}")
    problem = only_problem(text)
    assert problem.path == "credentials_file.mode"
    assert problem.reason == f"{reason} (got {mode!r})"


@pytest.mark.parametrize(
    ("keys", "path", "reason"),
    [
        ("{path: run/x}", "path", "must be an absolute path"),
        ("{path: ~/x}", "path", "must be an absolute path"),
        ("{path: /run/x/}", "path", "must name a file, not a directory"),
        ('{path: "/run/\\n"}', "path", "must not contain control characters"),
        (f"{{path: /{'x' * 4095}}}", "path", "is longer than a path can be"),
        ("{path: /x, owner: 'a b'}", "owner", "must be the name or number of a user or group"),
        ("{path: /x, group: '-1'}", "group", "must be the name or number of a user or group"),
        ("{mode: 640}", "path", "is required"),
    ],
)
def test_the_path_of_the_credentials_file_must_be_absolute_and_name_a_file(
    keys: str, path: str, reason: str
) -> None:
    """What could not be a credentials file is refused before anything is written."""
    text = one_profile().replace("{path: /run/credfresh/credentials}", keys)
    problem = only_problem(text)
    assert problem.path == f"credentials_file.{path}"
    assert problem.reason.startswith(reason)


@pytest.mark.parametrize(
    ("top", "path", "reason"),
    [
        ("sts: {calls_per_second: 0}", "sts.calls_per_second", "must be a number from 0.1 to 600"),
        ("sts: {calls_per_second: 601}", "sts.calls_per_second", "must be a number from 0.1"),
        ("sts: {calls_per_second: inf}", "sts.calls_per_second", "must be a number from 0.1"),
        ("sts: {max_concurrency: 0}", "sts.max_concurrency", "must be a whole number from 1"),
        ("sts: {max_concurrency: 65}", "sts.max_concurrency", "must be a whole number from 1"),
        ("sts: {max_concurrency: 1.5}", "sts.max_concurrency", "must be a whole number from 1"),
        ("sts: {connect_timeout: 0s}", "sts.connect_timeout", "must be 1s to 20s"),
        ("sts: {connect_timeout: 21s}", "sts.connect_timeout", "must be 1s to 20s"),
        ("sts: {read_timeout: 31s}", "sts.read_timeout", "must be 1s to 30s"),
        ("sts: {read_timeout: 10}", "sts.read_timeout", "must be a number and s, m or h"),
        ("sts: 50", "sts", "must be a mapping of keys (got text)"),
        ("log: {level: verbose}", "log.level", "must be 'debug', 'info', 'warning' or 'error'"),
        ("log: {format: xml}", "log.format", "must be 'auto', 'json' or 'console'"),
        ("ready: soon", "ready", "must be 'settled' or 'fresh'"),
        ("instance: 'a b'", "instance", "must be 1 to 64 letters"),
        (f"instance: {'a' * 65}", "instance", "must be 1 to 64 letters"),
        ("sources: [a]", "sources", "must be a mapping of keys (got a list)"),
        ("sources: {default: {profile: x}}", "sources.default", "is reserved"),
        ("sources: {'a b': {profile: x}}", "sources.'a b'", "must be 1 to 64 letters"),
        ("sources: {a: {}}", "sources.a", "does not say what kind of source it is"),
        ("sources: {a: text}", "sources.a", "must be a mapping of keys (got text)"),
        ("sources: {a: {credentials_file: /x}}", "sources.a.profile", "is required"),
        ("sources: {a: {environment: false}}", "sources.a.environment", "must be true"),
        ("sources: {a: {environment: maybe}}", "sources.a.environment", "must be true"),
        ("sources: {a: {systemd_credential: ../x, profile: y}}", None, "must be 1 to 64 letters"),
        ("sources: {a: {systemd_credential: .., profile: y}}", None, "must be the name of a file"),
        ("sources: {a: {credential_process: /bin/x}}", None, "must be a list"),
        ("sources: {a: {credential_process: []}}", None, "must name a command"),
        ("sources: {a: {credential_process: [x]}}", None, "must begin with the absolute path"),
        ("sources: {a: {credential_process: [/x, [y]]}}", None, "item 2 must be text"),
        ("sources: {a: {web_identity: {token_file: /x}}}", None, "is required"),
        (
            "sources: {a: {environment: true, ecs_container: true}}",
            "sources.a",
            "is of 2 kinds at once: environment, ecs_container",
        ),
        (
            "sources: {a: {environment: true, profile: x}}",
            "sources.a",
            "is of 2 kinds at once: environment, profile",
        ),
    ],
)
def test_keys_beside_the_profiles_have_bounds_too(top: str, path: str | None, reason: str) -> None:
    """Every key beside the profiles is judged by itself."""
    text = one_profile(top=top + "\n")
    problem = only_problem(text)
    assert path is None or problem.path == path
    assert problem.reason.startswith(reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ('""', "must not be empty"),
        ('"a]"', "must not contain `[` or `]`"),
        ('"[key]"', "must not contain `[` or `]`"),
        ("DEFAULT", "must not be `DEFAULT`"),
        ("-x", "must not begin with `-`"),
        ('"a\\nb"', "must be printable ASCII"),
    ],
)
def test_the_name_of_a_profile_is_judged_where_it_stands(name: str, reason: str) -> None:
    """A name becomes a section and a word on command lines; its problem is at the key."""
    problem = only_problem(profiles(f"{name}: {{role_arn: ROLE}}"))
    assert problem.reason.startswith(reason)
    assert (problem.line, problem.column) == (4, 3)


def test_each_key_refuses_a_wrong_type_by_itself() -> None:
    """Each key of a profile refuses a list or a mapping, by itself and without a traceback."""
    keys = {
        "role_arn",
        "source",
        "section",
        "role_session_name",
        "duration",
        "renew_before",
        "external_id",
        "source_identity",
        "region",
        "endpoint_url",
        "fips",
        "adopt",
        "allow_default",
        "account_id",
        "on_expired",
        "enabled",
    }
    text = profiles("p: {" + ", ".join(f"{key}: [[x]]" for key in sorted(keys)) + "}")
    assert {p.path for p in refused(text)} == {f"profiles.p.{key}" for key in keys}
