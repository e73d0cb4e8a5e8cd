"""Calls AssumeRole by the SDK's own parts: its serializer, signer, connections and parser.

What else a client of the SDK does in each call (a dozen hooks, the rules of endpoints, retries) is
for all services alike and a third of what the call costs. Here it is done once for each endpoint:
its client says where requests go and for which region they are signed, and is not needed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError, ResponseParserFactory
from botocore.serialize import create_serializer

from credfresh.settings import StsLimits
from credfresh.sts.connections import Answer, Connections
from credfresh.sts.keys import SourceKeys

if TYPE_CHECKING:  # the stubs are not there at run time
    from types_boto3_sts import STSClient

_OPERATION = "AssumeRole"

_REFUSED = 300
"""The first HTTP status of refusals."""

_ANY = {"RoleArn": "arn:aws:iam::123456789012:role/any", "RoleSessionName": "any"}


class AssumeRole:
    """AssumeRole at one endpoint, signed with any keys. Thread-safe.

    `trusted` names a bundle of certificates, None for the usual ones; `user_agent` is sent with
    each request.
    """

    def __init__(
        self,
        client: STSClient,
        limits: StsLimits,
        *,
        parsers: ResponseParserFactory,
        trusted: Any,
        user_agent: str,
    ) -> None:
        service = client.meta.service_model
        self.url, self.signed_for = destination(client)
        self._connections = Connections(self.url, limits, trusted)
        self._user_agent = user_agent
        self._operation = service.operation_model(_OPERATION)
        self._serializer = create_serializer(service.protocol)
        self._parser: Any = parsers.create_parser(service.protocol)

    def __call__(self, arguments: Mapping[str, Any], keys: SourceKeys) -> dict[str, Any]:
        """Ask with these arguments, signed with `keys`, and return the answer.

        Raises:
            ClientError: STS refused the request.
            BotoCoreError: the arguments are wrong, no answer came, or it is none of STS.
            AnswerTooLongError: the answer is longer than the bound.
        """
        asked = self._serializer.serialize_to_request(arguments, self._operation)
        body = urlencode(asked["body"]).encode()
        headers = {**asked["headers"], "User-Agent": self._user_agent}
        request = AWSRequest("POST", self.url, headers, body)
        signs = ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
        _Signer(signs, *self.signed_for).add_auth(request)
        signed = {name: value.encode() for name, value in request.headers.items()}
        return self._read(self._connections.post(signed, body))

    def _read(self, answer: Answer) -> dict[str, Any]:
        refused = answer.status >= _REFUSED
        given = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
        try:
            read = self._parser.parse(given, self._operation.output_shape)
        except ResponseParserError:
            if not refused:
                raise
            read = _unread(answer)
        if refused:
            raise ClientError(read, _OPERATION)
        return dict(read)


class _Signer(SigV4Auth):
    """The SDK's signer for one request, whose body is bytes. It works out nothing twice."""

    _headers: Any = None

    def headers_to_sign(self, request: AWSRequest) -> Any:
        """Return the headers that are signed; asked for the canonical form, and for their names."""
        if self._headers is None:
            self._headers = super().headers_to_sign(request)
        return self._headers

    def payload(self, request: AWSRequest) -> str:
        """Return the digest of the body; the SDK's prepares all of the request for it."""
        body: Any = request.data
        return sha256(body).hexdigest()


def _unread(answer: Answer) -> dict[str, Any]:
    """Return what can be read of a refusal without its body: its status and its headers."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {"ResponseMetadata": {"HTTPStatusCode": answer.status, "HTTPHeaders": headers}}


def destination(client: STSClient) -> tuple[str, tuple[str, str]]:
    """Return the URL that the client asks, and the service and the region that it signs for.

    All three are taken from a presigned URL. The client's own `meta` is not always right: the
    global endpoint signs for another region, and some hosts only the rules of endpoints know.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

    Raises:
        BotoCoreError: the SDK knows no endpoint for these settings.
    """
    signed = urlsplit(client.generate_presigned_url("assume_role", Params=_ANY))
    _key, _date, region, service, _ = parse_qs(signed.query)["X-Amz-Credential"][0].split("/")
    said = urlsplit(client.meta.endpoint_url)
    url = urlunsplit((signed.scheme, signed.netloc, said.path or "/", said.query, ""))
    return url, (service, region)
