"""Sending as the SDK does, without reading what can be no answer."""

from __future__ import annotations

from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3 import exceptions as urllib3

from credfresh.answers import Bounded


class BoundedSession(URLLib3Session):
    """The SDK's connections. Answers are read at once, up to a bound."""

    def send(self, request: AWSRequest | AWSPreparedRequest) -> AWSResponse:
        """Send it, and return the answer, read.

        Raises:
            AnswerTooLongError: there is no end of it.
            BotoCoreError: there is none, or it broke off.
        """
        url = str(request.url)
        request.stream_output = True  # else it would be read whole here:
        answer = super().send(request)
        answer.raw = Bounded(answer.raw)
        try:
            _ = answer.content  # keeps what it has read
        except urllib3.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except urllib3.HTTPError as error:
            raise ConnectionClosedError(endpoint_url=url, request=request, error=error) from error
        return answer
