"""The SDK's providers for the endpoint of a container and the metadata of an instance, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.credentials import ContainerProvider, InstanceMetadataProvider
from botocore.utils import ContainerMetadataFetcher, InstanceMetadataFetcher, get_environ_proxies

from credfresh.regular import must_be_regular
from credfresh.sts.bounded import BoundedSession


def container(environ: Mapping[str, str]) -> ContainerProvider:
    """Return the provider that asks the endpoint that a container's environment names."""
    session = BoundedSession(timeout=ContainerMetadataFetcher.TIMEOUT_SECONDS)
    fetcher: Any = ContainerMetadataFetcher(session)  # the stubs take it for another
    return _Container(dict(environ), fetcher)


def instance(environ: Mapping[str, str]) -> InstanceMetadataProvider:
    """Return the provider that asks the instance metadata, by IMDSv2 alone."""
    timeout = int(environ.get("AWS_METADATA_SERVICE_TIMEOUT", "1"))
    mode = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv4").lower()
    fetcher: Any = InstanceMetadataFetcher(
        timeout=timeout,
        num_attempts=1,
        env=dict(environ),
        config={
            "ec2_metadata_service_endpoint": environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
            "ec2_metadata_service_endpoint_mode": mode,
            "ec2_metadata_v1_disabled": True,
        },
    )
    return bounded(InstanceMetadataProvider(fetcher))


def bounded(provider: Any) -> InstanceMetadataProvider:
    """Return the provider, which reads no more of an answer than one can hold from now on."""
    fetcher = provider._role_fetcher  # noqa: SLF001 - no argument is it
    proxies = get_environ_proxies(fetcher.get_base_url())
    fetcher._session = BoundedSession(timeout=fetcher._timeout, proxies=proxies)  # noqa: SLF001 - the same
    made: InstanceMetadataProvider = provider
    return made


class _Container(ContainerProvider):
    """Refuses a token file that is a FIFO, instead of waiting for its writer."""

    def __init__(self, environ: dict[str, str], fetcher: Any) -> None:
        super().__init__(environ, fetcher)
        self._token_file = environ.get(self.ENV_VAR_AUTH_TOKEN_FILE)

    def _build_headers(self) -> Any:
        if self._token_file is not None:
            must_be_regular(self._token_file)
        return super()._build_headers()  # type: ignore[misc] # the stubs leave it out
