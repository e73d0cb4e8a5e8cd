"""The SDK's providers for the endpoint of a container and the metadata of an instance, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.credentials import ContainerProvider, InstanceMetadataProvider
from botocore.session import Session
from botocore.utils import (
    ContainerMetadataFetcher,
    InstanceMetadataFetcher,
    get_environ_proxies,
    resolve_imds_endpoint_mode,
)

from credfresh.regular import must_be_regular
from credfresh.sts.bounded import BoundedSession

_ENDPOINT = "ec2_metadata_service_endpoint"
_MODE = "ec2_metadata_service_endpoint_mode"
_ONLY_V2 = "ec2_metadata_v1_disabled"


def container(environ: Mapping[str, str]) -> ContainerProvider:
    """Return the provider that asks the endpoint that a container's environment names."""
    session = BoundedSession(timeout=ContainerMetadataFetcher.TIMEOUT_SECONDS)
    fetcher: Any = ContainerMetadataFetcher(session)  # the stubs take it for another
    return _Container(dict(environ), fetcher)


def instance(environ: Mapping[str, str]) -> InstanceMetadataProvider:
    """Return the provider that asks the instance metadata, by IMDSv2 alone."""
    return InstanceMetadataProvider(
        _Instance(
            timeout=int(environ.get("AWS_METADATA_SERVICE_TIMEOUT", "1")),
            env=dict(environ),
            config={
                _ENDPOINT: environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
                _MODE: environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv4").lower(),
                _ONLY_V2: True,
            },
        )
    )


def instance_of(session: Session) -> InstanceMetadataProvider:
    """Return the provider that asks the instance metadata as the session's settings say."""
    setting = session.get_config_variable
    return InstanceMetadataProvider(
        _Instance(
            timeout=setting("metadata_service_timeout"),
            num_attempts=setting("metadata_service_num_attempts"),
            user_agent=session.user_agent(),
            config={
                _ENDPOINT: setting(_ENDPOINT),
                _MODE: resolve_imds_endpoint_mode(session),
                _ONLY_V2: setting(_ONLY_V2),
            },
        )
    )


class _Instance(InstanceMetadataFetcher):
    """Reads no more of an answer than one can hold."""

    def __init__(self, *, timeout: int, config: dict[str, Any], **settings: Any) -> None:
        window = {"ec2_credential_refresh_window": 15 * 60}  # as in the SDK's chain
        super().__init__(timeout=timeout, config={**config, **window}, **settings)
        proxies = get_environ_proxies(self.get_base_url())
        self._session = BoundedSession(timeout=timeout, proxies=proxies)  # no argument is it


class _Container(ContainerProvider):
    """Refuses a token file that is a FIFO, instead of waiting for its writer."""

    def __init__(self, environ: dict[str, str], fetcher: Any) -> None:
        super().__init__(environ, fetcher)
        self._token_file = environ.get(self.ENV_VAR_AUTH_TOKEN_FILE)

    def _build_headers(self) -> Any:
        if self._token_file is not None:
            must_be_regular(self._token_file)
        return super()._build_headers()  # type: ignore[misc] # the stubs leave it out
