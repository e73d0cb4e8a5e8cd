"""The sources of credentials: principals that ask STS, and engines where a hub publishes."""

from __future__ import annotations

from credfresh.values import dataclass

DEFAULT_SOURCE = "default"
"""The reserved source name: the SDK's own chain."""


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
class TokenFileLogin:
    """A token that the engine's agent keeps in a file."""

    path: str


VaultAuth = AppRole | JwtLogin | KubernetesLogin | CertLogin | TokenFileLogin


@dataclass(frozen=True, slots=True)
class VaultEngine:
    """A KV v2 engine of OpenBao or HashiCorp Vault, and how to log in."""

    address: str
    auth: VaultAuth
    mount: str = "secret"
    prefix: str = "credfresh"
    ca_file: str | None = None
    namespace: str | None = None
    delete_expired: bool = True
    """Whether the engine deletes a version when its credentials expire. Only a hub sets it."""


@dataclass(frozen=True, slots=True)
class VaultSource:
    """The credentials that a hub publishes in an engine."""

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
"""What asks STS for credentials."""

Source = Principal | VaultSource
"""Where session credentials come from: a principal that asks STS, or a hub that did."""
