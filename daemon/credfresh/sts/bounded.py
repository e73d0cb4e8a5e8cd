"""Sends requests as the SDK does, but reads no answer beyond a bound."""

from __future__ import annotations

import os
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from urllib3 import exceptions as urllib3

from credfresh.answers import Bounded


class BoundedSession(URLLib3Session):
    """The SDK's connections, but answers are read in `send`, up to a bound."""

    def send(self, request: AWSRequest | AWSPreparedRequest) -> AWSResponse:
        """Send a request, read the answer and return it.

        Raises:
            AnswerTooLongError: the answer is longer than the bound.
            BotoCoreError: no answer came, or it broke off.
        """
        url = str(request.url)
        request.stream_output = True  # else the call below reads all of the answer
        answer = super().send(request)
        answer.raw.enforce_content_length = True  # botocore 1.44 takes what broke off for the whole
        answer.raw = Bounded(answer.raw)
        try:
            _ = answer.content  # reads, and keeps what it has read
        except urllib3.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except urllib3.HTTPError as error:
            raise ConnectionClosedError(endpoint_url=url, request=request, error=error) from error
        return answer


def bound(events: Any, trusted: str | None, config: Config) -> None:
    """Let clients send so what these events are of: a client's, or those of a session's clients.

    `trusted` names a bundle of certificates, None for the usual ones.
    """
    limits: Any = config  # the stubs leave them out
    how: dict[str, Any] = {
        "verify": trusted or os.environ.get("REQUESTS_CA_BUNDLE") or True,
        "timeout": (limits.connect_timeout, limits.read_timeout),
    }

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        proxies = get_environ_proxies(str(request.url))
        return BoundedSession(proxies=proxies, **how).send(request)

    # What a handler of this event answers is not asked for any more.
    events.register("before-send", send)
