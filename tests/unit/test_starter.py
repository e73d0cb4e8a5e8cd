"""A first configuration from AWS files as people have them."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credfresh.config.parse import parse
from credfresh.errors import ConfigError, CredfreshError
from credfresh.settings import Settings
from credfresh.starter.aws_files import AwsFile, read
from credfresh.starter.writing import Starter, scalar, starter

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYcanarysecret"
KEYS = f"aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n"
SESSION = KEYS + f"aws_session_token = token{SECRET}\n"
DEPLOY = "arn:aws:iam::111111111111:role/deploy"
CONFIG_PATH, CREDENTIALS_PATH = "/home/me/.aws/config", "/home/me/.aws/credentials"
HOME_KEYS = f"[default]\n{KEYS}"


def checked(text: str) -> Settings:
    """Check a configuration as `credfresh check` does."""
    return parse(text.encode(), "starter.yaml", environment={})


def made(config: str | None, credentials: str | None = HOME_KEYS) -> Starter:
    """Make a starter of two files."""
    files = [
        AwsFile(path, textwrap.dedent(text).replace("DEPLOY", DEPLOY)) if text is not None else None
        for path, text in ((CONFIG_PATH, config), (CREDENTIALS_PATH, credentials))
    ]
    found = read(*files)
    result = starter(found, [file.path for file in files if file is not None], checked)
    assert SECRET not in result.text
    assert "AKIA" not in result.text
    return result


def settings(config: str | None, credentials: str | None = HOME_KEYS) -> Settings:
    """Return the settings that the starter of two files gives: `check` accepts them."""
    return checked(made(config, credentials).text)


BY_KEYS = f"role_arn = {DEPLOY}\nsource_profile = default\n"
BY_OTHER = f"[profile a]\nrole_arn = {DEPLOY}\nsource_profile = x\n[profile x]\n"
ROLE = f"[profile a]\nrole_arn = {DEPLOY}\n"

USABLE = {
    "keys in the credentials file": f"[profile a]\n{BY_KEYS}",
    "keys in the config file": BY_OTHER + KEYS,
    "its own keys": f"{ROLE}source_profile = a\n{KEYS}",
    "environment": f"{ROLE}credential_source = Environment\n",
    "instance": f"{ROLE}credential_source = Ec2InstanceMetadata\n",
    "container": f"{ROLE}credential_source = EcsContainer\n",
    "token": f"{ROLE}web_identity_token_file = /var/run/token\n",
    "process": BY_OTHER + 'credential_process = /opt/bin/keys --for "the build" -v\n',
    "tabs and CRLF": "[profile a]\r\nrole_arn\t=\tDEPLOY\r\n  \r\nsource_profile=default\r\n",
    "byte order mark": f"\ufeff[profile a]\n{BY_KEYS}",
    "comments": f"# mine\n; theirs\n[profile a]\n# role\n{BY_KEYS}# end",
    "quoted name": f'[profile "a"]\n{BY_KEYS}',
    "nested settings": f"[profile a]\ns3 =\n  max_queue = 20\n  role_arn = no\n{BY_KEYS}",
    "other sections": (
        "[plugins]\nendpoint = awscli_plugin\n[services x]\ndynamodb =\n  endpoint_url = http://x\n"
        f"[preview]\nx = 1\n[profile a]\n{BY_KEYS}"
    ),
    "percent signs": f"[profile a]\n{BY_KEYS}cli_x = 100%(y)s\n",
    "an empty key": f"[profile a]\noutput =\nregion\n{BY_KEYS}",
    "an empty key and CRLF": f"[profile a]\r\noutput =\r\nregion\r\n{BY_KEYS}",
    "a process with arguments of all planes": (
        BY_OTHER + "credential_process = /opt/bin/keys größe \U0001f511\n"
    ),
    "a section twice": f"{ROLE}[profile b]\n[profile a]\nsource_profile = default\n",
}
"""Files with a profile `a` that a daemon can keep."""


@pytest.mark.parametrize("config", USABLE.values(), ids=USABLE.keys())
def test_a_role_that_needs_no_human_becomes_a_profile(config: str) -> None:
    """Any source of keys will do, and the whole configuration is valid."""
    result = made(config)
    assert ("a",) == result.profiles
    assert () == result.left_out
    profile = checked(result.text).profiles["a"]
    assert DEPLOY == profile.role_arn


UNUSABLE = {
    "mfa": f"[profile a]\n{BY_KEYS}mfa_serial = arn:aws:iam::111111111111:mfa/me\n",
    "sso session": f"{BY_OTHER}sso_session = s\n[sso-session s]\nsso_start_url = https://x\n",
    "sso of old": f"{BY_OTHER}sso_start_url = https://x\nsso_region = eu-west-1\n",
    "aws login": f"{BY_OTHER}login_session = arn:aws:iam::111111111111:user/me\n",
    "mfa further up": f"{BY_OTHER}{BY_KEYS}mfa_serial = 1\n",
    "session keys": BY_OTHER + SESSION,
    "no such source": f"{ROLE}source_profile = x\n",
    "a source without keys": f"{BY_OTHER}region = eu-west-1\n",
    "nothing said": ROLE,
    "both said": f"[profile a]\n{BY_KEYS}credential_source = Environment\n",
    "an unknown place": f"{ROLE}credential_source = Moon\n",
    "a circle": f"{BY_OTHER}role_arn = DEPLOY\nsource_profile = a\n",
    "itself without keys": f"{ROLE}source_profile = a\n",
    "a relative process": f"{BY_OTHER}credential_process = keys.sh\n",
    "a broken process": f'{BY_OTHER}credential_process = /x "\n',
    "a bad role": "[profile a]\nrole_arn = deploy\nsource_profile = default\n",
    "a bad session name": f"[profile a]\n{BY_KEYS}role_session_name = a b c\n",
    "a bad region": f"[profile a]\n{BY_KEYS}region = Ireland!\n",
    "a token without a path": f"{ROLE}web_identity_token_file =\n",
}
REASONS = {
    "mfa": "type a code",
    "sso session": "source_profile x: IAM Identity Center",
    "sso of old": "IAM Identity Center",
    "aws login": "aws login",
    "mfa further up": "source_profile x: mfa_serial",
    "session keys": "session keys: they end",
    "no such source": "in neither file",
    "a source without keys": "has no credentials",
    "nothing said": "neither source_profile nor",
    "both said": "both source_profile and",
    "an unknown place": "'Moon' is none",
    "a circle": "circle: a -> x -> a",
    "itself without keys": "no credentials",
    "a relative process": "absolute path",
    "a broken process": "absolute path",
    "a bad role": "role_arn: ",
    "a bad session name": "role_session_name: ",
    "a bad region": "region: ",
    "a token without a path": "neither source_profile nor",
}
"""Files with a profile `a` that a daemon cannot keep, and a part of the reason."""


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_profile_that_needs_a_human_is_left_out_with_the_reason(case: str) -> None:
    """The head of the file has the reason, a comment the profile; what is left is valid."""
    result = made(f"{UNUSABLE[case]}\n[profile good]\n{BY_KEYS}")
    why = dict(result.left_out)
    assert REASONS[case] in why["a"]
    assert ("good",) == result.profiles
    assert {"good"} == set(checked(result.text).profiles)
    assert f"#   a: {why['a']}\n" in result.text
    assert "\n  #a:\n" in result.text


@pytest.mark.parametrize(
    ("login", "why"),
    [
        ("sso_session = x\nsso_account_id = 1\nsso_role_name = Admin\n", "IAM Identity Center"),
        ("sso_start_url = https://x\n", "IAM Identity Center"),
        ("login_session = arn:aws:iam::111111111111:user/me\n", "aws login"),
    ],
)
def test_a_login_without_a_role_is_named_too(login: str, why: str) -> None:
    """Someone who signs in by hand each day learns why there is no profile of that name."""
    result = made(f"[profile daily]\n{login}[sso-session x]\nsso_region = eu-west-1\n")

    [(name, reason)] = result.left_out
    assert "daily" == name
    assert why in reason
    assert f"#   daily: {reason}\n" in result.text
    assert "#daily" not in result.text


def test_a_profile_without_a_name_is_left_out() -> None:
    """It cannot be the parent of another profile either."""
    result = made(f'[profile ""]\n{BY_KEYS}[profile good]\n{BY_KEYS}')

    assert [""] == [name for name, _ in result.left_out]
    assert ("good",) == result.profiles


def test_a_chain_without_end_is_left_out() -> None:
    """The last roles of an overlong chain are taken over, and the first are left out."""
    links = [f"[profile p{n}]\nrole_arn = DEPLOY\nsource_profile = p{n + 1}\n" for n in range(400)]
    result = made("".join([*links, "[profile p400]\n", KEYS]))

    assert "p399" in result.profiles
    assert "roles are assumed one with the other" in dict(result.left_out)["p0"]


def test_every_setting_is_taken_over() -> None:
    """Each keeps its value, an account number its zero; the region of [default] is for all."""
    found = settings(
        """
        [default]
        region = eu-central-1
        [profile prod]
        role_arn = DEPLOY
        source_profile = default
        external_id = 012345670123
        duration_seconds = 14400
        role_session_name = ci@host
        region = us-west-2
        [profile other]
        role_arn = DEPLOY
        source_profile = default
        """
    )
    prod, other = found.profiles["prod"], found.profiles["other"]
    assert "012345670123" == prod.external_id
    assert (14400, "ci@host", "us-west-2") == (
        prod.duration,
        prod.role_session_name,
        prod.region,
    )
    assert ("eu-central-1", 3600) == (other.region, other.duration)
    assert prod.source == other.source == "default-keys"


def test_a_source_profile_is_taken_over() -> None:
    """The parent is kept, wherever it stands; a chained session lasts an hour at most."""
    result = made(
        """
        [profile audit]
        role_arn = DEPLOY
        source_profile = prod
        duration_seconds = 43200
        [profile prod]
        role_arn = DEPLOY
        source_profile = default
        """
    )
    audit = checked(result.text).profiles["audit"]
    assert ("prod", 3600) == (audit.source_profile, audit.duration)
    assert "not 43200s: a role assumed with a role lasts 1h at most" in result.text


def test_profiles_chained_to_a_refused_one_are_left_out_with_it() -> None:
    """A role that `check` does not accept takes along the profiles that are chained to it."""
    result = made(
        """
        [profile c]
        role_arn = DEPLOY
        source_profile = b
        [profile b]
        role_arn = DEPLOY
        source_profile = a
        [profile a]
        role_arn = nonsense
        source_profile = default
        [profile good]
        role_arn = DEPLOY
        source_profile = default
        """
    )
    assert ("good",) == result.profiles
    assert {"a", "b", "c"} == {name for name, _ in result.left_out}


@pytest.mark.parametrize("seconds", ["899", "43201", "1h", "-5", "99999999999"])
def test_a_duration_that_aws_does_not_accept_is_replaced_and_named(seconds: str) -> None:
    """The file names it, and asks for the hour that AWS takes instead."""
    result = made(
        f"[profile a]\nrole_arn = DEPLOY\nsource_profile = default\nduration_seconds = {seconds}\n"
    )
    assert 3600 == checked(result.text).profiles["a"].duration
    assert f"duration_seconds is '{seconds}'" in result.text


def test_a_role_in_the_default_profile_gets_another_name() -> None:
    """A role in [default] is published under another name."""
    found = settings("[default]\nrole_arn = DEPLOY\nsource_profile = k\n", f"[k]\n{KEYS}")
    assert "default-role" == found.profiles["default"].section


def test_keys_count_for_more_than_a_role() -> None:
    """A source_profile that has keys is used with them, as in an SDK."""
    found = settings(
        f"[profile a]\nrole_arn = DEPLOY\nsource_profile = b\n"
        f"[profile b]\nrole_arn = DEPLOY\nsource_profile = default\n{KEYS}"
    )
    assert None is found.profiles["a"].source_profile
    assert "b-keys" == found.profiles["a"].source


def test_names_that_no_source_may_have_are_made_valid_and_stay_apart() -> None:
    """Two sources whose names differ only in such characters get different names."""
    found = settings(
        "[profile a]\nrole_arn = DEPLOY\nsource_profile = k!\n"
        "[profile b]\nrole_arn = DEPLOY\nsource_profile = k?\n",
        f"[k!]\n{KEYS}[k?]\n{KEYS}",
    )
    assert {"k-keys", "k-keys-2"} == {p.source for p in found.profiles.values()}


def test_without_any_role_there_is_an_example() -> None:
    """Even without any file there is something to begin with, and it is valid."""
    for config, credentials in ((None, None), ("", ""), ("[default]\nregion = eu-west-1\n", None)):
        result = made(config, credentials)
        assert () == result.profiles
        assert ["production"] == list(checked(result.text).profiles)
        assert "this one is an example" in result.text


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1", "us-iso-east-1"])
def test_the_example_is_in_the_partition_of_the_region(region: str) -> None:
    """A user of AWS GovCloud or China without a role for daemons gets a valid example, too."""
    text = f"[default]\nregion = {region}\n[profile a]\nrole_arn = DEPLOY\nmfa_serial = x\n"
    assert region == settings(text).profiles["production"].region


def test_a_configuration_in_a_place_that_it_names_is_refused() -> None:
    """No profile is to blame for that, so none is left out."""
    found = read(AwsFile(CONFIG_PATH, f"[profile a]\n{BY_KEYS}"), AwsFile("/c", HOME_KEYS))
    with pytest.raises(ConfigError, match="the place of this configuration"):
        starter(found, [], lambda text: parse(text.encode(), "/run/credfresh/credentials"))


@pytest.mark.parametrize("bad", ["eu-west-1a", "Ireland!", "eu-west1"])
def test_an_invalid_region_is_not_taken_over(bad: str) -> None:
    """An availability zone under [default] would make a configuration that is refused."""
    role = "[profile x]\nrole_arn = DEPLOY\nsource_profile = default\n"
    config = f"[default]\nregion = {bad}\n{role}[profile other]\nregion = eu-west-1\n"
    assert "eu-west-1" == settings(config).profiles["x"].region


def test_the_region_that_most_name_is_for_those_that_name_none() -> None:
    """It is used where [default] names none; where nobody names one, the file says so."""
    profile = "[profile {0}]\nrole_arn = DEPLOY\nsource_profile = default\nregion = {1}\n"
    regions = ("eu-west-1", "us-west-2", "eu-west-1")
    config = "".join(profile.format(f"p{n}", region) for n, region in enumerate(regions))
    none = "[profile x]\nrole_arn = DEPLOY\nsource_profile = default\n"
    assert "eu-west-1" == settings(config + none).profiles["x"].region
    assert "none was found: say yours" in made(none).text


@pytest.mark.parametrize("text", ["role_arn = x\n[profile a]\n", "[profile a]\n= x\n", "[\n"])
def test_a_file_that_no_sdk_reads_is_refused_with_its_line(text: str) -> None:
    """No part of such a file is taken over."""
    with pytest.raises(CredfreshError, match=rf"{CONFIG_PATH}:\d+: ") as caught:
        made(text)
    assert caught.value.hint


def test_no_secret_is_kept_of_what_was_read() -> None:
    """Of keys only their place is kept, so that nothing later can write them anywhere."""
    found = read(
        AwsFile(CONFIG_PATH, f"[profile a]\n{SESSION}"), AwsFile(CREDENTIALS_PATH, HOME_KEYS)
    )
    assert SECRET not in repr(found)
    assert "AKIA" not in repr(found)
    assert [CONFIG_PATH, CREDENTIALS_PATH] == [p.keys_in for p in found.profiles.values()]
    assert [True, False] == [p.session_keys for p in found.profiles.values()]


def test_a_repeated_section_is_reported() -> None:
    """SDKs for Python refuse such a file as a whole."""
    found = read(AwsFile(CONFIG_PATH, USABLE["a section twice"]), None)
    assert (f"{CONFIG_PATH}: [profile a] is there twice; botocore refuses such a file",) == (
        found.oddities
    )


@pytest.mark.parametrize("header", ["prod", "profile deploy prod", 'profile "a b'])
def test_a_role_in_a_section_that_sdks_ignore_is_told(header: str) -> None:
    """In the config file a profile is called [profile NAME]: people forget the word, or quotes."""
    text = f"[{header}]\nrole_arn = arn:aws:iam::111111111111:role/deploy\nsource_profile = x\n"
    found = read(AwsFile(CONFIG_PATH, text), None)

    assert {} == found.profiles
    [oddity] = found.oddities
    assert oddity.startswith(f"{CONFIG_PATH}: [{header}] is no profile to an SDK: ")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x"),
        ("4h", "4h"),
        ("/a/b-c", "/a/b-c"),
        ("012", '"012"'),
        ("1:30", '"1:30"'),
        ("1e3", '"1e3"'),
        ("true", '"true"'),
        ("a: b", '"a: b"'),
        ("a:", '"a:"'),
        ("a #b", '"a #b"'),
        ("", '""'),
        ("größe", '"größe"'),
        ("\x85", '"\\u0085"'),
    ],
)
def test_a_word_is_quoted_where_yaml_could_mistake_it(text: str, written: str) -> None:
    """No other word is quoted."""
    assert written == scalar(text)


LINES = st.sampled_from(
    [line for text in [*USABLE.values(), *UNUSABLE.values()] for line in text.splitlines()]
    + [
        "[a]",
        "[profile b]",
        "[default]",
        '[profile ""]',
        "sso_session = x",
        "external_id = #",
        "region = '",
        "role_session_name = x: y",
    ]
    + [f"[profile c d]\n{BY_KEYS}", "duration_seconds = 7200", "source_profile = b", "junk", "\t"]
)


@given(st.lists(LINES | st.text(max_size=20), max_size=25), st.lists(LINES, max_size=12))
def test_whatever_the_files_say_the_starter_is_valid_and_holds_no_secret(
    config: list[str], credentials: list[str]
) -> None:
    """Files that cannot be read give an error instead."""
    files = [
        AwsFile(CONFIG_PATH, "\n".join(config)),
        AwsFile(CREDENTIALS_PATH, "\n".join(credentials)),
    ]
    try:
        found = read(*files)
    except CredfreshError:
        return
    result = starter(found, [CONFIG_PATH, CREDENTIALS_PATH], checked)
    names = set(checked(result.text).profiles)
    assert names == set(result.profiles or ("production",))
    assert SECRET not in result.text
    assert all(line.isprintable() for line in result.text.split("\n"))


def test_settings_of_the_endpoint_are_taken_over() -> None:
    """FIPS endpoints, or a test server, are then asked from the first call on."""
    text = f"[profile a]\n{BY_KEYS}use_fips_endpoint = True\n[profile b]\n{BY_KEYS}"
    text += "endpoint_url = http://localhost:4566\nservices = mine\n[services mine]\n"
    found = settings(text).profiles
    assert (True, None) == (found["a"].fips, found["a"].endpoint_url)
    assert (False, "http://localhost:4566") == (found["b"].fips, found["b"].endpoint_url)
    assert "# `services` is not taken over" in made(text).text


def test_copied_arguments_of_a_process_are_reported() -> None:
    """They may hold a secret, and the file that is written is not kept secret."""
    text = f"{BY_OTHER}credential_process = /opt/bin/keys --token hunter2\n"
    assert "arguments are copied as they stand" in made(text).text
