"""boto3 clients for STS: one session for all, one client for each endpoint, whoever signs.

The session reads no file and no profile: AWS_PROFILE and ~/.aws concern the sources that name
them, not how STS is reached. Of the environment, what concerns reaching an endpoint is honoured
as in every SDK: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, proxies.
"""

from __future__ import annotations

import os
import platform
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp

from credfresh import __version__
from credfresh.errors import Mend, RenewalError
from credfresh.settings import Profile, StsLimits
from credfresh.sts.keys import LentKeys, SourceKeys
from credfresh.sts.scrub import scrubbed

if TYPE_CHECKING:  # the stubs are not there at run time
    from types_boto3_sts import STSClient

_NO_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "sts_regional_endpoints": (None, None, "regional", None),
    "defaults_mode": (None, None, "legacy", None),  # `auto` would ask the instance metadata
}

USER_AGENT = (
    f"credfresh/{__version__} Boto3/{boto3.__version__} Botocore/{botocore.__version__}"
    f" Python/{platform.python_version()}"
)
"""What CloudTrail shows beside each AssumeRole. Spelt out here because botocore puts its own
together twice a request, a tenth of what the request costs."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a request goes. `url` is None for the region's own."""

    region: str
    url: str | None = None
    fips: bool = False

    @classmethod
    def of(cls, profile: Profile, limits: StsLimits) -> Endpoint:
        """Return the endpoint of a profile: its own before everybody's before the SDK's."""
        return cls(profile.region, profile.endpoint_url or limits.endpoint_url, profile.fips)


def client_config(limits: StsLimits) -> Config:
    """Return what all clients have in common: a single attempt, and patience that ends.

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
    """Read a time: as STS writes it at once, any other spelling as botocore does, ten times slower.

    Raises:
        ValueError: it is no time.
    """
    try:
        read = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        read = None
    if read is None or read.tzinfo is None:
        parsed: datetime = parse_timestamp(text)
        return parsed
    return read


class Clients:
    """The clients in use, made when first needed. Thread-safe."""

    def __init__(self, limits: StsLimits) -> None:
        self._config = client_config(limits)
        self._keys = LentKeys()
        core = botocore.session.Session(session_vars=_NO_FILES)
        core.register_component("credential_provider", self._keys)
        parsers = core.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=timestamp)
        self._session = boto3.Session(botocore_session=core)
        self._made: dict[tuple[Endpoint, bool], STSClient] = {}
        self._lock = threading.Lock()  # making clients from one session is not thread-safe

    def __len__(self) -> int:
        return len(self._made)

    def sign_with(self, keys: SourceKeys) -> AbstractContextManager[None]:
        """Sign with `keys` what this thread asks of any client within the block."""
        return self._keys.lend(keys)

    def at(self, endpoint: Endpoint, *, signed: bool = True) -> STSClient:
        """Return the client of an endpoint; unsigned for calls that carry their own proof.

        Raises:
            RenewalError: the SDK makes none with these settings.
        """
        made = self._made.get((endpoint, signed))
        if made is not None:
            return made
        with self._lock:
            made = self._made.get((endpoint, signed))
            if made is None:
                made = self._made[endpoint, signed] = self._make(endpoint, signed=signed)
            return made

    def _make(self, endpoint: Endpoint, *, signed: bool) -> STSClient:
        config = self._config
        if endpoint.fips:
            config = config.merge(Config(use_fips_endpoint=True))
        if not signed:
            config = config.merge(Config(signature_version=UNSIGNED))
        try:
            return self._session.client(
                "sts", region_name=endpoint.region, endpoint_url=endpoint.url, config=config
            )
        except (ValueError, BotoCoreError) as error:
            code, said = type(error).__name__, scrubbed(str(error))
        raise RenewalError(
            f"the SDK makes no client for STS: {said}",
            code=code,
            mend=Mend.HUMAN,
            hint="look at region, endpoint_url and fips, and at AWS_* in the environment",
        )
