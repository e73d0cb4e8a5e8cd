"""The shapes of the file under `sources`: who may assume the roles.

The docstring under a key is its description in the JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from credfresh.config.spelling import (
    Command,
    FileName,
    FilePath,
    Present,
    RoleArn,
    SessionName,
    Text,
)
from credfresh.config.strict import Strict
from credfresh.config.vault_shapes import Vault


class FileSource(Strict):
    """A profile of a credentials file (or config file) of its own."""

    credentials_file: FilePath
    """Absolute path of the file; re-read when it changes."""
    profile: Text
    """The section of it that holds the principal's keys."""


class ProfileSource(Strict):
    """A profile of the SDK's own files (~/.aws or where AWS_CONFIG_FILE points)."""

    profile: Text
    """The name of the profile."""


class EnvironmentSource(Strict):
    """AWS_ACCESS_KEY_ID and its companions in the daemon's environment."""

    environment: Present
    """Always true."""


class Ec2Source(Strict):
    """The instance profile of this EC2 machine, through IMDSv2."""

    ec2_instance_metadata: Present
    """Always true."""


class EcsSource(Strict):
    """The task role of this ECS container, or the EKS Pod Identity of this pod."""

    ecs_container: Present
    """Always true."""


class WebIdentity(Strict):
    """A role assumed with an OIDC token."""

    token_file: FilePath
    """Absolute path of the token; re-read at every call."""
    role_arn: RoleArn
    """The role that the token may assume."""
    role_session_name: SessionName | None = None
    """The name of that session."""


class WebIdentitySource(Strict):
    """AssumeRoleWithWebIdentity."""

    web_identity: WebIdentity
    """The token and the role."""


class SystemdCredentialSource(Strict):
    """A file that systemd hands to the service (LoadCredential=)."""

    systemd_credential: FileName
    """Its name in $CREDENTIALS_DIRECTORY; the format is that of a credentials file."""
    profile: Text
    """The section of it that holds the principal's keys."""


class ProcessSource(Strict):
    """A command that prints credentials (credential_process)."""

    credential_process: Command
    """The command as a list: an absolute path and its arguments; no shell reads it."""


class VaultSource(Strict):
    """What a hub published in OpenBao or HashiCorp Vault: no AWS identity is needed here."""

    vault: Vault
    """The engine, and how to log in."""


SOURCE_KINDS: dict[str, type[Strict]] = {
    "credentials_file": FileSource,
    "systemd_credential": SystemdCredentialSource,
    "environment": EnvironmentSource,
    "ec2_instance_metadata": Ec2Source,
    "ecs_container": EcsSource,
    "web_identity": WebIdentitySource,
    "credential_process": ProcessSource,
    "vault": VaultSource,
    "profile": ProfileSource,
}
"""The key that says which kind of source it is; `profile` last, for two kinds have it too."""


def source_kind(value: Any) -> str | None:
    """Return the one kind whose key is there, or None where no or several kinds are meant."""
    kinds = [kind for kind in SOURCE_KINDS if isinstance(value, dict) and kind in value]
    if kinds[1:] == ["profile"] and kinds[0] in {"credentials_file", "systemd_credential"}:
        return kinds[0]
    return kinds[0] if len(kinds) == 1 else None


Source = Annotated[
    Annotated[FileSource, Tag("credentials_file")]
    | Annotated[SystemdCredentialSource, Tag("systemd_credential")]
    | Annotated[EnvironmentSource, Tag("environment")]
    | Annotated[Ec2Source, Tag("ec2_instance_metadata")]
    | Annotated[EcsSource, Tag("ecs_container")]
    | Annotated[WebIdentitySource, Tag("web_identity")]
    | Annotated[ProcessSource, Tag("credential_process")]
    | Annotated[VaultSource, Tag("vault")]
    | Annotated[ProfileSource, Tag("profile")],
    Discriminator(source_kind),
]
