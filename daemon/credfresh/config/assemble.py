"""Makes the daemon's settings from a configuration file without mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import assert_never

from credfresh import policy, principals, settings
from credfresh.config import schema, source_shapes
from credfresh.config.checks import Case, elsewhere, region_of, sts_endpoint
from credfresh.config.drafts import Draft
from credfresh.config.endpoint import endpoint_of
from credfresh.config.identity import default_instance
from credfresh.config.notices import notices_for
from credfresh.config.relations import folder_of
from credfresh.config.session import default_session_name
from credfresh.config.surroundings import Surroundings, control_socket
from credfresh.config.vault_shapes import engine_of
from credfresh.config.words import MOST_DURATION
from credfresh.twin import safe_name


def assemble(
    case: Case,
    targets: Mapping[str, settings.FileTarget],
    source: str,
    surroundings: Surroundings,
) -> settings.Settings:
    """Return the settings of a file that has passed every check."""
    file = case.file
    instance = file.instance or default_instance(source)
    sts = _sts(file.sts)
    sessions = Counter((draft.duration, draft.renew_before) for draft in case.drafts.values())
    needed = policy.calls_needed(sessions)
    rhythm = policy.rhythm(
        f"{surroundings.hostname} {instance}",
        shortest=min(duration for duration, _ in sessions),
        busy=needed / sts.calls_per_second,
    )
    profiles = _profiles(case, targets, surroundings, rhythm)
    for name, draft in case.drafts.items() if case.engines else ():
        if case.follows_hub(draft):
            profiles[name] = _followed(profiles[name], engine_of(case.engines[draft.source]))
    sources: dict[str, principals.Source] = {principals.DEFAULT_SOURCE: principals.DefaultChain()}
    sources.update((name, _source(shape)) for name, shape in (file.sources or {}).items())
    used = dict.fromkeys([targets[""], *(targets[name] for name in profiles)])
    return settings.Settings(
        path=source,
        instance=instance,
        target=targets[""],
        profiles=_chained(profiles),
        sources=sources,
        sts=sts,
        metrics=_metrics(file.metrics),
        endpoint=endpoint_of(case, targets),
        log=_log(file.log),
        control=_control(file.control, surroundings.environment),
        ready=file.ready or "settled",
        reload=file.reload or "signal",
        vault=engine_of(file.vault) if file.vault else None,
        on_renew=_hook(file.on_renew),
        notices=notices_for(
            profiles,
            used,
            _hook(file.on_renew),
            needed=needed,
            allowed=sts.calls_per_second,
        ),
    )


def _chained(profiles: Mapping[str, settings.Profile]) -> dict[str, settings.Profile]:
    """Return the profiles; give each chained one the request of its `source_profile`."""
    done = {name: profile for name, profile in profiles.items() if profile.source_profile is None}
    for name in [name for name in profiles if name not in done]:
        links: list[str] = []
        above: str | None = name
        while above is not None and above not in done:
            links.append(above)
            above = profiles[above].source_profile
        for link in reversed(links):
            parent = done[str(profiles[link].source_profile)]
            done[link] = replace(profiles[link], source_request=parent.request)
    return {name: done[name] for name in profiles}


def _profiles(
    case: Case,
    targets: Mapping[str, settings.FileTarget],
    surroundings: Surroundings,
    rhythm: settings.Rhythm,
) -> dict[str, settings.Profile]:
    """Return the profiles; a plain one is made like the first, which takes half the time."""
    twins = _twins(case, targets)
    profiles: dict[str, settings.Profile] = {}
    plain: Callable[..., settings.Profile] | None = None
    for name, draft in case.drafts.items():
        twin = twins.get(name)
        if draft.plain and plain is not None:
            profiles[name] = plain(
                name=name,
                section=draft.section,
                role_arn=draft.profile.role_arn or "",
                role_session_name=_session_name(draft, surroundings),
                twin=twin,
            )
        else:
            made = _profile(draft, case, targets[name], twin, surroundings, rhythm)
            profiles[name] = made
            plain = _more_like(made) if draft.plain else plain
    return profiles


def _more_like(profile: settings.Profile) -> Callable[..., settings.Profile]:
    """Return what makes profiles like this one but for what is passed: `replace` takes longer."""
    same = {each.name: getattr(profile, each.name) for each in fields(profile) if each.init}
    return partial(settings.Profile, **same)


def _profile(  # noqa: PLR0917 - all that a profile is made of
    draft: Draft,
    case: Case,
    target: settings.FileTarget,
    twin: settings.Twin | None,
    surroundings: Surroundings,
    rhythm: settings.Rhythm,
) -> settings.Profile:
    shape = draft.profile
    endpoint = sts_endpoint(draft, case.file)
    return settings.Profile(
        name=draft.name,
        section=draft.section,
        role_arn=shape.role_arn or "",
        role_session_name=_session_name(draft, surroundings),
        duration=draft.duration,
        renew_before=draft.renew_before,
        region=region_of(draft, surroundings.environment) or "",
        target=target,
        source=draft.source,
        source_profile=shape.source_profile,
        external_id=shape.external_id,
        policy=shape.policy,
        policy_arns=shape.policy_arns or (),
        session_tags=shape.session_tags or (),
        transitive_tag_keys=shape.transitive_tag_keys or (),
        source_identity=shape.source_identity,
        endpoint_url=endpoint,
        any_key_id=endpoint is not None or elsewhere(surroundings.environment),
        fips=bool(shape.fips),
        publish_region=shape.region is not None,
        adopt=bool(shape.adopt),
        account_id=bool(shape.account_id),
        on_expired=shape.on_expired or "keep",
        twin=twin,
        on_renew=_hook(shape.on_renew),
        rhythm=rhythm,
    )


def _session_name(draft: Draft, surroundings: Surroundings) -> str:
    given = draft.profile.role_session_name
    return given or default_session_name(surroundings.hostname, draft.name)


def _twins(case: Case, targets: Mapping[str, settings.FileTarget]) -> dict[str, settings.Twin]:
    """Return where each profile's twin is kept; none is kept without a `process_dir`."""
    directory = case.file.process_dir
    if directory is None:
        return {}
    shared = folder_of(directory, case, targets)
    return {name: settings.Twin(directory, safe_name(name), shared) for name in case.drafts}


def _followed(profile: settings.Profile, engine: principals.VaultEngine) -> settings.Profile:
    """Return a profile that follows a hub: its duration is known only when credentials arrive."""
    return replace(
        profile,
        role_arn=f"vault:{engine.mount}/{engine.prefix}/{profile.name}",
        duration=MOST_DURATION,
        endpoint_url=engine.address,
        any_key_id=True,
        source_request=f"{engine.address} {engine.namespace}",  # another engine's is another role
        account_id=False,  # only the hub knows the role, and so its account
    )


def _source(shape: source_shapes.Source) -> principals.Source:  # noqa: PLR0911  # one line a kind
    match shape:
        case source_shapes.FileSource():
            return principals.FileSource(shape.credentials_file, shape.profile)
        case source_shapes.ProfileSource():
            return principals.ProfileSource(shape.profile)
        case source_shapes.EnvironmentSource():
            return principals.EnvironmentSource()
        case source_shapes.Ec2Source():
            return principals.Ec2Source()
        case source_shapes.EcsSource():
            return principals.EcsSource()
        case source_shapes.WebIdentitySource(web_identity=web):
            return principals.WebIdentitySource(web.token_file, web.role_arn, web.role_session_name)
        case source_shapes.SystemdCredentialSource():
            return principals.SystemdCredentialSource(shape.systemd_credential, shape.profile)
        case source_shapes.VaultSource(vault=vault):
            return principals.VaultSource(engine_of(vault))
        case source_shapes.ProcessSource():
            return principals.ProcessSource(shape.credential_process)
        case _:
            assert_never(shape)


def _sts(shape: schema.Sts | None) -> settings.StsLimits:
    given = shape.given() if shape else {}
    given.pop("endpoint_url", None)  # each profile has it
    return settings.StsLimits(**given)


def _hook(shape: schema.OnRenew | None) -> settings.Hook | None:
    return settings.Hook(**shape.given()) if shape else None


def _metrics(shape: schema.Metrics | None) -> settings.MetricsSettings:
    return settings.MetricsSettings(**shape.given()) if shape else settings.MetricsSettings()


def _log(shape: schema.Log | None) -> settings.LogSettings:
    return settings.LogSettings(**shape.given()) if shape else settings.LogSettings()


def _control(
    shape: schema.Control | None, environment: Mapping[str, str]
) -> settings.ControlSettings | None:
    given = shape.given() if shape else {}
    given.setdefault("socket", control_socket(environment))
    return settings.ControlSettings(**given) if given["socket"] else None
