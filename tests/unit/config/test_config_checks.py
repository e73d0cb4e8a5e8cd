"""What must hold over several keys, several profiles and several files."""

from __future__ import annotations

import pytest

from configs import ROLE, TOP, accepted, one_profile, only_problem, profiles, refused
from credfresh.config import schema
from credfresh.endpoint.tokens import LOCK
from credfresh.settings import TcpAddress

TOP_KEYS = tuple(schema.ConfigFile.model_fields)

RING = (("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"))


def found(text: str, environment: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """Return path and reason of each problem."""
    return [(p.path, p.reason) for p in refused(text, environment)]


def test_unknown_keys_at_every_level_are_named_with_what_was_meant() -> None:
    """For a slip the hint is the key that was meant, for a misplaced key where it belongs."""
    text = profiles(
        """
        a: {role_arn: ROLE, sesion_tags: {}, sts: {}}
        b: {role_arnn: ROLE, credentials_file: {path: /x, grp: y}}
        """,
        top="""
        credential_file: {path: /x}
        regions: {}
        region: eu-west-1
        log: {levle: info}
        sts: {max-concurrency: 4}
        sources:
          s: {credentials_file: /x, profle: y}
          t: {web_identity: {tokn_file: /x, role_arn: ROLE, token_file: /y}}
          u: {enviroment: true}
        """.replace("ROLE", f"'{ROLE}'"),
        defaults="{region: eu-west-1, role_arn: ROLE, durations: 1h}",
    )
    assert [(p.path, p.hint) for p in refused(text)] == [
        ("credential_file", "did you mean `credentials_file`?"),
        ("regions", f"known here: {', '.join(TOP_KEYS)}"),
        ("region", "it belongs under `defaults` or in a profile"),
        ("log.levle", "did you mean `level`?"),
        ("sts.max-concurrency", "did you mean `max_concurrency`?"),
        ("sources.s.profle", "did you mean `profile`?"),
        ("sources.t.web_identity.tokn_file", "did you mean `token_file`?"),
        ("sources.u", "did you mean `environment`?"),
        ("defaults.role_arn", "it belongs in a profile"),
        ("defaults.durations", "did you mean `duration`?"),
        ("profiles.a.sesion_tags", "did you mean `session_tags`?"),
        ("profiles.a.sts", "it belongs at the top"),
        ("profiles.b.role_arnn", "did you mean `role_arn`?"),
        ("profiles.b.credentials_file.grp", "did you mean `group`?"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "path", "hint"),
    [
        ("credential_source: Environment", "credential_source", "say it as a source"),
        ("duration_seconds: 3600", "duration_seconds", "did you mean `duration`?"),
        ("mfa_serial: arn:aws:iam::1:mfa/me", "mfa_serial", "nobody is there to type a code"),
        ("region: eu-west-1a", "region", "did you mean `eu-west-1`?"),
        ("region: us-west-2-lax-1a", "region", "did you mean `us-west-2`?"),
        ("credentials_file: {path: $HOME/x}", "credentials_file.path", "`$` is not expanded"),
        ("credentials_file: {path: ~/x}", "credentials_file.path", "`~` is not expanded"),
        ("credentials_file: {path: /run/$USER/x}", "credentials_file.path", "`$` is not expanded"),
        ("credentials_file: /x", "credentials_file", "its keys (path, mode, owner, group) stand"),
        ("external_id: ${ID}", "external_id", "`$` is not expanded"),
        ("session_name: build", "session_name", "did you mean `role_session_name`?"),
        ("name: x", "name", "its name is the key that it stands under"),
        ("\u00a0region: eu-west-1", "'\\xa0region'", "it is `region` with characters that are not"),
        (
            "\u201cregion\u201d: x",
            "'\\u201cregion\\u201d'",
            "it is `region` with characters that are",
        ),
        ("region: eu\u2011west\u20111", "region", "`\\u2011` is no plain space, dash or quote"),
        ("region: \u201ceu-west-1\u201d", "region", "`\\u201c` is no plain space, dash or quote"),
        ("duration: \u200b1h", "duration", "`\\u200b` is no plain space, dash or quote"),
        ("profile: ci", "profile", "say it as a source: sources: {NAME: {profile: …}}, and"),
        ("credential_process: /x", "credential_process", "say it as a source"),
        ("web_identity_token_file: /x", "web_identity_token_file", "say it as a source"),
        ("sso_session: x", "sso_session", "nobody is there to sign in"),
        ("session_tags: [{Key: team, Value: x}]", "session_tags", "such as {team: release}"),
        ("policy: file://policy.json", "policy", "no file is read"),
        ("policy: arn:aws:iam::aws:policy/ReadOnlyAccess", "policy", "a managed policy goes into"),
    ],
)
def test_habits_from_aws_files_get_hints(line: str, path: str, hint: str) -> None:
    """Keys of ~/.aws/config, zones for regions, shell variables and text for keys have hints."""
    problem = only_problem(
        one_profile(line, defaults="{duration: 1h}"), {"AWS_REGION": "eu-west-1"}
    )
    assert f"profiles.production.{path}" == problem.path
    assert (problem.hint or "").startswith(hint)


def test_a_key_with_a_character_that_cannot_be_seen_is_not_missed_as_well() -> None:
    """The line is there for whoever looks at it, so "is required" would bewilder."""
    problem = only_problem(one_profile("").replace("role_arn", "role\u200b_arn"))
    assert "it is `role_arn` with characters that are not plain: type the line anew" == problem.hint


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("1 hour", "1h"),
        ("60min", "1h"),
        ("1H", "1h"),
        ("1.5h", "90m"),
        ("1h30m", "90m"),
        ("90m30s", "5430s"),
        ("1h 30m", "90m"),
        ("2 hrs", "2h"),
        ("60", "60m"),
        ("3600", "3600s"),
        ("2", "2h"),
        ("1:30", "90m"),
        ("500ms", None),
        ("1d", None),
        ("0.1h", None),
        ("h", None),
        ("soon", None),
    ],
)
def test_a_duration_in_other_words_is_understood(word: str, meant: str | None) -> None:
    """The hint names one that would be accepted here, or else the form."""
    hint = f"did you mean `{meant}`?" if meant else "write it as 45s, 20m or 1h"
    assert hint == only_problem(one_profile(f"duration: {word}")).hint


@pytest.mark.parametrize(
    ("word", "meant"),
    [("0.5", "50%"), (".25", "25%"), ("50", "50%"), ("50 %", "50%"), ("20 minutes", "20m")],
)
def test_a_share_in_other_words_is_understood(word: str, meant: str) -> None:
    """A fraction or a bare number is a share, and a number with a unit a duration."""
    hint = only_problem(one_profile(f"renew_before: {word}")).hint
    assert f"did you mean `{meant}`?" == hint
    assert "`0%`" not in str(only_problem(one_profile("renew_before: 0")).hint)


def test_a_misspelt_region_is_found_before_its_name_fails_to_resolve() -> None:
    """It is told once where it stands; another STS than AWS's may have regions of its own."""
    wrong = profiles("a: {role_arn: ROLE}\nb: {role_arn: ROLE}", defaults="{region: eu-west1}")
    problem = only_problem(wrong)
    assert ("defaults.region", "regions look like `eu-west-1`") == (problem.path, problem.hint)

    elsewhere = "sts: {endpoint_url: 'http://127.0.0.1:4566'}\n"
    own = profiles("a: {role_arn: ROLE}", top=elsewhere, defaults="{region: garage}")
    assert "garage" == accepted(own).profiles["a"].region
    named = accepted(wrong, {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:4566"})
    assert "eu-west1" == named.profiles["a"].region


@pytest.mark.parametrize(
    ("line", "path", "hint"),
    [
        ("sources: {ci: build}", "sources.ci", "such as {profile: NAME}, or {credentials_file:"),
        ("metrics: {listen: ':9464'}", "metrics.listen", "write it as 127.0.0.1:9464 or"),
        ("endpoint: {token_dir: /run/t}", "endpoint.listen", "write it as 127.0.0.1:9465"),
    ],
)
def test_a_value_that_is_half_right_is_shown_whole(line: str, path: str, hint: str) -> None:
    """The name of a profile alone, a port alone, an endpoint without one."""
    problem = only_problem(one_profile(top=f"{line}\n"))
    assert path == problem.path
    assert (problem.hint or "").startswith(hint)


def test_a_profile_that_is_not_indented_is_recognised() -> None:
    """It stands at the top, where nothing like it is known."""
    text = one_profile().replace("  production:", "production:")
    empty, stray = refused(text)
    assert str(empty.hint).startswith("indent its keys below it")
    assert "a profile stands below `profiles:`, indented" == stray.hint


def test_the_key_of_another_kind_of_source_is_known_beside_a_profile() -> None:
    """`profile` alone is a kind, so that a misspelt `credentials_file` makes another one of it."""
    text = one_profile(top="sources: {ci: {file: /x, profile: y}, no: {credentials_file: /x}}\n")
    assert [
        ("sources.ci.file", "did you mean `credentials_file`?"),
        ("sources.no.profile", "the section that holds the principal's keys: [NAME]"),
    ] == [(p.path, p.hint) for p in refused(text)]


def test_a_template_is_not_filled_in() -> None:
    """To YAML it is a mapping whose key is a mapping."""
    problem = only_problem(one_profile("external_id: {{ id }}"))
    assert "templates are not filled in" in str(problem.hint)


@pytest.mark.parametrize(
    ("resource", "hint"),
    [
        ("111111111111:user/ci", "a user is who assumes roles"),
        ("111111111111:root", "an account is no role"),
        ("111111111111:instance-profile/x", "name the role that is in the instance profile"),
        ("${ACCOUNT}:role/deploy", "`$` is not expanded"),
    ],
)
def test_an_arn_of_no_role_says_what_to_name(resource: str, hint: str) -> None:
    """These are shown in a console beside the role's own ARN."""
    text = one_profile().replace("111111111111:role/deploy", resource)
    assert (only_problem(text).hint or "").startswith(hint)


def test_a_letter_that_only_looks_like_ascii_is_shown_escaped() -> None:
    """A Cyrillic letter pasted into a key or a name looks right, so it is shown escaped."""
    text = one_profile("r\u0435gion: eu-west-1").replace("role/deploy", "role/d\u0435ploy")
    problems = refused(text)
    assert ["profiles.production.role_arn", "profiles.production.'r\\u0435gion'"] == [
        p.path for p in problems
    ]
    assert "role/d\\u0435ploy" in problems[0].reason
    assert "did you mean `region`?" == problems[1].hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", [("credentials_file", "is required"), ("profiles", "is required")]),
        (TOP + "profiles: {}", [("profiles", "has no profile")]),
        (TOP + "profiles:", [("profiles", "has no value")]),
        (TOP + "profiles: [a]", [("profiles", "must be a mapping of keys (got a list)")]),
        (profiles("a: {role_arn: ROLE, enabled: false}"),
         [("profiles", "every profile is disabled")]),
        (TOP + "profiles: {a: {}}",
         [("profiles.a.region", "is required"), ("profiles.a.role_arn", "is required")]),
    ],
)  # fmt: skip
def test_a_configuration_without_profiles_or_required_keys_says_what_is_missing(
    text: str, expected: list[tuple[str, str]]
) -> None:
    """A configuration that keeps nothing fresh is a mistake."""
    assert found(text) == expected


def test_a_disabled_profile_is_still_read() -> None:
    """A mistake in it is found when it is written, not when it is enabled."""
    text = profiles("a: {role_arn: ROLE}\nb: {role_arn: x, enabled: false, durration: 1h}")
    assert [path for path, _ in found(text)] == ["profiles.b.role_arn", "profiles.b.durration"]


def test_two_profiles_must_not_publish_to_one_section_of_one_file() -> None:
    """The problem is at the second profile and names the first; a link does not hide it."""
    text = profiles(
        """
        a: {role_arn: ROLE, section: prod}
        prod: {role_arn: ROLE}
        b: {role_arn: ROLE, section: prod, credentials_file: {path: /link}}
        c: {role_arn: ROLE, section: prod, credentials_file: {path: /other}}
        """
    )
    links = {"/link": "/run/credfresh/credentials"}
    problems = refused(text, resolve=lambda path: links.get(path, path))
    reason = "profile 'a' publishes to the section 'prod' too"
    assert [(p.path, p.line, p.reason) for p in problems] == [
        ("profiles.prod", 5, reason),
        ("profiles.b.section", 6, reason),
    ]


def test_one_file_must_not_have_two_modes_owners_or_groups() -> None:
    """Two different descriptions of one file would change its mode for ever."""
    text = profiles(
        """
        a: {role_arn: ROLE}
        b: {role_arn: ROLE, credentials_file: {path: /run/credfresh/credentials, mode: "0640"}}
        c: {role_arn: ROLE, credentials_file: {path: /other, group: a}}
        d: {role_arn: ROLE, credentials_file: {path: /other, group: b}}
        e: {role_arn: ROLE, credentials_file: {path: /other, group: a}}
        """
    )
    reason = "the same file has another mode, owner or group in "
    assert found(text) == [
        ("profiles.b.credentials_file", reason + "`credentials_file`"),
        ("profiles.d.credentials_file", reason + "profile 'c'"),
    ]


def test_the_default_section_needs_allow_default() -> None:
    """It is needed for the profile's name and for `section`; with `allow_default` both pass."""
    text = profiles("default: {role_arn: ROLE}\na: {role_arn: ROLE, section: default}")
    assert [path for path, _ in found(text)] == [
        "profiles.default",
        "profiles.a.section",
        "profiles.a.section",
    ]
    consent = profiles("default: {role_arn: ROLE, allow_default: true}")
    assert accepted(consent).profiles["default"].section == "default"


def test_each_profile_is_checked_for_what_it_alone_says() -> None:
    """Those that set a role alone share all other checks; names, roles and sections are theirs."""
    text = profiles(
        """
        a: {role_arn: ROLE}
        b: {role_arn: 'arn:aws-cn:iam::111111111111:role/x'}
        c: {role_arn: 'arn:aws:iam::999999999999:role/x'}
        d: {role_arn: ROLE, section: default}
        default: {role_arn: ROLE}
        """,
        defaults="{region: eu-west-1, policy_arns: ['arn:aws:iam::111111111111:policy/p']}",
    )
    assert sorted({path for path, _ in found(text)}) == [
        "profiles.b.policy_arns",
        "profiles.b.region",
        "profiles.c.policy_arns",
        "profiles.d.section",
        "profiles.default",
    ]


def test_a_mistake_that_all_inherit_is_told_of_each() -> None:
    """Nothing that one has not passed is taken for passed by the others."""
    text = profiles(
        "a: {role_arn: ROLE}\nb: {role_arn: ROLE}\nc: {role_arn: ROLE}",
        defaults="{region: eu-west-1, duration: 15m, renew_before: 20m}",
    )
    assert [path for path, _ in found(text)] == [f"profiles.{x}.renew_before" for x in "abc"]


def test_a_profile_whose_key_was_refused_says_nothing_about_the_others() -> None:
    """What relies on that key was not judged there, so nobody has passed it."""
    text = profiles(
        "a: {role_arn: ROLE, duration: long}\nb: {role_arn: ROLE}",
        defaults="{region: eu-west-1, duration: 15m, renew_before: 20m}",
    )
    assert [path for path, _ in found(text)] == ["profiles.a.duration", "profiles.b.renew_before"]


def test_source_and_source_profile_exclude_each_other() -> None:
    """A role is assumed by one principal."""
    text = profiles("a: {role_arn: ROLE}\nb: {role_arn: ROLE, source: default, source_profile: a}")
    assert found(text) == [("profiles.b.source_profile", "cannot stand beside `source`")]


@pytest.mark.parametrize(
    ("text", "ring"),
    [
        ("a: {role_arn: ROLE, source_profile: a}", "'a' -> 'a'"),
        (
            "a: {role_arn: ROLE, source_profile: b}\nb: {role_arn: ROLE, source_profile: a}",
            "'a' -> 'b' -> 'a'",
        ),
        (
            "\n".join(f"{n}: {{role_arn: ROLE, source_profile: {m}}}" for n, m in RING),
            "'a' -> 'b' -> 'c' -> 'a'",
        ),
    ],
)
def test_a_cycle_of_source_profiles_is_told_once(text: str, ring: str) -> None:
    """It is told once, at its first profile, whatever other profiles lead into it."""
    problem = only_problem(profiles(text))
    assert (problem.path, problem.reason) == ("profiles.a.source_profile", f"is a cycle: {ring}")


def test_a_chain_of_thousands_costs_no_recursion() -> None:
    """Neither a long chain nor a long cycle costs recursion or a page of names."""
    links = [f"p{n}: {{role_arn: ROLE, source_profile: p{n + 1}}}" for n in range(3_000)]
    chain = profiles("\n".join([*links, "p3000: {role_arn: ROLE}"]))
    assert len(accepted(chain).profiles) == 3_001
    ring = profiles("\n".join([*links, "p3000: {role_arn: ROLE, source_profile: p0}"]))
    problem = only_problem(ring)
    assert problem.reason.endswith("… (3,001 in all)")
    assert len(problem.reason) < 150


def test_a_parent_must_exist_and_be_enabled() -> None:
    """There is a hint for a slip, for a disabled parent, and for a source that was meant."""
    text = profiles(
        """
        production: {role_arn: ROLE, enabled: false}
        a: {role_arn: ROLE, source_profile: prodution}
        b: {role_arn: ROLE, source_profile: production}
        c: {role_arn: ROLE, source_profile: ci}
        d: {role_arn: ROLE, source_profile: laptop}
        """,
        top="sources: {ci: {profile: ci}}\n",
    )
    assert [(p.path, p.reason, p.hint) for p in refused(text)] == [
        (
            "profiles.a.source_profile",
            "no such profile (got 'prodution')",
            "did you mean `production`?",
        ),
        (
            "profiles.b.source_profile",
            "is disabled (got 'production')",
            "enable that profile, or disable this one too",
        ),
        (
            "profiles.c.source_profile",
            "no such profile (got 'ci')",
            "that is a source: use `source`",
        ),
        (
            "profiles.d.source_profile",
            "no such profile (got 'laptop')",
            "it names a profile of this file; one of ~/.aws is a source (`sources`)",
        ),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "{ec2_instance_metadata: true}",
        "{ecs_container: true}",
        f"{{web_identity: {{token_file: /x, role_arn: '{ROLE}'}}}}",
    ],
)
def test_sessions_of_role_credentials_may_last_an_hour_at_most(source: str) -> None:
    """STS refuses more to a role's credentials, so the configuration is refused."""
    top = f"sources: {{role: {source}}}\n"
    problem = only_problem(one_profile("source: role\nduration: 2h", top=top))
    assert problem.path == "profiles.production.duration"
    assert problem.reason.startswith("must be at most 1h")
    assert problem.reason.endswith("(got 2h)")
    assert accepted(one_profile("source: role\nduration: 1h", top=top)).profiles


def test_a_chain_with_two_hours_is_refused_at_its_key() -> None:
    """The problem is at the profile's own `duration`."""
    text = profiles("a: {role_arn: ROLE}\nb: {role_arn: ROLE, source_profile: a, duration: 7200s}")
    problem = only_problem(text)
    assert (problem.path, problem.line) == ("profiles.b.duration", 5)


def test_an_inherited_duration_says_where_it_comes_from() -> None:
    """The problem is at the profile; the hint names `defaults` and what to do."""
    text = profiles(
        "a: {role_arn: ROLE}\nb: {role_arn: ROLE, source_profile: a}",
        defaults="{region: eu-west-1, duration: 2h}",
    )
    problem = only_problem(text)
    assert (problem.line, problem.column) == (5, 3)
    assert problem.hint == "it comes from `defaults`; set `duration: 1h` here"


@pytest.mark.parametrize("source", ["{profile: x}", "{credential_process: [/x]}"])
def test_sources_that_may_be_users_may_last_longer(source: str) -> None:
    """Only a source that is known to be a role is bounded at load."""
    text = one_profile("source: s\nduration: 12h", top=f"sources: {{s: {source}}}\n")
    assert accepted(text).profiles["production"].duration == 43_200
    assert accepted(one_profile("duration: 12h")).profiles["production"].duration == 43_200


OURS = "/run/credfresh/credentials"


@pytest.mark.parametrize("link", [OURS, "/etc/ours"])
def test_a_source_that_reads_our_section_is_refused(link: str) -> None:
    """Such a source would be fed by the sessions that it makes, by whatever path."""
    text = one_profile(top=f"sources: {{s: {{credentials_file: {link}, profile: production}}}}\n")
    problem = only_problem(
        text, resolve=lambda path: "/data/ours" if path in {link, OURS} else path
    )
    assert problem.path == "sources.s"
    assert problem.reason == "reads the section 'production' that profile 'production' publishes"
    assert "source_profile" in (problem.hint or "")
    assert accepted(text.replace("profile: production}", "profile: keys}")).profiles


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"AWS_SHARED_CREDENTIALS_FILE": "/run/mine"}, "/run/mine"),
        ({"HOME": "/home/ci"}, "/home/ci/.aws/credentials"),
    ],
)
def test_an_sdk_profile_that_is_our_section_is_refused(
    environment: dict[str, str], path: str
) -> None:
    """The SDK's own files may be the file that we write."""
    text = one_profile(top="sources: {s: {profile: production}}\n")
    text = text.replace("/run/credfresh/credentials", path)
    assert [path for path, _ in found(text, environment)] == ["sources.s"]
    assert accepted(text, {"AWS_SHARED_CREDENTIALS_FILE": "/elsewhere"}).profiles
    assert accepted(text).profiles


def test_the_sdks_own_chain_must_not_end_in_our_section() -> None:
    """AWS_PROFILE may not name a section of the file that we write."""
    environment = {
        "AWS_SHARED_CREDENTIALS_FILE": "/run/credfresh/credentials",
        "AWS_PROFILE": "production",
    }
    assert [path for path, _ in found(one_profile(), environment)] == ["profiles.production.source"]
    del environment["AWS_PROFILE"]
    assert accepted(one_profile(), environment).profiles


def test_a_chained_profile_does_not_use_the_sdks_own_chain() -> None:
    """Its parent's credentials are what it is assumed with."""
    environment = {"AWS_SHARED_CREDENTIALS_FILE": "/run/credfresh/credentials", "AWS_PROFILE": "b"}
    text = profiles(
        "a: {role_arn: ROLE, source: s}\nb: {role_arn: ROLE, source_profile: a}",
        top="sources: {s: {environment: true}}\n",
    )
    assert accepted(text, environment).profiles


def test_a_chained_profile_cannot_set_inherited_tags_or_source_identity_again() -> None:
    """STS refuses a transitive tag that is set again, and another source identity."""
    text = profiles(
        """
        a: {role_arn: ROLE, session_tags: {Team: x}, transitive_tag_keys: [Team],
            source_identity: me}
        b: {role_arn: ROLE, source_profile: a, session_tags: {team: y}, source_identity: you}
        c: {role_arn: ROLE, source_profile: a, session_tags: {other: y}, source_identity: me}
        d: {role_arn: ROLE}
        e: {role_arn: ROLE, source_profile: d, session_tags: {team: y}, source_identity: you}
        f: {role_arn: ROLE, source_profile: a}
        """
    )
    assert found(text) == [
        ("profiles.b.session_tags", "tag 1 is passed on already by profile 'a'"),
        (
            "profiles.b.source_identity",
            "differs from that of profile 'a', which it is chained to",
        ),
    ]


def test_no_profile_further_down_a_chain_can_set_inherited_tags_again() -> None:
    """A transitive tag and a source identity go through sessions that say nothing of them."""
    text = profiles(
        """
        a: {role_arn: ROLE, source_profile: b, session_tags: {team: y}, source_identity: you}
        b: {role_arn: ROLE, source_profile: c, session_tags: {other: y}}
        c: {role_arn: ROLE, source_profile: d, source_identity: me}
        d: {role_arn: ROLE, session_tags: {team: x}, transitive_tag_keys: [team],
            source_identity: me}
        """
    )
    assert found(text) == [
        ("profiles.a.session_tags", "tag 1 is passed on already by profile 'd'"),
        (
            "profiles.a.source_identity",
            "differs from that of profile 'c', which it is chained to",
        ),
    ]


def test_inherited_transitive_keys_are_judged_with_the_profiles_own_tags() -> None:
    """The profile is judged as merged with `defaults`."""
    text = profiles(
        "a: {role_arn: ROLE, session_tags: {own: x}}",
        defaults="{region: eu-west-1, session_tags: {team: x}, transitive_tag_keys: [team]}",
    )
    assert [path for path, _ in found(text)] == ["profiles.a.transitive_tag_keys"]


def test_one_mistake_is_one_problem() -> None:
    """What depends on a refused value is not judged, so no second problem follows from it."""
    text = profiles(
        """
        a: {role_arn: ROLE, source_profle: b, duration: 2h}
        b: {role_arn: ROLE, section: "a]"}
        c: {role_arn: ROLE, duration: 1:30, renew_before: 2h}
        d: {role_arn: ROLE, source: broken}
        e: {role_arn: ROLE, source_profile: f}
        f: {role_arn: ROLE, enabled: maybe}
        g: text
        h: {role_arn: ROLE, source_profile: g}
        """,
        top="sources: {broken: {}}\n",
    )
    assert [path for path, _ in found(text)] == [
        "sources.broken",
        "profiles.a.source_profle",
        "profiles.b.section",
        "profiles.c.duration",
        "profiles.f.enabled",
        "profiles.g",
    ]


def test_all_problems_come_in_the_order_of_the_file() -> None:
    """Those of syntax, of shape and of relations are sorted by position."""
    text = profiles(
        """
        a: {role_arn: ROLE, source_profile: a}
        b: {role_arn: x, external_id: ~}
        c: {role_arn: ROLE, source: nobody, duration: 13h}
        """,
        top="ready: soon\n",
    )
    problems = refused(text)
    places = [(p.line, p.column) for p in problems]
    assert places == sorted(places)
    assert [p.path for p in problems] == [
        "ready",
        "profiles.a.source_profile",
        "profiles.b.role_arn",
        "profiles.b.external_id",
        "profiles.c.source",
        "profiles.c.duration",
    ]


def test_a_problem_reads_as_file_line_column_path_reason_hint() -> None:
    """An operator, an editor and grep can all use this line."""
    problem = only_problem(one_profile("duration: 13h"))
    assert str(problem) == (
        "c.yaml:6:15: profiles.production.duration: "
        "must be 15m to 12h, the bounds of AssumeRole (got '13h')"
    )


def test_keys_are_never_written_into_the_configuration_itself() -> None:
    """This holds by whatever path the configuration is named."""
    problem = only_problem(
        one_profile(),
        source="/etc/credfresh.yaml",
        resolve=lambda path: "/run/credfresh/credentials" if path.startswith("/etc") else path,
    )
    assert "credentials_file.path" == problem.path
    assert "is the place of this configuration" in problem.reason


def test_places_in_one_directory_do_not_collide() -> None:
    """Different names in a directory are told apart, and one file may have many profiles."""
    found = accepted(
        profiles(
            """
            a: {role_arn: ROLE}
            b: {role_arn: ROLE, credentials_file: {path: /run/credfresh/others}}
            c: {role_arn: ROLE, credentials_file: {path: /run/credfresh/others}}
            """,
            top="""
            process_dir: /run/credfresh/process
            endpoint: {listen: '127.0.0.1:9465', token_dir: /run/credfresh/tokens}
            control: {socket: /run/credfresh/control.sock}
            metrics: {textfile: /run/credfresh/a.prom, listen: 'unix:/run/credfresh/m.sock'}
            """,
        )
    )
    assert {"a", "b", "c"} == set(found.profiles)


@pytest.mark.parametrize(
    ("name", "groups", "path"),
    [
        (f"{LOCK}.credfresh", "", f"profiles.'{LOCK}.credfresh'"),
        ("a", f", groups: {{{LOCK}.credfresh: [a]}}", f"endpoint.groups.'{LOCK}.credfresh'"),
    ],
)
def test_a_token_is_not_called_like_the_lock_beside_it(name: str, groups: str, path: str) -> None:
    """It could never be written: the lock would count as somebody else's token."""
    endpoint = f"{{listen: '127.0.0.1:9465', token_dir: /run/credfresh/tokens{groups}}}"
    problem = only_problem(profiles(f"{name}: {{role_arn: ROLE}}", top=f"endpoint: {endpoint}\n"))
    assert path == problem.path
    assert "the lock beside the tokens" in problem.reason
    other = (
        f"{{listen: '127.0.0.1:9465', token_dir: /run/credfresh/tokens, groups: {{g: [{name}]}}}}"
    )
    accepted(profiles(f"{name}: {{role_arn: ROLE}}", top=f"endpoint: {other}\n"))


@pytest.mark.parametrize("metrics", ["textfile: /run/credfresh/a.prom", "listen: '127.0.0.1:9464'"])
def test_metrics_may_have_a_textfile_or_a_port_alone(metrics: str) -> None:
    """They may go to a file for a collector or to a port to scrape: neither needs the other."""
    found = accepted(profiles("a: {role_arn: ROLE}", top=f"metrics: {{{metrics}}}\n"))
    assert {"a"} == set(found.profiles)


@pytest.mark.parametrize("address", ["[::1]", "[0:0:0:0:0:0:0:1]", "[0::0001]"])
def test_an_address_has_one_spelling(address: str) -> None:
    """Clients that spell it in their own way send that in the Host header, and are to be known."""
    top = f"metrics: {{listen: '{address}:9464'}}\n"
    listen = accepted(profiles("a: {role_arn: ROLE}", top=top)).metrics.listen

    assert TcpAddress("::1", 9464) == listen


def test_a_file_named_like_the_lock_of_another_is_refused() -> None:
    """The daemon keeps the lock beside the other file, and would take the one for the other."""
    problem = only_problem(
        profiles(
            "a: {role_arn: ROLE, credentials_file: {path: /run/credfresh/credentials}}"
        ).replace(
            "/run/credfresh/credentials}\ndefaults", "/run/credfresh/credentials.lock}\ndefaults"
        )
    )
    assert "credentials_file.path" == problem.path
    assert "a lock of '/run/credfresh/credentials'" in problem.reason
