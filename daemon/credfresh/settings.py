"""The configuration as the daemon uses it, independent of the file's format.

`config` parses YAML into these frozen values; nothing below it knows of YAML. Durations are
seconds, modes are permission bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from operator import attrgetter
from typing import Literal, NamedTuple

from credfresh.principals import DEFAULT_SOURCE, Principal, Source, VaultEngine, VaultSource
from credfresh.regular import Identity
from credfresh.values import dataclass


class FileTarget(NamedTuple):
    """A shared credentials file, and who may read it. `path` is absolute, not yet resolved."""

    path: str
    mode: int = 0o600
    owner: str | None = None
    group: str | None = None

    @property
    def rights(self) -> tuple[int, str | None, str | None]:
        """Its mode, owner and group."""
        return self.mode, self.owner, self.group


@dataclass(frozen=True, slots=True)
class Twin:
    """Where a profile's credentials are kept for processes that outlive them.

    `directory` is absolute, not yet resolved; `name` is the profile's name in it, safe in a path, a
    shell and an INI header.
    """

    directory: str
    name: str
    shared: FileTarget
    """Mode, owner and group of the files that all profiles share; its path is the directory."""

    @property
    def path(self) -> str:
        """The file that holds the credentials."""
        return f"{self.directory}/{self.name}.json"


class RenewBefore(NamedTuple):
    """How long before expiration to renew: a share of the granted lifetime, or seconds."""

    share: float | None = 0.5
    seconds: float | None = None

    def of(self, lifetime: float) -> float:
        """Return the seconds before expiration, for credentials that live `lifetime`."""
        return self.seconds if self.seconds is not None else (self.share or 0.0) * lifetime


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The moments at which one daemon renews its profiles, together; other daemons have others.

    They are `phase` seconds off the round ones, and at most `longest` seconds apart.
    """

    phase: float = 0.0
    longest: float = 512.0


@dataclass(frozen=True, slots=True)
class Hook:
    """A command that is run after a renewal: its path is absolute, `timeout` is in seconds."""

    command: tuple[str, ...]
    timeout: float = 30.0


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
    source_request: str | None = None
    """What else tells what comes from there: the request of the `source_profile`, whose session
    tags and source identity pass on, or which engine it is that is followed."""
    external_id: str | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    session_tags: tuple[tuple[str, str], ...] = ()
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    endpoint_url: str | None = None
    any_key_id: bool = False
    """Whether key ids need not look like AWS's: the file or the environment names another STS."""
    fips: bool = False
    publish_region: bool = True
    """Whether `region` is written beside the keys (true if the profile or defaults set it)."""
    adopt: bool = False
    account_id: bool = False
    on_expired: Literal["keep", "remove"] = "keep"
    twin: Twin | None = None
    on_renew: Hook | None = None
    rhythm: Rhythm = field(default=Rhythm(), compare=False)

    request: str = field(init=False, repr=False, compare=False)
    """The request's fingerprint: 16 hex digits of a hash over all that decides what STS issues.

    Credentials in hand are good only while it is unchanged: a warm restart or a reload renews at
    once if it differs.
    """

    def __post_init__(self) -> None:
        """Work the fingerprint out once: every renewal asks for it."""
        object.__setattr__(self, "request", _fingerprint(_ASKED(self)))

    @property
    def permissions(self) -> str:
        """A fingerprint of what the credentials may do: the same whoever asks, and for how long.

        It covers the role, and what restricts or describes its sessions.
        """
        return _fingerprint(_PERMITTED(self))

    @property
    def place(self) -> tuple[str, str]:
        """The file and the section in which readers look for it."""
        return self.target.path, self.section

    @property
    def published_account(self) -> str | None:
        """The account of its role, if that is published beside the keys; else None."""
        return self.role_arn.split(":")[4] if self.account_id else None


_ROLE = ("role_arn", "policy", "policy_arns")
_SESSION = ("session_tags", "transitive_tag_keys", "source_identity")
_SOURCE = ("source", "source_profile", "source_request")
_PERMITTED = attrgetter(*_ROLE, *_SESSION)
_ASKED = attrgetter(*_ROLE, *_SESSION, *_SOURCE, "role_session_name", "duration", "external_id")


def _fingerprint(asked: tuple[object, ...]) -> str:
    return hashlib.sha256(ascii(asked).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StsLimits:
    """Limits that the daemon keeps when it calls STS."""

    calls_per_second: float = 50.0
    max_concurrency: int = 16
    connect_timeout: float = 3.0
    read_timeout: float = 10.0


LogFormat = Literal["auto", "json", "console"]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the log shows."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: LogFormat = "auto"


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The control socket, and who may connect to it. `socket` is absolute, not yet resolved."""

    socket: str
    mode: int = 0o600
    group: str | None = None


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A port on loopback; `host` is an IP address."""

    host: str
    port: int

    @property
    def url_host(self) -> str:
        """The host as a URL spells it: IPv6 in brackets (RFC 3986, section 3.2.2)."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket. `path` is absolute."""

    path: str


Address = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where figures about the daemon are written or served; nowhere if no place is set."""

    textfile: str | None = None
    textfile_mode: int = 0o644
    listen: Address | None = None
    detail: bool = False
    """Whether ARNs, account ids, access key ids and error texts may be shown there."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token of the endpoint: whoever may read its file gets the credentials of `profiles`."""

    target: FileTarget
    profiles: frozenset[str]
    files: tuple[FileTarget, ...]
    """The credentials files of these profiles, each once."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where credentials are served on loopback, as to a container, and for which tokens."""

    listen: TcpAddress
    folder: FileTarget
    """The directory of the tokens; its mode lets the tokens' readers pass."""
    tokens: tuple[TokenFile, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell once about an accepted configuration: `event`, with its `fields`."""

    event: str
    fields: tuple[tuple[str, str | int | float], ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """A valid configuration. Disabled profiles are not in it."""

    path: str
    instance: str
    target: FileTarget
    profiles: Mapping[str, Profile]
    sources: Mapping[str, Source]
    sts: StsLimits = field(default_factory=StsLimits)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    endpoint: EndpointSettings | None = None
    log: LogSettings = field(default_factory=LogSettings)
    control: ControlSettings | None = None
    """None: there is no socket, because no path is known for it."""
    ready: Literal["settled", "fresh"] = "settled"
    reload: Literal["signal", "auto"] = "signal"
    vault: VaultEngine | None = None
    """Where a hub publishes, too."""
    on_renew: Hook | None = None
    """The command that is run once after each publish that brought renewed credentials."""
    identity: Identity | None = field(default=None, compare=False, repr=False)
    """The identity of the file that was read; None if there was no file."""
    notices: tuple[Notice, ...] = field(default=(), compare=False)
    """Notices follow from the rest and the order of the profiles, which matters to nothing else."""

    @property
    def principals(self) -> dict[str, Principal]:
        """The principals that ask STS, by the name of the source."""
        return {n: s for n, s in self.sources.items() if not isinstance(s, VaultSource)}

    @property
    def engines(self) -> dict[str, VaultEngine]:
        """The engines that are followed, by the name of the source."""
        return {n: s.engine for n, s in self.sources.items() if isinstance(s, VaultSource)}

    @property
    def targets(self) -> tuple[FileTarget, ...]:
        """Every credentials file that is kept, each once, the default one first."""
        others = {p.target.path: p.target for p in self.profiles.values()}  # one path, one target
        return tuple(({self.target.path: self.target} | others).values())

    @property
    def twin_directories(self) -> tuple[FileTarget, ...]:
        """Every directory of twins, with the rights of the files that all profiles share there."""
        return tuple(dict.fromkeys(p.twin.shared for p in self.profiles.values() if p.twin))
