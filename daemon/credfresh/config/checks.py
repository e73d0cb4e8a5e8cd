"""Checks what must hold between the keys of one profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field

from credfresh.config import arn, schema, source_shapes, vault_shapes
from credfresh.config.drafts import Draft
from credfresh.config.echo import Path, did_you_mean, shown
from credfresh.config.findings import Findings, Place
from credfresh.config.words import is_of_aws, spell
from credfresh.principals import DEFAULT_SOURCE
from credfresh.values import dataclass

CHAINED_DURATION = 3600
"""Seconds; the most that STS grants to role credentials (role chaining), whatever the role says."""

ROLE_CREDENTIALS = (
    source_shapes.Ec2Source,
    source_shapes.EcsSource,
    source_shapes.WebIdentitySource,
)
"""Sources whose credentials are those of a role."""

_REGION = re.compile(r"[a-z0-9-]{1,63}")


@dataclass(frozen=True, slots=True)
class Case:
    """The input of the checks: the file as far as it was understood, and where its parts stand."""

    file: schema.ConfigFile
    place: Place
    drafts: Mapping[str, Draft]
    environment: Mapping[str, str]
    findings: Findings
    engines: Mapping[str, vault_shapes.Vault] = field(init=False)
    """The engines among the sources: who names one follows a hub."""

    def __post_init__(self) -> None:
        engines = {
            name: source.vault
            for name, source in (self.file.sources or {}).items()
            if isinstance(source, source_shapes.VaultSource)
        }
        object.__setattr__(self, "engines", engines)

    def add(self, path: Path, reason: str, hint: str | None = None) -> None:
        """Record a problem."""
        self.findings.add_at(self.place, path, reason, hint=hint)

    def add_to(self, draft: Draft, key: str, reason: str, hint: str | None = None) -> None:
        """Record a problem of a profile, and say so when the value is inherited."""
        if key in draft.inherited:
            hint = f"it comes from `defaults`; {hint}" if hint else "it comes from `defaults`"
        self.add(("profiles", draft.name, key), reason, hint)

    def follows_hub(self, draft: Draft) -> bool:
        """Say whether a profile comes from an engine and not from STS."""
        if not self.engines:  # as a rule: there are as many questions as profiles
            return False
        return draft.source in self.engines and draft.profile.source_profile is None

    def names(self, section: str) -> tuple[str, ...]:
        """Return all names under a section of the file, faulty or disabled ones too."""
        place = self.place.within.get(section)
        return tuple(str(name) for name in place.within) if place else ()

    def has(self, section: str, name: str) -> bool:
        """Say whether `names` of the section include this one."""
        place = self.place.within.get(section)
        return place is not None and name in place.within


def check_profiles(case: Case) -> None:
    """Check every enabled profile by itself; once one plain profile passes `_SHARED`, all do."""
    passed = False
    for draft in case.drafts.values():
        _run(_OWN, draft, case)
        if draft.plain and passed:
            continue
        known = len(case.findings.problems)
        _run(_SHARED, draft, case)
        if draft.plain and not draft.faulty and len(case.findings.problems) == known:
            passed = True


def _run(checks: _Checks, draft: Draft, case: Case) -> None:
    for keys, check in checks:
        if not draft.faulty or draft.sound(*keys):
            check(draft, case)


def _source_exists(draft: Draft, case: Case) -> None:
    if draft.profile.source_profile is not None:
        if draft.profile.source is not None:
            hint = "`source_profile` is another profile of this file, `source` a principal"
            case.add_to(draft, "source_profile", "cannot stand beside `source`", hint)
        return
    if draft.source != DEFAULT_SOURCE and not case.has("sources", draft.source):
        known = (DEFAULT_SOURCE, *case.names("sources"))
        names = ", ".join(map(shown, known[:10]))
        hint = did_you_mean(draft.source, known) or (
            f"describe it under `sources` ({{profile: NAME}} is one of ~/.aws); known: {names}"
        )
        case.add_to(draft, "source", f"no such source (got {shown(draft.source)})", hint)


def _chained_duration(draft: Draft, case: Case) -> None:
    if draft.duration <= CHAINED_DURATION:
        return
    if draft.profile.source_profile is not None:
        because = "assumed with another role's credentials (`source_profile`)"
    elif isinstance((case.file.sources or {}).get(draft.source), ROLE_CREDENTIALS):
        because = f"assumed with a role's credentials (source {shown(draft.source)})"
    else:
        return
    reason = f"must be at most 1h: the role is {because} (got {spell(draft.duration)})"
    hint = "set `duration: 1h` here" if "duration" in draft.inherited else "STS refuses more"
    case.add_to(draft, "duration", reason, hint)


def _renew_before(draft: Draft, case: Case) -> None:
    wished = draft.profile.renew_before
    if wished is None or wished.seconds is None or wished.seconds < draft.duration:
        return
    if case.follows_hub(draft):
        return  # the hub decides how long the session lasts, and when it is renewed
    reason = (
        f"must be less than the duration of {spell(draft.duration)}"
        f" (got {spell(int(wished.seconds))})"
    )
    case.add_to(draft, "renew_before", reason, "the default is 50%")


def _transitive_tags(draft: Draft, case: Case) -> None:
    keys = draft.profile.transitive_tag_keys
    if not keys:
        return
    tags = {key for key, _ in draft.profile.session_tags or ()}
    for number, key in enumerate(keys, start=1):
        if key not in tags:
            reason = f"item {number} is not among the keys of `session_tags`"
            case.add_to(draft, "transitive_tag_keys", reason, "only a tag of the session passes on")


def _policy_arns(draft: Draft, case: Case) -> None:
    role, policies = draft.profile.role_arn, draft.profile.policy_arns
    if role is None or not policies:
        return
    home = arn.partition_of_arn(role), arn.account_of_arn(role)
    for number, policy in enumerate(policies, start=1):
        partition, account = arn.partition_of_arn(policy), arn.account_of_arn(policy)
        if partition != home[0] or account not in (home[1], "aws"):
            reason = f"item {number} is not in the account of the role"
            case.add_to(draft, "policy_arns", reason, "STS takes policies of that account or AWS's")


def _region(draft: Draft, case: Case) -> None:
    if case.follows_hub(draft):
        return  # STS is not asked here
    region = region_of(draft, case.environment)
    path: Path = ("profiles", draft.name, "region")
    if region is None:
        hint = "set it here or under `defaults`; AWS_REGION and AWS_DEFAULT_REGION are not set"
        case.add(path, "is required", hint)
    elif not _REGION.fullmatch(region):
        reason = "AWS_REGION or AWS_DEFAULT_REGION in the environment is not an AWS region"
        case.add(path, reason, "set `region` here or under `defaults`")
    elif sts_endpoint(draft, case.file):
        return
    elif draft.profile.region and not (is_of_aws(region) or elsewhere(case.environment)):
        where = ("defaults", "region") if "region" in draft.inherited else path
        if where not in case.findings.faulty:  # said once for all that inherit it
            reason = f"must be an AWS region (got {shown(region)})"
            case.add(where, reason, "regions look like `eu-west-1`")
            case.findings.faulty.add(where)
    elif draft.profile.role_arn and draft.sound("role_arn"):
        partition = arn.partition_of_arn(draft.profile.role_arn)
        theirs = arn.partition_of_region(region)
        if partition != theirs:
            reason = f"is in partition {theirs}, the role in {partition} (got {shown(region)})"
            case.add_to(draft, "region", reason, "credentials do not cross partitions")


def elsewhere(environment: Mapping[str, str]) -> bool:
    """Say whether the environment names another STS: its regions and key ids may look otherwise."""
    return any(environment.get(name) for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"))


def _fips(draft: Draft, case: Case) -> None:
    if draft.profile.fips and sts_endpoint(draft, case.file):
        reason = "cannot be true where `endpoint_url` is set"
        case.add_to(draft, "fips", reason, "the SDK refuses a FIPS endpoint of one's own")


def _default_section(draft: Draft, case: Case) -> None:
    if draft.section == "default" and not draft.profile.allow_default:
        path: Path = ("profiles", draft.name)
        if draft.profile.section:
            path = (*path, "section")
        reason = "the section `default` is what every process on the host falls back to"
        case.add(path, reason, "give it another name, or set `allow_default: true`")


def region_of(draft: Draft, environment: Mapping[str, str]) -> str | None:
    """Return the region of a profile: its own, the defaults', the environment's."""
    return (
        draft.profile.region
        or environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or None
    )


def sts_endpoint(draft: Draft, file: schema.ConfigFile) -> str | None:
    """Return the endpoint that the file sets for a profile, if any."""
    return draft.profile.endpoint_url or (file.sts.endpoint_url if file.sts else None)


_Checks = tuple[tuple[tuple[str, ...], Callable[[Draft, Case], None]], ...]
"""Checks, each with the keys that it relies on: it is left out where one of them was refused."""

_OWN: _Checks = (
    (("role_arn", "policy_arns"), _policy_arns),
    (("region", "endpoint_url"), _region),
    (("section", "allow_default"), _default_section),
)
"""Those that look at a profile's name, or at one of `PLAIN_KEYS`: its role and its section."""

_SHARED: _Checks = (
    (("source", "source_profile"), _source_exists),
    (("source", "source_profile", "duration"), _chained_duration),
    (("duration", "renew_before"), _renew_before),
    (("session_tags", "transitive_tag_keys"), _transitive_tags),
    (("fips", "endpoint_url"), _fips),
)
"""Those that look at nothing in which plain profiles differ."""
