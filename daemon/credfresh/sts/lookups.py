"""Looks up the keys of each kind of source, always by botocore's own providers."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleWithWebIdentityCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
    EnvProvider,
    ProcessProvider,
)

from credfresh.principals import (
    DefaultChain,
    Ec2Source,
    EcsSource,
    EnvironmentSource,
    FileSource,
    Principal,
    ProcessSource,
    ProfileSource,
    SystemdCredentialSource,
    WebIdentitySource,
)
from credfresh.regular import Identity, identity_at
from credfresh.sts import chain, metadata
from credfresh.sts.clients import Clients, StsEndpoint
from credfresh.sts.processes import BoundedProcess
from credfresh.sts.token_file import token_loader
from credfresh.values import dataclass

_LEAD = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")
"""The variables that direct the SDK's chain to one profile, or to other files."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """One way to find credentials.

    `wanted` says what is looked for. `load` returns botocore's credentials object (which refreshes
    itself if it can), None if nothing was found. `files` are read: when one changes, it is time to
    look again. `elsewhere` says whether other places are looked at as well. `stale` is the hint if
    `load` keeps giving keys that have expired. `asks_sts` says whether the keys come from the
    endpoint that the profile itself asks.
    """

    wanted: str
    load: Callable[[StsEndpoint], Credentials | None]
    hint: str
    files: tuple[str, ...] = ()
    stale: str = "look at what gives them, and at this host's clock"
    elsewhere: bool = False
    asks_sts: bool = False

    def seen(self) -> tuple[Identity | None, ...]:
        """Return a value that changes when one of the files does."""
        return tuple(identity_at(path) for path in self.files)

    def missing(self) -> str:
        """Say why nothing was found: the SDK passes over files that it cannot read."""
        there = [path for path in self.files if identity_at(path) is not None]
        if not there:
            return "no such file" if self.files and not self.elsewhere else "not found"
        closed = [path for path in there if not os.access(path, os.R_OK)]
        return f"{closed[0]} may not be read by this user" if closed else "no such profile or keys"


@dataclass(frozen=True, slots=True)
class Lookups:
    """Makes the lookup of each kind of source."""

    clients: Clients
    config: Config
    environ: Mapping[str, str]

    def of(self, name: str, source: Principal) -> Lookup:  # noqa: PLR0911 - one for each kind
        """Return how `source`, called `name`, is resolved."""
        match source:
            case FileSource(path, profile):
                return self._profile(name, profile, path, path)
            case SystemdCredentialSource(credential, profile):
                return self._systemd(name, credential, profile)
            case ProfileSource(profile):
                return self._profile(name, profile, *self._sdk_files())
            case EnvironmentSource():
                return Lookup(
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the daemon's environment",
                    lambda _: EnvProvider(dict(self.environ)).load(),
                    "the unit's Environment= or EnvironmentFile= sets them",
                )
            case Ec2Source():
                return self._instance()
            case EcsSource():
                return Lookup(
                    "the container credentials endpoint",
                    lambda _: metadata.container(self.environ).load(),
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI names it: https, a"
                    " loopback address, or 169.254.170.2 or .23",
                )
            case WebIdentitySource():
                return self._web_identity(source)
            case ProcessSource(argv):
                return self._process(name, argv)
            case DefaultChain():
                return Lookup(
                    "credentials in the SDK's default chain",
                    partial(self._chain, name, None),
                    f"{self._led()}neither environment, AWS files, container nor instance have any:"
                    " give one of them keys, or name another `source`",
                    files=self._sdk_files(),
                    elsewhere=True,
                )

    def _led(self) -> str:
        """Name the variables that direct the chain, which silently skips what they name in vain."""
        led = ", ".join(f"{name}={self.environ[name]}" for name in _LEAD if self.environ.get(name))
        return f"the daemon's environment has {led}: is that right? Otherwise: " if led else ""

    def _sdk_files(self) -> tuple[str, str]:
        config = self.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
        shared = self.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
        return os.path.expanduser(config), os.path.expanduser(shared)  # noqa: PTH111 - as the SDK

    def _profile(self, name: str, profile: str, config: str, shared: str) -> Lookup:
        files = tuple(dict.fromkeys((config, shared)))
        return Lookup(
            f"keys of profile {profile} in {' or '.join(files)}",
            partial(self._chain, name, chain.NamedProfile(profile, config, shared)),
            "it needs aws_access_key_id and aws_secret_access_key, or what else an SDK's profile"
            " may say, and must be readable by the daemon's user",
            files=files,
        )

    def _systemd(self, name: str, credential: str, profile: str) -> Lookup:
        directory = self.environ.get("CREDENTIALS_DIRECTORY")
        if directory is None:
            return Lookup(
                f"credential {credential}, but there is no $CREDENTIALS_DIRECTORY",
                lambda _: None,
                f"the unit needs LoadCredential={credential}:PATH (read when the unit starts);"
                " if you run credfresh by hand, there is none",
            )
        path = f"{directory}/{credential}"
        return self._profile(name, profile, path, path)

    def _chain(
        self, name: str, named: chain.NamedProfile | None, endpoint: StsEndpoint
    ) -> Credentials | None:
        """Ask the SDK's own chain or, given a profile, only the files of that."""
        session = chain.session_of(named, endpoint.region, self.config)
        chain.refuse_prompt(name, session)
        return chain.resolver(
            session, self.environ, self._starts(name), beyond_files=named is None
        ).load_credentials()

    def _instance(self) -> Lookup:
        return Lookup(
            "an instance profile at the EC2 instance metadata (IMDSv2)",
            lambda _: metadata.instance(self.environ).load(),
            "attach one; in a container the instance's hop limit must be 2 or more; and"
            " AWS_EC2_METADATA_DISABLED must not be true",
        )

    def _web_identity(self, source: WebIdentitySource) -> Lookup:
        def load(endpoint: StsEndpoint) -> Credentials:
            fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
                # botocore wants an unsigned client: give it ours, which is made once.
                client_creator=lambda _service, **_config: self.clients.unsigned(endpoint),
                web_identity_token_loader=token_loader(source.token_file),
                role_arn=source.role_arn,
                extra_args={"RoleSessionName": source.role_session_name or "credfresh"},
            )
            return DeferredRefreshableCredentials(fetcher.fetch_credentials, "web-identity")

        return Lookup(
            f"web identity: the token in {source.token_file} for {source.role_arn}",
            load,
            "the daemon's user must be able to read the token file",
            asks_sts=True,
        )

    def _starts(self, name: str) -> chain.Starts:
        """Return what starts a process for the source `name`; botocore calls it for Popen."""

        def start(command: list[str], **_pipes: object) -> BoundedProcess:
            return BoundedProcess(command, name=name, environ=self.environ)

        return start

    def _process(self, name: str, argv: tuple[str, ...]) -> Lookup:
        # botocore splits the command as a POSIX shell would, which gives argv again.
        config: dict[str, Any] = {"profiles": {name: {"credential_process": shlex.join(argv)}}}
        return Lookup(
            f"what {argv[0]} prints (credential_process)",
            lambda _: ProcessProvider(name, lambda: config, popen=self._starts(name)).load(),
            "it must print Version 1 JSON with AccessKeyId and SecretAccessKey",
            stale="look at the command, or at the cache that it keeps; and at this host's clock",
        )
