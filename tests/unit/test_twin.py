"""What the refreshable twins say: each choice was seen to matter to some SDK."""

from __future__ import annotations

import json
import re
from configparser import RawConfigParser
from dataclasses import replace
from pathlib import Path

import pytest

from credfresh import twin
from credfresh.model import SessionCredentials
from credfresh.settings import Twin
from fakes import EPOCH, profile
from twins import with_twin

KEYS = SessionCredentials("ASIAFAKE000000000000", "fake/secret+", "fake-token==", EPOCH)
DIRECTORY = Path("/run/credfresh/process")


def place(name: str = "production") -> Twin:
    """Return where a profile's twin is kept."""
    where = with_twin(DIRECTORY, name).twin
    assert where is not None
    return where


def test_the_version_is_a_number() -> None:
    """Ten of thirteen clients refuse the text "1"."""
    assert 1 == json.loads(twin.credentials_json(profile(), KEYS))["Version"]


def test_the_expiration_ends_in_z() -> None:
    """Seven of thirteen clients refuse a time without a zone, five one with a space in it."""
    said = json.loads(twin.credentials_json(profile(), KEYS))["Expiration"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said)


def test_the_json_fits_into_the_smallest_buffer() -> None:
    """The SDK for Go 1 reads at most 8 KiB; AWS's tokens have up to some 1,500 characters."""
    long = replace(KEYS, session_token="t" * 4096)

    assert len(twin.credentials_json(profile(), long)) < 8192


@pytest.mark.parametrize("asked", [True, False])
def test_the_account_is_there_only_where_asked_for(asked: bool) -> None:  # noqa: FBT001 - a case
    """AccountId moves DynamoDB and Kinesis to other host names."""
    said = json.loads(twin.credentials_json(replace(profile(), account_id=asked), KEYS))

    assert ("111111111111" if asked else None) == said.get("AccountId")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff",
        b'{"Version": 1}',
        b'{"Expiration": "2026-11-24T12:00:00Z"}',
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_json_that_we_did_not_render_has_no_expiration(data: bytes) -> None:
    """A file that somebody put there is not taken for ours."""
    assert twin.expiration_of(data) is None


def test_json_that_we_rendered_is_recognised() -> None:
    """This holds with and without an account."""
    for account_id in (False, True):
        data = twin.credentials_json(replace(profile(), account_id=account_id), KEYS)
        assert "2027-01-15T08:00:00Z" == twin.expiration_of(data)
        assert twin.expiration_of(data.replace(b"Z", b"+00:00")) is None
        assert twin.expiration_of(data.replace(b", ", b",")) is None


@pytest.mark.parametrize("name", ["production", "a.b_c-D9", ".", "..", "config", "empty"])
def test_a_plain_name_stays(name: str) -> None:
    """Section and twin share the name."""
    assert name == twin.safe_name(name)


@pytest.mark.parametrize("name", ["team/x", "prod us", "a'b", '$(rm -rf "x")', "~", "ü", "a%2Fb"])
def test_any_other_name_becomes_one_that_a_path_a_shell_and_a_header_can_hold(name: str) -> None:
    """Whatever the profile is called, its files stay in the directory and need no quotes."""
    assert re.fullmatch(r"[A-Za-z0-9._-]+-[0-9a-f]{8}", twin.safe_name(name))


def test_names_that_look_alike_stay_apart() -> None:
    """`a/b` and `a b` are two profiles."""
    assert twin.safe_name("a/b") != twin.safe_name("a b")


@pytest.mark.parametrize(
    "path", ["/run/a b", "/run/it's", '/run/"x"', "/run/$HOME", "run/x", "/run//x", "/"]
)
def test_a_path_that_some_sdk_would_split_does_not_match(path: str) -> None:
    """minio-go splits at spaces and knows no quotes, Go strips them, others use a shell."""
    assert not twin.PATH.fullmatch(path)


def test_a_config_names_cat_and_one_argument() -> None:
    """Its command is two plain words, which all 18 clients understand."""
    parser = RawConfigParser()
    parser.read_string(twin.config([with_twin(DIRECTORY)], "test").decode())

    assert ["profile production"] == parser.sections()
    assert {
        "credential_process": "/bin/cat /run/credfresh/process/production.json",
        "region": "eu-west-1",
    } == dict(parser["profile production"])


def test_a_region_that_nobody_set_is_left_out() -> None:
    """Such a region comes from the daemon's environment, which does not concern readers."""
    one = replace(with_twin(DIRECTORY), publish_region=False)

    assert b"region" not in twin.config([one], "test")


def test_the_default_profile_has_no_prefix() -> None:
    """In a config file its section is `[default]`, without the word `profile`."""
    assert b"\n[default]\n" in twin.config([with_twin(DIRECTORY, "default")], "test")


def test_a_config_has_only_profiles_with_a_twin() -> None:
    """A profile that has no twin is not in it."""
    assert b"[" not in twin.config([profile()], "test")


def test_the_mark_is_a_full_line_comment_at_column_0() -> None:
    """`;` breaks the SDK for Java 1, an indented `#` those for C++ and Rust."""
    for text in (twin.config([with_twin(DIRECTORY)], "test"), twin.env(place(), "test")):
        assert text.startswith(b"# credfresh v=1 instance=test\n")
        assert twin.marked(text, "test")
        assert not twin.marked(text, "tes")
        assert not twin.marked(text, "test2")


def test_the_environment_is_one_that_shell_systemd_and_docker_read_alike() -> None:
    """It has comments, and NAME=value without quotes, spaces or anything to expand."""
    lines = twin.env(place('odd "name"'), "test").decode().splitlines()

    assert lines[0].startswith("#")
    assert all(re.fullmatch(r"[A-Z_]+=[A-Za-z0-9/._-]+", line) for line in lines[1:])


def test_the_environment_leaves_nothing_to_the_host() -> None:
    """Otherwise a static section of the same name, or another profile, would outrank the twin."""
    said = dict(line.split("=", 1) for line in twin.env(place(), "test").decode().splitlines()[1:])

    assert {
        "AWS_CONFIG_FILE": "/run/credfresh/process/production.config",
        "AWS_SHARED_CREDENTIALS_FILE": "/run/credfresh/process/empty",
        "AWS_PROFILE": "production",
        "AWS_DEFAULT_PROFILE": "production",
        "AWS_SDK_LOAD_CONFIG": "1",
    } == said
