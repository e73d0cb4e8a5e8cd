"""The SDK's own search for credentials: its links in its order, but none waits or reads for ever.

A link is ours where the SDK's has no bound: a `credential_process`, the token of a web identity,
the endpoint of a container, the metadata of an instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleProvider,
    AssumeRoleWithWebIdentityProvider,
    CanonicalNameCredentialSourcer,
    CredentialProvider,
    CredentialResolver,
    EnvProvider,
    ProcessProvider,
    ProfileProviderBuilder,
    create_credential_resolver,
)
from botocore.session import Session
from botocore.utils import create_nested_client

from credfresh.errors import Mend, RenewalError, Scope
from credfresh.sts import metadata
from credfresh.sts.bounded import bound
from credfresh.sts.processes import BoundedProcess
from credfresh.sts.token_file import token_loader

Starts = Callable[..., BoundedProcess]
"""Starts a `credential_process`; botocore calls it for Popen."""


class NamedProfile(NamedTuple):
    """A profile of the SDK's, and the files that it is read from: they may be one."""

    name: str
    config_file: str
    credentials_file: str


def session_of(named: NamedProfile | None, region: str, config: Config) -> Session:
    """Return the SDK's session for a profile, or else as the environment says."""
    if named is None:
        session = Session()
    else:
        session = Session(
            profile=named.name,
            session_vars={
                "config_file": (None, None, named.config_file, None),
                "credentials_file": (None, None, named.credentials_file, None),
            },
        )
    session.set_config_variable("region", region)
    session.set_default_client_config(config)
    bound(session, session.get_config_variable("ca_bundle"), config)
    return session


def resolver(
    session: Session, environ: Mapping[str, str], starts: Starts, *, beyond_files: bool
) -> CredentialResolver:
    """Return what finds the credentials of a session: its whole chain, or its files alone.

    A profile that was named must not fall back to what is beyond its files: that is another
    principal's.
    """
    profiles = _Profiles(session, starts)
    container, instance = metadata.container(environ), metadata.instance_of(session)
    roles = AssumeRoleProvider(
        load_config=lambda: session.full_config,
        client_creator=partial(create_nested_client, session),
        cache={},
        profile_name=_profile(session),
        credential_sourcer=CanonicalNameCredentialSourcer([EnvProvider(), container, instance]),
        profile_provider_builder=profiles,
    )
    links = [roles, *profiles.providers(_profile(session), disable_env_vars=not beyond_files)]
    if beyond_files:
        standard = create_credential_resolver(session).providers
        links = _replaced(standard, [*links, container, instance])
    chain = CredentialResolver(links)
    session.register_component("credential_provider", chain)  # for clients that it needs itself
    return chain


def refuse_prompt(name: str, session: Session) -> None:
    """Refuse a profile for which, or for a `source_profile` of which, the SDK would prompt.

    Raises:
        RenewalError: somebody would have to type a code.
    """
    profiles = session.full_config["profiles"]
    seen: set[str] = set()
    at: str | None = _profile(session)
    while at is not None and at not in seen:
        seen.add(at)
        profile = profiles.get(at, {})
        if "role_arn" not in profile:
            return
        if "mfa_serial" in profile:
            raise RenewalError(
                f"source {name}: its profile {at} has an mfa_serial, and nobody is there to type a"
                " code",
                code="source_needs_mfa",
                mend=Mend.HUMAN,
                scope=Scope.SOURCE,
                hint="use a principal whose role needs no MFA, or a credential_process that asks",
            )
        at = profile.get("source_profile")


class _Profiles(ProfileProviderBuilder):
    """Makes the links that read one profile: the session's, or a role's `source_profile`."""

    def __init__(self, session: Session, starts: Starts) -> None:
        super().__init__(session, cache={})
        self._of_session = session
        self._starts = starts

    def providers(
        self,
        profile_name: str,
        disable_env_vars: bool = False,  # noqa: FBT001, FBT002 - botocore's
    ) -> list[CredentialProvider]:
        session = self._of_session
        loads: Any = token_loader  # the stubs want a class
        web_identity = AssumeRoleWithWebIdentityProvider(
            load_config=lambda: session.full_config,
            client_creator=partial(create_nested_client, session),
            profile_name=profile_name,
            disable_env_vars=disable_env_vars,
            token_loader_cls=loads,
        )
        process = ProcessProvider(
            profile_name, load_config=lambda: session.full_config, popen=self._starts
        )
        return _replaced(super().providers(profile_name, disable_env_vars), [web_identity, process])


def _profile(session: Session) -> str:
    return session.get_config_variable("profile") or "default"


def _replaced(
    links: Iterable[CredentialProvider], ours: Iterable[CredentialProvider]
) -> list[CredentialProvider]:
    """Return the links, each of which there is one of ours replaced by it."""
    by_method = {link.METHOD: link for link in ours}
    return [by_method.get(link.METHOD, link) for link in links]
