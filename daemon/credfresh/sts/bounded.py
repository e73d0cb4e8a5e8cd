"""Sends requests as the SDK does, but reads no answer beyond a bound."""

from __future__ import annotations

import os
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
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
        request.stream_output = True  # else the call below reads all of the answer
        answer = super().send(request)
        return read(answer, request)


def read(answer: AWSResponse, request: AWSRequest | AWSPreparedRequest) -> AWSResponse:
    """Read the answer that has begun, and return it; it keeps what was read.

    Raises:
        AnswerTooLongError: the answer is longer than the bound.
        BotoCoreError: it broke off.
    """
    url = str(request.url)
    answer.raw.enforce_content_length = True  # botocore 1.44 takes what broke off for the whole
    answer.raw = Bounded(answer.raw)
    try:
        _ = answer.content
    except urllib3.ReadTimeoutError as error:
        raise ReadTimeoutError(endpoint_url=url, error=error) from error
    except urllib3.HTTPError as error:
        raise ConnectionClosedError(endpoint_url=url, request=request, error=error) from error
    return answer


def bound(session: Session, config: Config) -> None:
    """Let all clients of the session send so, where they would: STS for a role further up, SSO."""
    limits: Any = config  # the stubs leave them out
    how: dict[str, Any] = {
        "verify": session.get_config_variable("ca_bundle")
        or os.environ.get("REQUESTS_CA_BUNDLE")
        or True,
        "timeout": (limits.connect_timeout, limits.read_timeout),
    }

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        proxies = get_environ_proxies(str(request.url))
        return BoundedSession(proxies=proxies, **how).send(request)

    # What a handler of this event answers is not asked for any more.
    register: Any = session.register  # the stubs know of no answer
    register("before-send", send)
