"""What an accepted configuration means to the daemon."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping

import pytest

from configs import ROLE, TOP, accepted, one_profile, only_problem, production, profiles
from credfresh.principals import (
    DefaultChain,
    Ec2Source,
    EcsSource,
    EnvironmentSource,
    FileSource,
    ProcessSource,
    ProfileSource,
    SystemdCredentialSource,
    WebIdentitySource,
)
from credfresh.settings import (
    ControlSettings,
    FileTarget,
    LogSettings,
    Profile,
    RenewBefore,
    StsLimits,
)


def test_absent_keys_have_their_defaults() -> None:
    """A profile with a role alone gets the documented defaults."""
    settings = accepted(one_profile())
    target = FileTarget("/run/credfresh/credentials", 0o600, None, None)
    expected = Profile(
        name="production",
        section="production",
        role_arn=ROLE,
        role_session_name="credfresh-build-7-production",
        duration=3600,
        renew_before=RenewBefore(share=0.5),
        region="eu-west-1",
        target=target,
    )
    assert settings.profiles == {"production": expected}
    assert settings.target == target
    assert settings.sources == {"default": DefaultChain()}
    assert (settings.sts, settings.log) == (StsLimits(), LogSettings())
    assert (settings.ready, settings.path, settings.notices) == ("settled", "c.yaml", ())


def test_sts_endpoint_url_counts_for_profiles_without_their_own() -> None:
    """`sts.endpoint_url` is the endpoint of every profile that sets none itself."""
    own = "endpoint_url: https://own.example"
    settings = accepted(
        f"{TOP}sts: {{endpoint_url: 'https://all.example'}}\n"
        f"defaults: {{region: eu-west-1}}\nprofiles:\n"
        f"  a: {{role_arn: '{ROLE}'}}\n  b: {{role_arn: '{ROLE}', {own}}}\n"
    )
    found = {name: profile.endpoint_url for name, profile in settings.profiles.items()}
    assert {"a": "https://all.example", "b": "https://own.example"} == found


def test_every_key_of_a_profile_arrives() -> None:
    """Each key of a profile ends in the field of its name."""
    profile = production(
        one_profile(
            """
            section: prod
            role_session_name: ci@host
            duration: 2h
            renew_before: 30m
            external_id: "012345670123"
            policy: {Statement: [{Effect: Allow, Action: "s3:*", Resource: "*"}]}
            policy_arns: [arn:aws:iam::aws:policy/ReadOnlyAccess]
            session_tags: {team: release, empty: ""}
            transitive_tag_keys: [team]
            source_identity: build
            region: eu-central-1
            endpoint_url: http://127.0.0.1:4566
            fips: false
            adopt: true
            account_id: true
            on_expired: remove
            enabled: true
            credentials_file: {path: /run/other, mode: 640, owner: root, group: "33"}
            """
        )
    )
    assert profile == Profile(
        name="production",
        section="prod",
        role_arn=ROLE,
        role_session_name="ci@host",
        duration=7200,
        renew_before=RenewBefore(share=None, seconds=1800),
        region="eu-central-1",
        target=FileTarget("/run/other", 0o640, "root", "33"),
        external_id="012345670123",
        policy='{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
        policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",),
        session_tags=(("team", "release"), ("empty", "")),
        transitive_tag_keys=("team",),
        source_identity="build",
        endpoint_url="http://127.0.0.1:4566",
        any_key_id=True,
        adopt=True,
        account_id=True,
        on_expired="remove",
    )


def test_every_host_has_a_rhythm_of_its_own() -> None:
    """It is the same after a restart, and for all profiles of one daemon."""
    text = profiles("a: {role_arn: ROLE}\nb: {role_arn: ROLE}")
    rhythms = [
        {p.rhythm for p in accepted(text, hostname=host).profiles.values()}
        for host in ("one", "one", "other")
    ]

    assert [1, 1, 1] == [len(each) for each in rhythms]
    assert rhythms[0] == rhythms[1] != rhythms[2]


def test_every_kind_of_source_arrives() -> None:
    """Each kind of source becomes the value of its kind, beside the SDK's own chain."""
    settings = accepted(
        one_profile(
            top="""
            sources:
              file: {credentials_file: /etc/credfresh/source, profile: ci}
              sdk: {profile: ci}
              env: {environment: true}
              ec2: {ec2_instance_metadata: true}
              ecs: {ecs_container: true}
              oidc: {web_identity: {token_file: /run/token, role_arn: ROLE}}
              systemd: {systemd_credential: aws, profile: ci}
              process: {credential_process: [/bin/creds, "a b"]}
            """.replace("ROLE", f"'{ROLE}'")
        )
    )
    assert settings.sources == {
        "default": DefaultChain(),
        "file": FileSource("/etc/credfresh/source", "ci"),
        "sdk": ProfileSource("ci"),
        "env": EnvironmentSource(),
        "ec2": Ec2Source(),
        "ecs": EcsSource(),
        "oidc": WebIdentitySource("/run/token", ROLE),
        "systemd": SystemdCredentialSource("aws", "ci"),
        "process": ProcessSource(("/bin/creds", "a b")),
    }


def test_keys_beside_the_profiles_reach_the_settings() -> None:
    """The sections beside the profiles end in the settings."""
    settings = accepted(
        one_profile(
            top="""
            instance: host-a
            sts: {calls_per_second: 2.5, max_concurrency: 4, connect_timeout: 1s, read_timeout: 30s}
            log: {level: debug, format: json}
            ready: fresh
            """
        )
    )
    assert settings.instance == "host-a"
    assert settings.sts == StsLimits(2.5, 4, 1, 30)
    assert settings.log == LogSettings("debug", "json")
    assert settings.ready == "fresh"


def test_a_profile_overrides_the_defaults() -> None:
    """What a profile says replaces the default whole; what it does not say is inherited."""
    settings = accepted(
        profiles(
            """
            a: {role_arn: ROLE, session_tags: {own: x}, duration: 15m}
            b: {role_arn: ROLE}
            """,
            defaults="{region: eu-west-1, duration: 2h, session_tags: {all: y}}",
        )
    )
    a, b = settings.profiles["a"], settings.profiles["b"]
    assert (a.duration, a.session_tags) == (900, (("own", "x"),))
    assert (b.duration, b.session_tags) == (7200, (("all", "y"),))


def test_what_one_profile_is_does_not_depend_on_the_others() -> None:
    """Most profiles set nothing but a role: they share what they inherit, and nothing else."""
    texts = {
        "one": "{role_arn: 'arn:aws:iam::111111111111:role/one'}",
        "two": "{role_arn: 'arn:aws:iam::222222222222:role/two', section: second}",
        "odd": "{role_arn: ROLE, duration: 15m}",
        "three": "{role_arn: ROLE}",
    }
    shared = """{
        region: eu-west-1, duration: 2h, account_id: true, session_tags: {all: y},
        on_expired: remove, credentials_file: {path: /run/other/credentials},
        on_renew: {command: [/bin/true]}, fips: true}"""
    top = "process_dir: /run/credfresh/process\n"

    def read(names: Iterable[str]) -> Mapping[str, Profile]:
        text = "\n".join(f"{name}: {texts[name]}" for name in names)
        return accepted(profiles(text, top=top, defaults=shared)).profiles

    together = read(texts)
    alone = [read([name])[name] for name in texts]
    assert [each.duration for each in together.values()] == [7200, 7200, 900, 7200]
    assert list(together.values()) == alone
    assert [each.request for each in together.values()] == [each.request for each in alone]


def test_a_chained_profile_does_not_inherit_the_source() -> None:
    """`source_profile` takes the place of the `source` under `defaults`."""
    settings = accepted(
        profiles(
            "a: {role_arn: ROLE}\nb: {role_arn: ROLE, source_profile: a}",
            top="sources: {ci: {profile: ci}}\n",
            defaults="{region: eu-west-1, source: ci}",
        )
    )
    assert settings.profiles["a"].source == "ci"
    assert settings.profiles["b"].source_profile == "a"
    assert settings.profiles["b"].source == "default"


def test_the_request_of_a_chained_profile_changes_with_its_parents() -> None:
    """Session tags and source identity pass on: what is in hand does not have the new ones."""
    text = """
        a: {role_arn: ROLE, source_profile: b}
        b: {role_arn: ROLE, source_profile: c}
        c: {role_arn: ROLE}
        """
    plain = accepted(profiles(text)).profiles
    tagged = accepted(profiles(text.replace("c: {", "c: {session_tags: {team: x}, "))).profiles
    assert all(plain[name].request != tagged[name].request for name in "abc")


def test_defaults_for_sts_do_not_concern_a_follower_of_a_hub() -> None:
    """The hub decides how long its session lasts and when it is renewed."""
    text = """\
credentials_file: {path: /run/credfresh/credentials}
sources: {hub: {vault: {address: "https://bao.example.com:8200", auth: {token_file: /t}}}}
defaults: {source: hub, renew_before: 90m}
profiles: {production: {}}
"""
    assert accepted(text).profiles.keys() == {"production"}


def test_the_request_of_a_follower_changes_with_its_engine() -> None:
    """Another server's, or another namespace's, of the same name is another role's credentials."""
    text = """\
credentials_file: {path: /run/credfresh/credentials}
sources: {hub: {vault: {address: "https://bao.example.com:8200", auth: {token_file: /t}}}}
defaults: {source: hub}
profiles: {production: {}}
"""
    texts = [
        text,
        text.replace("bao.example", "bao2.example"),
        text.replace("auth:", "namespace: team-b, auth:"),
    ]
    assert 3 == len({production(each).request for each in texts})
    assert production(text).request == production(text.replace("/t}", "/other}")).request


def test_a_follower_of_a_hub_publishes_no_account() -> None:
    """Only the hub knows the role, and so its account, whatever `defaults` say."""
    text = """\
credentials_file: {path: /run/credfresh/credentials}
sources: {hub: {vault: {address: "https://bao.example.com:8200", auth: {token_file: /t}}}}
defaults: {source: hub, region: eu-west-1, account_id: true}
profiles: {production: {}}
"""
    assert production(text).account_id is False


def test_a_disabled_profile_is_as_if_absent() -> None:
    """It is not in the settings, and the section that it names is free."""
    settings = accepted(
        profiles(
            """
            old: {role_arn: ROLE, enabled: false, section: prod}
            new: {role_arn: ROLE, section: prod}
            """
        )
    )
    assert list(settings.profiles) == ["new"]


def test_profiles_keep_the_order_of_the_file() -> None:
    """Output that lists profiles is in the order that the operator wrote."""
    text = profiles("\n".join(f"{name}: {{role_arn: ROLE}}" for name in ("zebra", "ant", "mole")))
    assert list(accepted(text).profiles) == ["zebra", "ant", "mole"]


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-2"}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
    ],
)
def test_a_region_of_the_environment_is_asked_and_not_published(
    environment: dict[str, str], region: str
) -> None:
    """AWS_REGION, then AWS_DEFAULT_REGION say whose STS is asked; only the file's is written."""
    profile = production(one_profile(defaults="{duration: 1h}"), environment)
    assert (profile.region, profile.publish_region) == (region, False)
    assert production(one_profile(), environment).region == "eu-west-1"
    assert production(one_profile(), environment).publish_region


def test_no_region_anywhere_is_a_problem_of_the_profile() -> None:
    """The problem is at the profile and names it."""
    problem = only_problem(one_profile(defaults="{duration: 1h}"))
    assert (problem.path, problem.reason) == ("profiles.production.region", "is required")
    assert (problem.line, problem.column) == (4, 3)


def test_a_bad_region_of_the_environment_is_named() -> None:
    """What AWS_REGION holds is judged like the file's own."""
    problem = only_problem(one_profile(defaults="{duration: 1h}"), {"AWS_REGION": "EU West"})
    assert "AWS_REGION" in problem.reason


@pytest.mark.parametrize(
    ("hostname", "name", "expected"),
    [
        ("build-7", "production", "credfresh-build-7-production"),
        ("bäck", "a b/c", "credfresh-b-ck-a-b-c"),
        ("h" * 60, "production", "credfresh-" + "h" * 45 + "-"),
    ],
)
def test_the_session_name_is_made_valid(hostname: str, name: str, expected: str) -> None:
    """By default the session is named after host and profile, within what STS takes."""
    settings = accepted(profiles(f'"{name}": {{role_arn: ROLE}}'), hostname=hostname)
    made = settings.profiles[name].role_session_name
    assert made.startswith(expected)
    assert 2 <= len(made) <= 64


def test_long_session_names_stay_distinct() -> None:
    """Two profiles with one long beginning do not share a session name in CloudTrail."""
    settings = accepted(profiles("a1: {role_arn: ROLE}\na2: {role_arn: ROLE}"), hostname="h" * 70)
    assert len({p.role_session_name for p in settings.profiles.values()}) == 2


def test_long_host_names_have_session_names_of_their_own() -> None:
    """Hosts whose names begin alike can be told apart in CloudTrail, though the ends are cut."""
    hosts = [f"{'h' * 70}{n}" for n in (1, 2)]
    named = [accepted(profiles("a: {role_arn: ROLE}"), hostname=host) for host in hosts]

    assert 2 == len({settings.profiles["a"].role_session_name for settings in named})


def test_the_instance_follows_the_name_of_the_file() -> None:
    """By default it is 16 hex digits made of its path, whichever release a link there leads to.

    A file mounted from a ConfigMap, or from a store of packages, is such a link.
    """
    one = accepted(one_profile(), resolve=lambda path: "/release-1/" + path)
    two = accepted(one_profile(), resolve=lambda path: "/release-2/" + path)
    other = accepted(one_profile(), source="other.yaml")
    assert one.instance == two.instance != other.instance
    assert len(one.instance) == 16
    assert int(one.instance, 16) >= 0


def test_two_names_of_one_file_are_one_target() -> None:
    """A link to the file at the top of the configuration is that file, so it has one writer."""
    text = profiles(
        "a: {role_arn: ROLE}\nb: {role_arn: ROLE, credentials_file: {path: /var/run/link}}"
    )
    links = {"/var/run/link": "/run/credfresh/credentials"}
    settings = accepted(text, resolve=lambda path: links.get(path, path))
    assert settings.targets == (FileTarget("/run/credfresh/credentials"),)


@pytest.mark.parametrize(
    ("word", "bits"), [('"0640"', 0o640), ("640", 0o640), ("0o640", 0o640), ("0600", 0o600)]
)
def test_a_mode_is_octal_however_it_is_written(word: str, bits: int) -> None:
    """It may be quoted or not, with the zero of YAML 1.1, of YAML 1.2 or without."""
    text = one_profile().replace("credentials}", f"credentials, mode: {word}}}")
    assert accepted(text).target.mode == bits


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("50%", RenewBefore(share=0.5)),
        ("1%", RenewBefore(share=0.01)),
        ("80%", RenewBefore(share=0.8)),
        ("20m", RenewBefore(share=None, seconds=1200)),
        ("3599s", RenewBefore(share=None, seconds=3599)),
    ],
)
def test_renew_before_is_a_share_or_a_duration(word: str, expected: RenewBefore) -> None:
    """Both spellings arrive as what the policy takes."""
    assert production(one_profile(f"renew_before: {word}")).renew_before == expected


def test_a_policy_may_be_laid_out_in_any_way() -> None:
    """A mapping, and JSON with any white space, are one and the same compact text."""
    mapping = one_profile("policy: {Version: 2012-10-17, Statement: []}")
    text = one_profile("""policy: '{ "Version": "2012-10-17",  "Statement": [ ] }'""")
    expected = '{"Version":"2012-10-17","Statement":[]}'
    assert production(mapping).policy == production(text).policy == expected


def test_the_settings_do_not_need_pydantic() -> None:
    """Commands that only speak to the daemon import the values, and neither yaml nor pydantic."""
    code = (
        "import sys, credfresh.settings, credfresh.errors\n"
        "print(sorted({'yaml', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_byte_order_mark_is_no_part_of_the_file() -> None:
    """Editors of other systems write one."""
    assert accepted(b"\xef\xbb\xbf" + one_profile().encode()).profiles


def test_crlf_line_ends_are_read() -> None:
    """Editors of other systems write these, too."""
    assert accepted(one_profile().replace("\n", "\r\n")).profiles.keys() == {"production"}


def test_the_control_socket_is_where_the_file_says() -> None:
    """It has the mode and the group that are given, or is for the daemon's user alone."""
    text = one_profile(top="control: {socket: /run/c.sock, mode: 660, group: build}\n")
    assert accepted(text).control == ControlSettings("/run/c.sock", 0o660, "build")
    text = one_profile(top="control: {socket: /run/c.sock}\n")
    assert accepted(text).control == ControlSettings("/run/c.sock", 0o600, None)


@pytest.mark.parametrize(
    ("top", "mode"), [("", 0o600), ("control: {}\n", 0o600), ("control: {mode: 666}\n", 0o666)]
)
def test_the_control_socket_is_in_the_runtime_directory_unless_said(top: str, mode: int) -> None:
    """It is in the first one that systemd gives; where none is given, there is no socket."""
    text = one_profile(top=top)
    given = {"RUNTIME_DIRECTORY": "/run/credfresh:/run/other"}
    assert accepted(text, given).control == ControlSettings("/run/credfresh/control.sock", mode)
    assert accepted(text, {"RUNTIME_DIRECTORY": ""}).control is None
    assert accepted(text).control is None


def test_the_path_of_a_socket_has_at_most_107_bytes() -> None:
    """unix(7) allows 107 bytes and a NUL; UTF-8 counts by its bytes."""
    assert accepted(one_profile(top=f"control: {{socket: /{'x' * 106}}}\n")).control
    for name in ("x" * 107, "é" * 54):
        problem = only_problem(one_profile(top=f"control: {{socket: /{name}}}\n"))
        assert problem.reason.startswith("must have at most 107 bytes")
