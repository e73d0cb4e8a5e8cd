"""awscrt: the common runtime's default chain gives the keys, and signs a plain request to STS."""

import os
import urllib.request

from awscrt import auth, http, io
from turns import take

BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
made = []


def call() -> None:
    if not made:
        bootstrap = io.ClientBootstrap.get_or_create_static_default()
        made.append(auth.AwsCredentialsProvider.new_default_chain(bootstrap))
    url = os.environ["AWS_ENDPOINT_URL_STS"]
    headers = http.HttpHeaders(
        [
            ("Host", url.removeprefix("http://")),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", str(len(BODY))),
        ]
    )
    request = http.HttpRequest("POST", "/", headers, io.InputStream(_Body()))
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=made[0],
        region="us-east-1",
        service="sts",
    )
    signed = auth.aws_sign_request(request, config).result(20)
    plain = urllib.request.Request(url, data=BODY, headers=dict(signed.headers), method="POST")
    with urllib.request.urlopen(plain, timeout=10) as answer:
        answer.read()


class _Body:
    """A stream as awscrt needs it."""

    def __init__(self) -> None:
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        start, self._at = self._at, len(BODY) if size < 0 else min(len(BODY), self._at + size)
        return BODY[start : self._at]

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = {0: 0, 1: self._at, 2: len(BODY)}[whence] + offset
        return self._at


take(call)
