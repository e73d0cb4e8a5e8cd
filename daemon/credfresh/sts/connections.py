"""Connections to one URL, made as the SDK makes its own: the same proxies, certificates, timeouts.

The SDK's session looks for the proxy, the manager and the pool of connections before each request,
and has connections that wait for permission to send a body. That is a sixth of what a renewal
costs; AssumeRole goes to the same place always, and needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import urllib3
from botocore import exceptions as sdk
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import (
    ProxyConfiguration,
    create_urllib3_context,
    get_cert_path,
    mask_proxy_url,
)
from urllib3 import exceptions

from credfresh.sts.bounded import read

_AS_THE_SDKS: Sequence[tuple[type[exceptions.HTTPError], type[sdk.BotoCoreError]]] = (
    (exceptions.SSLError, sdk.SSLError),
    (exceptions.NewConnectionError, sdk.EndpointConnectionError),
    (exceptions.ProxyError, sdk.ProxyConnectionError),
    (exceptions.ConnectTimeoutError, sdk.ConnectTimeoutError),
    (exceptions.ReadTimeoutError, sdk.ReadTimeoutError),
    (exceptions.ProtocolError, sdk.ConnectionClosedError),
    (exceptions.HTTPError, sdk.HTTPClientError),
)
"""What the SDK's session raises instead of urllib3's errors; the first that fits."""


class Connections:
    """The connections to `url`: a session for the SDK's endpoint. Thread-safe.

    The arguments are those of the SDK's own session. `timeout` is two: to connect and to read, in
    seconds; no more than `max_pool_connections` are kept.
    """

    def __init__(
        self,
        url: str,
        *,
        verify: Any,
        proxies: Mapping[str, str],
        timeout: tuple[float, float],
        max_pool_connections: int,
        socket_options: Sequence[tuple[int, int, int]],
        **_: object,
    ) -> None:
        self._url = url
        connect, answer = timeout
        how: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=connect, read=answer),
            "maxsize": max_pool_connections,
            "ssl_context": create_urllib3_context(),
            "cert_reqs": "CERT_REQUIRED",
            "ca_certs": get_cert_path(verify),
            "socket_options": list(socket_options),
        }
        at = urlsplit(url)
        self._target = (at.path or "/") + (f"?{at.query}" if at.query else "")
        self._proxy = ""
        known: Any = ProxyConfiguration(proxies=proxies)  # the stubs always have a proxy
        proxy = known.proxy_url_for(url)
        if proxy is None:
            manager = urllib3.PoolManager(**how)
        else:
            self._proxy = mask_proxy_url(proxy)
            how["proxy_headers"] = known.proxy_headers_for(proxy)
            manager = urllib3.ProxyManager(proxy, **how)
            if at.scheme == "http":  # such a proxy sends the request on, and must be told where
                self._target = url
        self._pool = manager.connection_from_url(url)

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request to the URL, read the answer up to a bound and return it.

        Raises:
            AnswerTooLongError: the answer is longer than the bound.
            BotoCoreError: no answer came, or it broke off.
        """
        body: Any = request.body  # bytes, whatever the stubs allow
        try:
            begun: Any = self._pool.urlopen(
                str(request.method),
                self._target,
                body=body,
                headers=dict(request.headers),
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        except exceptions.HTTPError as error:
            kind = next(sdks for raised, sdks in _AS_THE_SDKS if isinstance(error, raised))
            raise kind(
                endpoint_url=self._url, proxy_url=self._proxy, request=request, error=error
            ) from error
        return read(AWSResponse(self._url, begun.status, begun.headers, begun), request)
