"""Connections to one URL, made as the SDK makes its own: the same proxies, certificates, timeouts.

A session of the SDK looks for the proxy, the manager and the pool of connections before each
request, prepares requests for files and streams, and has connections that wait for permission to
send a body. AssumeRole goes to the same place always and needs none of it, which was a sixth of
what a renewal costs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

import urllib3
from botocore import exceptions as sdk
from botocore.httpsession import (
    ProxyConfiguration,
    create_urllib3_context,
    get_cert_path,
    mask_proxy_url,
)
from botocore.utils import get_environ_proxies
from urllib3 import exceptions

from credfresh.answers import Bounded
from credfresh.settings import StsLimits
from credfresh.values import dataclass

_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
"""As the SDK's, but an idle connection is asked for every minute, not after two hours.

Firewalls and address translators forget one that is silent, from four minutes on, and some drop in
silence what comes then: a renewal would wait for its timeout and fail.
"""

_FINAL = 200
"""The first HTTP status of answers that no other follows."""

_AS_THE_SDKS: Sequence[tuple[type[exceptions.HTTPError], type[sdk.BotoCoreError]]] = (
    (exceptions.SSLError, sdk.SSLError),
    (exceptions.NewConnectionError, sdk.EndpointConnectionError),
    (exceptions.ProxyError, sdk.ProxyConnectionError),
    (exceptions.ConnectTimeoutError, sdk.ConnectTimeoutError),
    (exceptions.ReadTimeoutError, sdk.ReadTimeoutError),
    (exceptions.ProtocolError, sdk.ConnectionClosedError),
    (exceptions.HTTPError, sdk.HTTPClientError),
)
"""What the SDK raises instead of urllib3's errors; the first that fits."""

_NO_PROXY = (
    "{variable} is not the URL of a proxy; its user and password must be ASCII, with special"
    " characters written as %XX"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. The names of `headers` may be asked for in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Connections:
    """The connections to `url`. Thread-safe.

    `trusted` names a bundle of certificates, None for the usual ones. Workers that were written off
    may hold a connection each.

    Raises:
        BotoCoreError: the environment names a proxy that cannot be one.
    """

    def __init__(self, url: str, limits: StsLimits, trusted: str | None) -> None:
        self._url = url
        verify: Any = trusted or os.environ.get("REQUESTS_CA_BUNDLE") or True
        how: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=limits.connect_timeout, read=limits.read_timeout),
            "maxsize": 2 * limits.max_concurrency,
            "ssl_context": create_urllib3_context(),
            "cert_reqs": "CERT_REQUIRED",
            "ca_certs": get_cert_path(verify),
            "socket_options": _SOCKET_OPTIONS,
        }
        at = urlsplit(url)
        self._target = (at.path or "/") + (f"?{at.query}" if at.query else "")
        self._proxy = ""
        known: Any = ProxyConfiguration(get_environ_proxies(url))  # the stubs always have a proxy
        proxy = known.proxy_url_for(url)
        if proxy is None:
            manager = urllib3.PoolManager(**how)
        else:
            try:
                self._proxy = mask_proxy_url(proxy)
                how["proxy_headers"] = known.proxy_headers_for(proxy)
                manager = urllib3.ProxyManager(proxy, **how)
            except ValueError:  # its text may quote the password
                said = _NO_PROXY.format(variable=f"{at.scheme.upper()}_PROXY")
                raise sdk.InvalidConfigError(error_msg=said) from None
            if at.scheme == "http":  # such a proxy sends the request on, and must be told where
                self._target = url
        self._pool = manager.connection_from_url(url)

    def post(self, headers: Mapping[str, bytes], body: bytes) -> Answer:
        """Send a request, and read the answer up to a bound.

        Raises:
            AnswerTooLongError: the answer is longer than the bound.
            BotoCoreError: no answer came, or it broke off.
        """
        try:
            begun: Any = self._pool.urlopen(
                "POST",
                self._target,
                body=body,
                headers=headers,  # type: ignore[arg-type] # bytes are sent as they are
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
            if begun.status < _FINAL:
                begun.close()  # the next request here would get the final answer to this one
            return Answer(begun.status, begun.headers, b"".join(Bounded(begun).stream()))
        except exceptions.HTTPError as error:
            kind = next(sdks for raised, sdks in _AS_THE_SDKS if isinstance(error, raised))
            raise kind(endpoint_url=self._url, proxy_url=self._proxy, error=error) from error
