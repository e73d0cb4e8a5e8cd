"""AssumeRole by the SDK's own parts: its serializer, its signer, its connections, its parser.

What a client of the SDK does around them in each call (a dozen hooks, the rules of endpoints,
retries) concerns all services alike and is a third of what the call costs. Here it is settled once:
an endpoint's client says where requests go and for which region they are signed, and is done.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.credentials import ReadOnlyCredentials
from botocore.endpoint import EndpointCreator, convert_to_response_dict
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from botocore.parsers import ResponseParserFactory
from botocore.serialize import create_serializer

from credfresh.settings import StsLimits
from credfresh.sts.keys import SourceKeys

if TYPE_CHECKING:  # the stubs are not there at run time
    from types_boto3_sts import STSClient

_OPERATION = "AssumeRole"

_REFUSED = 300
"""The first HTTP status that is no answer to what was asked."""

_ANY = {"RoleArn": "arn:aws:iam::123456789012:role/any", "RoleSessionName": "any"}


class AssumeRole:
    """The one operation, at the endpoint of a client, for whoever's keys. Thread-safe.

    `http` sends the requests; `user_agent` is what they say of us.
    """

    def __init__(
        self,
        client: STSClient,
        http: URLLib3Session,
        parsers: ResponseParserFactory,
        user_agent: str,
    ) -> None:
        service = client.meta.service_model
        self.url = client.meta.endpoint_url
        self.signed_for = signing_scope(client)
        self._http = http
        self._user_agent = user_agent
        self._operation = service.operation_model(_OPERATION)
        self._serializer = create_serializer(service.protocol)
        self._parser: Any = parsers.create_parser(service.protocol)

    def __call__(self, arguments: Mapping[str, Any], keys: SourceKeys) -> dict[str, Any]:
        """Ask with these arguments, signed with `keys`, and return the answer.

        Raises:
            ClientError: it was refused.
            BotoCoreError: the arguments are wrong, nothing came, or what came is no answer.
        """
        asked = self._serializer.serialize_to_request(arguments, self._operation)
        asked["body"] = urlencode(asked["body"])  # once: it is signed, and it is sent
        prepare_request_dict(asked, self.url, user_agent=self._user_agent)
        request = create_request_object(asked)
        signs = ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
        SigV4Auth(signs, *self.signed_for).add_auth(request)
        answer = convert_to_response_dict(self._http.send(request.prepare()), self._operation)
        read = self._parser.parse(answer, self._operation.output_shape)
        if answer["status_code"] >= _REFUSED:
            raise ClientError(read, _OPERATION)
        return dict(read)


def signing_scope(client: STSClient) -> tuple[str, str]:
    """Return the name of the service and the region that the client signs for.

    Not always its own region: the global endpoint wants another. A signed URL tells both.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

    Raises:
        BotoCoreError: the SDK knows no endpoint for these settings.
    """
    url = client.generate_presigned_url("assume_role", Params=_ANY)
    _key, _date, region, service, _ = parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split(
        "/"
    )
    return service, region


def connections(client: STSClient, limits: StsLimits, trusted: Any) -> URLLib3Session:
    """Return what sends requests as the client would, proxies of the environment included.

    `trusted` names a bundle of certificates, None for the usual ones. Workers that were written off
    may hold a connection each.
    """
    endpoint = EndpointCreator(client.meta.events).create_endpoint(
        client.meta.service_model,
        client.meta.region_name,
        client.meta.endpoint_url,
        verify=trusted,
        timeout=(limits.connect_timeout, limits.read_timeout),  # type: ignore[arg-type] # the stubs know one for both
        max_pool_connections=2 * limits.max_concurrency,
        socket_options=[
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        ],
    )
    http: URLLib3Session = endpoint.http_session
    return http
