"""The shapes of the file for an engine of OpenBao or Vault: where it is, and how to log in.

The docstring under a key is its description in the JSON Schema.
"""

from __future__ import annotations

from credfresh import principals
from credfresh.config.spelling import EngineUrl, FilePath, Flag, Segments, Text
from credfresh.config.strict import Strict

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
"""Where Kubernetes puts the token of a pod's service account."""


class AppRole(Strict):
    """AppRole."""

    role_id_file: FilePath
    """Absolute path of a file with the role id; read at every login."""
    secret_id_file: FilePath
    """Absolute path of a file with the secret id; read at every login."""
    mount: Segments | None = None
    """Where the method is mounted; approle if absent."""


class Jwt(Strict):
    """JWT/OIDC."""

    role: Text
    """The role to log in as."""
    token_file: FilePath
    """Absolute path of the token; read at every login."""
    mount: Segments | None = None
    """Where the method is mounted; jwt if absent."""


class Kubernetes(Strict):
    """The service account of the pod."""

    role: Text
    """The role to log in as."""
    token_file: FilePath | None = None
    """Absolute path of the token; the service account's if absent."""
    mount: Segments | None = None
    """Where the method is mounted; kubernetes if absent."""


class Cert(Strict):
    """A TLS client certificate."""

    certificate: FilePath
    """Absolute path of the certificate (PEM); read at every login."""
    key: FilePath
    """Absolute path of its key (PEM)."""
    role: Text | None = None
    """The role to log in as; any that the certificate fits if absent."""
    mount: Segments | None = None
    """Where the method is mounted; cert if absent."""


class VaultAuth(Strict):
    """How to log in: exactly one of these."""

    approle: AppRole | None = None
    """A role id and a secret id."""
    jwt: Jwt | None = None
    """A JWT that somebody else keeps in a file."""
    kubernetes: Kubernetes | None = None
    """The service account of the pod."""
    cert: Cert | None = None
    """A TLS client certificate."""
    token_file: FilePath | None = None
    """Absolute path of a token that an agent of the engine keeps; read at every call."""


class Vault(Strict):
    """A KV v2 engine of OpenBao or HashiCorp Vault."""

    address: EngineUrl
    """https://HOST:PORT of the server."""
    auth: VaultAuth
    """How to log in."""
    mount: Segments | None = None
    """Where the KV v2 engine is mounted; secret if absent."""
    prefix: Segments | None = None
    """What stands before the profiles' names; credfresh if absent."""
    namespace: Segments | None = None
    """The namespace, where the server has such."""
    ca_file: FilePath | None = None
    """Absolute path of the certificates to trust; the system's if absent."""
    allow_plaintext: Flag | None = None
    """Whether `address` may be http to another host: session credentials in the clear."""


class HubVault(Vault):
    """A KV v2 engine where a hub publishes."""

    delete_expired: Flag | None = None
    """Whether the engine deletes a version when its credentials expire; true if absent."""


METHODS: dict[tuple[str, ...], type[Strict]] = {
    (): VaultAuth,
    ("approle",): AppRole,
    ("jwt",): Jwt,
    ("kubernetes",): Kubernetes,
    ("cert",): Cert,
}
"""The mappings below `auth`, by their path there."""


def engine_of(shape: Vault) -> principals.VaultEngine:
    """Return the settings of an engine that has passed every check."""
    given = shape.given() | {"auth": _auth(shape.auth)}
    given.pop("allow_plaintext", None)  # a check has dealt with it
    return principals.VaultEngine(**given)


def methods_of(shape: VaultAuth) -> list[str]:
    """Return the login methods that are named."""
    return [name for name in VaultAuth.model_fields if getattr(shape, name) is not None]


def _auth(shape: VaultAuth) -> principals.VaultAuth:
    if shape.approle is not None:
        return principals.AppRole(**shape.approle.given())
    if shape.jwt is not None:
        return principals.JwtLogin(**shape.jwt.given())
    if shape.kubernetes is not None:
        token = {"token_file": SERVICE_ACCOUNT}
        return principals.KubernetesLogin(**token | shape.kubernetes.given())
    if shape.cert is not None:
        return principals.CertLogin(**shape.cert.given())
    return principals.TokenFileLogin(shape.token_file or "")
