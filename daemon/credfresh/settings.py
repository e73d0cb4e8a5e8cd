"""The runtime-shaped configuration: what the daemon does, whatever file said so.

`config` parses YAML into these frozen values; nothing below it knows of YAML. Durations are
seconds, modes are permission bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DEFAULT_SOURCE = "default"
"""The reserved source name: the SDK's own chain."""


@dataclass(frozen=True, slots=True)
class FileTarget:
    """A shared credentials file, and who may read it. `path` is absolute, not yet resolved."""

    path: str
    mode: int = 0o600
    owner: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Twin:
    """Where a profile's credentials are kept for processes that outlive them.

    `directory` is absolute, not yet resolved; `name` is what the profile is called in it, safe in
    a path, a shell and an INI header.
    """

    directory: str
    name: str
    shared: FileTarget
    """Mode, owner and group of what all profiles share there; its path is the directory."""

    @property
    def path(self) -> str:
        """The file that holds the credentials."""
        return f"{self.directory}/{self.name}.json"


@dataclass(frozen=True, slots=True)
class DefaultChain:
    """The SDK's own chain (environment, files, container, instance)."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A profile of one named credentials (or config) file, re-read when it changes."""

    path: str
    profile: str


@dataclass(frozen=True, slots=True)
class ProfileSource:
    """A profile of the SDK's own files."""

    profile: str


@dataclass(frozen=True, slots=True)
class EnvironmentSource:
    """AWS_ACCESS_KEY_ID and its companions in the daemon's own environment."""


@dataclass(frozen=True, slots=True)
class Ec2Source:
    """The instance profile, through IMDSv2."""


@dataclass(frozen=True, slots=True)
class EcsSource:
    """The container credentials endpoint."""


@dataclass(frozen=True, slots=True)
class WebIdentitySource:
    """AssumeRoleWithWebIdentity; the token file is re-read at every call."""

    token_file: str
    role_arn: str
    role_session_name: str | None = None


@dataclass(frozen=True, slots=True)
class SystemdCredentialSource:
    """A file in $CREDENTIALS_DIRECTORY, in the shared-credentials format."""

    name: str
    profile: str


@dataclass(frozen=True, slots=True)
class ProcessSource:
    """A `credential_process`: argv, no shell."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AppRole:
    """AppRole: a role id and a secret id, each in a file."""

    role_id_file: str
    secret_id_file: str
    mount: str = "approle"


@dataclass(frozen=True, slots=True)
class JwtLogin:
    """JWT/OIDC: a token that somebody else keeps in a file."""

    role: str
    token_file: str
    mount: str = "jwt"


@dataclass(frozen=True, slots=True)
class KubernetesLogin:
    """The service account of the pod."""

    role: str
    token_file: str
    mount: str = "kubernetes"


@dataclass(frozen=True, slots=True)
class CertLogin:
    """A TLS client certificate."""

    certificate: str
    key: str
    role: str | None = None
    mount: str = "cert"


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that an agent of the engine's keeps in a file."""

    path: str


VaultAuth = AppRole | JwtLogin | KubernetesLogin | CertLogin | TokenFile


@dataclass(frozen=True, slots=True)
class VaultEngine:
    """A KV v2 engine of OpenBao or HashiCorp Vault, and how to log in."""

    address: str
    auth: VaultAuth
    mount: str = "secret"
    prefix: str = "credfresh"
    ca_file: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class VaultSource:
    """What a hub published in an engine."""

    engine: VaultEngine


Principal = (
    DefaultChain
    | FileSource
    | ProfileSource
    | EnvironmentSource
    | Ec2Source
    | EcsSource
    | WebIdentitySource
    | SystemdCredentialSource
    | ProcessSource
)
"""Who asks STS."""

Source = Principal | VaultSource
"""Where session credentials come from: a principal that asks STS, or a hub that did."""


@dataclass(frozen=True, slots=True)
class RenewBefore:
    """How long before expiration to renew: a share of the granted lifetime, or seconds."""

    share: float | None = 0.5
    seconds: float | None = None

    def of(self, lifetime: float) -> float:
        """Return the seconds before expiration, for credentials that live `lifetime`."""
        return self.seconds if self.seconds is not None else (self.share or 0.0) * lifetime


@dataclass(frozen=True, slots=True)
class Profile:
    """One role to keep assumed, and the section where its credentials are published."""

    name: str
    section: str
    role_arn: str
    role_session_name: str
    duration: int
    renew_before: RenewBefore
    region: str
    target: FileTarget
    source: str = DEFAULT_SOURCE
    source_profile: str | None = None
    external_id: str | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    session_tags: tuple[tuple[str, str], ...] = ()
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    endpoint_url: str | None = None
    fips: bool = False
    publish_region: bool = True
    """Whether `region` is written beside the keys (it is where the profile or defaults set it)."""
    adopt: bool = False
    account_id: bool = False
    on_expired: Literal["keep", "remove"] = "keep"
    twin: Twin | None = None

    @property
    def request(self) -> str:
        """The request's fingerprint: 16 hex digits over all that decides what STS issues.

        Credentials in hand are good for as long as it is unchanged: a warm restart or a
        reload renews at once when it differs.
        """
        asked = {
            "role_arn": self.role_arn,
            "role_session_name": self.role_session_name,
            "duration": self.duration,
            "external_id": self.external_id,
            "policy": self.policy,
            "policy_arns": self.policy_arns,
            "session_tags": self.session_tags,
            "transitive_tag_keys": self.transitive_tag_keys,
            "source_identity": self.source_identity,
            "source": self.source_profile or self.source,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StsLimits:
    """What we allow ourselves against STS."""

    calls_per_second: float = 50.0
    max_concurrency: int = 16
    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the log shows."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The control socket, and who may connect to it. `socket` is absolute, not yet resolved."""

    socket: str
    mode: int = 0o600
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A thing worth saying about an accepted configuration, once, as the event `name`."""

    event: str
    fields: tuple[tuple[str, str | int | float], ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of a valid configuration. Disabled profiles are not in it."""

    path: str
    instance: str
    target: FileTarget
    profiles: Mapping[str, Profile]
    sources: Mapping[str, Source]
    sts: StsLimits = field(default_factory=StsLimits)
    log: LogSettings = field(default_factory=LogSettings)
    control: ControlSettings | None = None
    """None: no socket, for nothing says where."""
    ready: Literal["settled", "fresh"] = "settled"
    reload: Literal["signal", "auto"] = "signal"
    vault: VaultEngine | None = None
    """Where a hub publishes, too."""
    notices: tuple[Notice, ...] = ()

    @property
    def principals(self) -> dict[str, Principal]:
        """Those who ask STS, by the name of the source."""
        return {n: s for n, s in self.sources.items() if not isinstance(s, VaultSource)}

    @property
    def engines(self) -> dict[str, VaultEngine]:
        """The engines that are followed, by the name of the source."""
        return {n: s.engine for n, s in self.sources.items() if isinstance(s, VaultSource)}

    @property
    def targets(self) -> tuple[FileTarget, ...]:
        """Every credentials file that is kept, each once, the default one first."""
        seen = dict.fromkeys([self.target, *(p.target for p in self.profiles.values())])
        return tuple(seen)

    @property
    def twin_directories(self) -> tuple[FileTarget, ...]:
        """Every directory of twins, with the rights of what all profiles share there."""
        return tuple(dict.fromkeys(p.twin.shared for p in self.profiles.values() if p.twin))
