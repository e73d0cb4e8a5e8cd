"""The file-shaped configuration: one pydantic model a mapping, as the file may spell it.

The docstring under a key is its description in the JSON Schema. Absent keys are None: the
defaults live in `credfresh.settings` alone. Nothing outside this package sees these models.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from credfresh.config.source_shapes import Source
from credfresh.config.spelling import (
    Account,
    BeforeExpiry,
    Command,
    ConnectTimeout,
    Directory,
    Duration,
    ExternalId,
    FileName,
    FilePath,
    Flag,
    HookTimeout,
    Label,
    Listen,
    ListenTcp,
    Mode,
    Policy,
    PolicyArns,
    ProfileName,
    ProfileNames,
    Rate,
    ReadTimeout,
    Region,
    RoleArn,
    Section,
    SessionName,
    SessionTags,
    SocketMode,
    SocketPath,
    SourceIdentity,
    SourceName,
    TagKeys,
    Text,
    Textfile,
    Threads,
    Url,
)
from credfresh.config.strict import Strict
from credfresh.config.vault_shapes import HubVault


class CredentialsFile(Strict):
    """A shared credentials file, and who may read it."""

    path: FilePath
    """Absolute path of the file; its directory must exist and be writable by nobody else."""
    mode: Mode | None = None
    """Permission bits, octal; "0600" if absent."""
    owner: Account | None = None
    """Name or number of its owner; the daemon's own user if absent. Only root may name another."""
    group: Account | None = None
    """Name or number of its group; the choice of the directory if absent."""


class Sts(Strict):
    """Limits and endpoint for the calls to AWS STS."""

    calls_per_second: Rate | None = None
    """Calls a second over all profiles, 0.1 to 600; 50 if absent. AWS's quota is 600."""
    max_concurrency: Threads | None = None
    """Calls at the same time, 1 to 64; 16 if absent."""
    connect_timeout: ConnectTimeout | None = None
    """1s to 20s; 3s if absent."""
    read_timeout: ReadTimeout | None = None
    """1s to 30s; 10s if absent."""
    endpoint_url: Url | None = None
    """Another STS endpoint for all profiles; AWS_ENDPOINT_URL_STS or the region's own if absent."""


class Control(Strict):
    """The socket on which commands reach the running daemon."""

    socket: SocketPath | None = None
    """Absolute path; control.sock in the service's RuntimeDirectory if absent."""
    mode: SocketMode | None = None
    """Who may connect, and so ask for status and ensure: 0600, 0660 or 0666; "0600" if absent."""
    group: Account | None = None
    """Name or number of its group; the choice of the directory if absent."""


class Metrics(Strict):
    """Where the daemon publishes figures, for Prometheus and for people."""

    textfile: Textfile | None = None
    """A file for the textfile collector of Prometheus's node_exporter; its name ends in .prom."""
    textfile_mode: Mode | None = None
    """Permission bits of that file, octal; "0644" if absent."""
    listen: Listen | None = None
    """A loopback address (127.0.0.1:9464) or unix:/path that serves /metrics and a status page."""
    detail: Flag | None = None
    """Whether the status page may show ARNs, access key ids and error texts; false if absent."""


class Endpoint(Strict):
    """Credentials served on loopback, as containers get them, to clients that show a token."""

    listen: ListenTcp
    """A loopback address (127.0.0.1:9465)."""
    token_dir: Directory
    """Absolute path of a directory for the files that hold the tokens."""
    groups: dict[FileName, ProfileNames] | None = None
    """Profiles that one token gives access to; a profile in no group has a token of its own."""


class Log(Strict):
    """What the log shows."""

    level: Literal["debug", "info", "warning", "error"] | None = None
    """The least level shown; info if absent."""
    format: Literal["auto", "json", "console"] | None = None
    """auto (if absent): for people on a terminal, else JSON lines."""


class OnRenew(Strict):
    """A command to run when renewed credentials are on disk."""

    command: Command
    """The command as a list: an absolute path and its arguments; no shell reads it."""
    timeout: HookTimeout | None = None
    """1s to 5m; after it the process group is killed; 30s if absent."""


class Defaults(Strict):
    """Values for all profiles that do not set their own."""

    source: Text | None = None
    """The source that assumes the role: a name under `sources`, or default (if absent)."""
    region: Region | None = None
    """The region whose STS is asked, also written beside the keys; AWS_REGION if absent."""
    duration: Duration | None = None
    """How long a session lasts, 15m to 12h; 1h if absent."""
    renew_before: BeforeExpiry | None = None
    """How long before expiration to renew: 1% to 80%, or a duration; 50% if absent."""
    role_session_name: SessionName | None = None
    """The name of the session in CloudTrail; credfresh-HOSTNAME-PROFILE if absent."""
    policy: Policy | None = None
    """A session policy that narrows the role: a mapping, or text that is JSON."""
    policy_arns: PolicyArns | None = None
    """Managed policies that narrow the role, at most 10."""
    session_tags: SessionTags | None = None
    """Session tags, at most 50."""
    transitive_tag_keys: TagKeys | None = None
    """Which of the session tags pass on to sessions chained from this one."""
    source_identity: SourceIdentity | None = None
    """The source identity, kept through chained sessions."""
    endpoint_url: Url | None = None
    """Another STS endpoint for this profile; see also sts.endpoint_url."""
    fips: Flag | None = None
    """Whether to ask the FIPS endpoint of the region; false if absent."""
    credentials_file: CredentialsFile | None = None
    """Another file to publish in."""
    allow_default: Flag | None = None
    """Whether the section may be `default`, for processes that name no profile; false if absent."""
    account_id: Flag | None = None
    """Whether to write aws_account_id; SDKs then use other host names for DynamoDB and Kinesis."""
    on_expired: Literal["keep", "remove"] | None = None
    """Whether to keep or remove a section whose credentials have expired; keep if absent."""
    enabled: Flag | None = None
    """false: as if the profile were not in the file."""
    on_renew: OnRenew | None = None
    """A command that is run after each renewal of the profile; none if absent."""


class Profile(Defaults):
    """One role to keep assumed, and where its credentials are published."""

    role_arn: RoleArn | None = None
    """The role to assume. Required, unless `source` follows a hub."""
    source_profile: Text | None = None
    """Assume the role with the credentials of this other profile (role chaining)."""
    section: Section | None = None
    """The section of the credentials file; the profile's name if absent."""
    external_id: ExternalId | None = None
    """The external ID that the role's trust policy asks for."""
    adopt: Flag | None = None
    """Whether to replace a section of this name that credfresh did not write; false if absent."""


class ConfigFile(Strict):
    """The configuration of credfresh."""

    model_config = ConfigDict(title="credfresh configuration")

    credentials_file: CredentialsFile
    """The shared credentials file that credfresh keeps fresh."""
    process_dir: Directory | None = None
    """Absolute path of a directory for the refreshable twins; no twins if absent."""
    instance: Label | None = None
    """The name that marks sections as this daemon's; a hash of this file's path if absent."""
    sources: dict[SourceName, Source] | None = Field(
        None,
        json_schema_extra={
            "additionalProperties": False,
            "propertyNames": {"not": {"const": "default"}},
        },
    )
    """The principals that may assume roles. The name `default` is the SDK's own chain."""
    sts: Sts | None = None
    """Limits and endpoint for the calls to AWS STS."""
    control: Control | None = None
    """The socket on which commands reach the running daemon."""
    metrics: Metrics | None = None
    """Where the daemon publishes figures; nowhere if absent."""
    endpoint: Endpoint | None = None
    """Credentials served on loopback, to clients that show a token; nobody listens if absent."""
    log: Log | None = None
    """What the log shows."""
    ready: Literal["settled", "fresh"] | None = None
    """When systemd is told that the service is up: settled if absent."""
    reload: Literal["signal", "auto"] | None = None
    """When this file is read again: at SIGHUP, or also when it changes; signal if absent."""
    on_renew: OnRenew | None = None
    """A command that is run once after each publish with renewed credentials."""
    vault: HubVault | None = None
    """A KV v2 engine where a hub publishes too, for hosts that follow; nowhere if absent."""
    defaults: Defaults | None = None
    """Values for all profiles that do not set their own."""
    profiles: dict[ProfileName, Profile]
    """The roles to keep assumed, by name."""
