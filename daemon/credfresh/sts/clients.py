"""The SDK's session and clients: one session for all, one client for each endpoint.

The session reads no file and no profile: AWS_PROFILE and ~/.aws matter to the sources that name
them, not to how STS is reached. The variables that say how to reach an endpoint are honoured as in
every SDK: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, proxies.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp

from credfresh import __version__
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.settings import Profile, StsLimits
from credfresh.sts.bounded import bound
from credfresh.sts.direct import AssumeRole
from credfresh.sts.scrub import scrubbed
from credfresh.values import dataclass

if TYPE_CHECKING:  # the stubs are not there at run time
    from types_boto3_sts import STSClient

_NO_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "sts_regional_endpoints": (None, None, "regional", None),
    "defaults_mode": (None, None, "legacy", None),  # `auto` would ask the instance metadata
}

_NOBODY = "-"
"""Keys for the clients, which sign nothing that is sent with them."""

_Made = TypeVar("_Made")

USER_AGENT = (
    f"credfresh/{__version__} Boto3/{boto3.__version__} Botocore/{botocore.__version__}"
    f" Python/{platform.python_version()}"
)
"""What CloudTrail shows beside each AssumeRole. Spelt out here because botocore puts its own
together twice a request, a tenth of what the request costs."""


@dataclass(frozen=True, slots=True)
class StsEndpoint:
    """Where a request goes. `url` is None for the region's own."""

    region: str
    url: str | None = None
    fips: bool = False

    @classmethod
    def of(cls, profile: Profile) -> StsEndpoint:
        """Return the endpoint that a profile asks."""
        return cls(profile.region, profile.endpoint_url, profile.fips)


def client_config(limits: StsLimits) -> Config:
    """Return what all clients have in common: a single attempt, and timeouts.

    The scheduler is the one owner of retries; botocore's default number of attempts differs
    between versions, so it is set. Workers that were written off may hold a connection each.
    """
    return Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=limits.connect_timeout,
        read_timeout=limits.read_timeout,
        max_pool_connections=2 * limits.max_concurrency,
        user_agent=USER_AGENT,
        tcp_keepalive=True,
    )


def timestamp(text: str) -> datetime:
    """Read a time: fast if it is spelt as STS does, else by botocore, ten times slower.

    A time without a zone is UTC: a server cannot mean this host's zone.

    Raises:
        ValueError: it is no time.
    """
    try:
        read = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        read = None
    if read is None or read.tzinfo is None:
        parsed: datetime = parse_timestamp(text)
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return read


class Clients:
    """The clients that are in use, each made when first needed. Thread-safe."""

    def __init__(self, limits: StsLimits) -> None:
        self._limits = limits
        self._config = client_config(limits)
        core = botocore.session.Session(session_vars=_NO_FILES)
        self._parsers = core.get_component("response_parser_factory")
        self._parsers.set_parser_defaults(timestamp_parser=timestamp)
        self._trusted = core.get_config_variable("ca_bundle")
        self._session = boto3.Session(botocore_session=core)
        self._made: dict[StsEndpoint, AssumeRole] = {}
        self._unsigned: dict[StsEndpoint, STSClient] = {}
        self._lock = threading.Lock()  # making clients from one session is not thread-safe

    def at(self, endpoint: StsEndpoint) -> AssumeRole:
        """Return the function that calls AssumeRole at an endpoint.

        Raises:
            RenewalError: the SDK makes no client with these settings.
        """
        return self._once(self._made, endpoint, self._direct)

    def unsigned(self, endpoint: StsEndpoint) -> STSClient:
        """Return the client of an endpoint for calls that need no signature.

        Raises:
            RenewalError: the SDK makes no client with these settings.
        """
        return self._once(self._unsigned, endpoint, self._anonymous)

    def _once(
        self,
        made: dict[StsEndpoint, _Made],
        endpoint: StsEndpoint,
        make: Callable[[StsEndpoint], _Made],
    ) -> _Made:
        found = made.get(endpoint)
        if found is not None:
            return found
        with self._lock:
            if endpoint in made:
                return made[endpoint]
            try:
                found = made[endpoint] = make(endpoint)
            except (ValueError, BotoCoreError) as error:
                code, said = type(error).__name__, scrubbed(str(error))
            else:
                return found
        raise RenewalError(
            f"the SDK makes no client for STS: {said}",
            code=code,
            mend=Mend.HUMAN,
            scope=Scope.ENDPOINT,
            hint="look at region, endpoint_url, fips, and AWS_* and *_PROXY in the environment",
        )

    def _direct(self, endpoint: StsEndpoint) -> AssumeRole:
        return AssumeRole(
            self._client(endpoint),
            self._limits,
            parsers=self._parsers,
            trusted=self._trusted,
            user_agent=USER_AGENT,
        )

    def _anonymous(self, endpoint: StsEndpoint) -> STSClient:
        client = self._client(endpoint, signature_version=UNSIGNED)
        bound(client.meta.events, self._trusted, self._config)
        return client

    def _client(self, endpoint: StsEndpoint, **options: Any) -> STSClient:
        if endpoint.fips:
            options["use_fips_endpoint"] = True
        return self._session.client(
            "sts",
            region_name=endpoint.region,
            endpoint_url=endpoint.url,
            aws_access_key_id=_NOBODY,  # else the session would look for keys
            aws_secret_access_key=_NOBODY,
            config=self._config.merge(Config(**options)),
        )
