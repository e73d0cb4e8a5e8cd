"""The types of the file's values: the function that accepts each, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from credfresh.config import addresses, arn, places, policy_document, session, urls, words
from credfresh.settings import Address, RenewBefore, TcpAddress


class Accepts:
    """The function that accepts a value, and the JSON Schema of what it accepts.

    pydantic's PlainValidator and WithJsonSchema say the same, but prepare to write values out, too:
    that is a third of what it takes to make all models.
    """

    def __init__(self, function: Callable[[object], object], **schema: object) -> None:
        self._function = function
        self._schema = schema

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Tell pydantic how to validate."""
        return core_schema.no_info_plain_validator_function(self._function)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell pydantic the JSON Schema."""
        return dict(self._schema)


_WORD = r"^[A-Za-z0-9_+=,.@-]+$"
_DURATION: dict[str, Any] = {
    "type": "string",
    "pattern": "^[0-9]+(s|m|h)$",
    "examples": ["1h", "90m"],
}
_LABEL: dict[str, Any] = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
_ARN = "^arn:(" + "|".join(arn.PARTITIONS) + "):iam::"

Text = Annotated[str, Accepts(words.text, type="string", minLength=1)]
Flag = Annotated[bool, Accepts(words.flag, type="boolean")]
Present = Annotated[bool, Accepts(words.present, const=True)]
FilePath = Annotated[str, Accepts(places.path, type="string", pattern="^/")]
Directory = Annotated[
    str, Accepts(places.directory, type="string", pattern="^(/[A-Za-z0-9._-]+)+/*$")
]
Textfile = Annotated[str, Accepts(addresses.textfile, type="string", pattern="^/.*\\.prom$")]
Listen = Annotated[
    Address,
    Accepts(
        addresses.listen,
        type="string",
        pattern="^(127\\.[0-9.]+|\\[::1\\]|localhost):[0-9]{1,5}$|^unix:/",
        examples=["127.0.0.1:9464", "unix:/run/credfresh/metrics.sock"],
    ),
]
Account = Annotated[str, Accepts(places.account, type=["string", "integer"])]
Mode = Annotated[
    int,
    Accepts(
        places.mode,
        anyOf=[
            {"type": "string", "pattern": "^(0o?)?[0-7]{3}$"},
            {"type": "integer", "minimum": 400, "maximum": 664},
        ],
        examples=["0600", "0640"],
    ),
]
SocketPath = Annotated[
    str,
    Accepts(places.socket_path, type="string", pattern="^/", maxLength=places.MOST_SOCKET_PATH),
]
SocketMode = Annotated[
    int,
    Accepts(
        places.socket_mode,
        anyOf=[
            {"type": "string", "pattern": "^(0o?)?(600|660|666)$"},
            {"enum": [600, 660, 666]},
        ],
        examples=["0660"],
    ),
]
Duration = Annotated[int, Accepts(words.duration, **_DURATION)]
ConnectTimeout = Annotated[int, Accepts(words.connect_timeout, **_DURATION)]
ReadTimeout = Annotated[int, Accepts(words.read_timeout, **_DURATION)]
HookTimeout = Annotated[int, Accepts(words.hook_timeout, **_DURATION)]
BeforeExpiry = Annotated[
    RenewBefore,
    Accepts(
        words.renew_before,
        type="string",
        pattern="^([0-9]{1,2}%|[0-9]+(s|m|h))$",
        examples=["50%", "20m"],
    ),
]
Rate = Annotated[float, Accepts(words.calls_per_second, type="number", minimum=0.1, maximum=600)]
Threads = Annotated[int, Accepts(words.max_concurrency, type="integer", minimum=1, maximum=64)]
Label = Annotated[str, Accepts(words.label, **_LABEL)]
FileName = Annotated[str, Accepts(words.file_name, **_LABEL)]
SourceName = Annotated[str, Accepts(words.source_name, **_LABEL)]
ListenTcp = Annotated[
    TcpAddress,
    Accepts(
        addresses.listen_tcp,
        type="string",
        pattern="^(127\\.[0-9.]+|\\[::1\\]|localhost):[0-9]{1,5}$",
        examples=["127.0.0.1:9465"],
    ),
]
ProfileNames = Annotated[
    tuple[str, ...],
    Accepts(
        words.profile_names, type="array", minItems=1, uniqueItems=True, items={"type": "string"}
    ),
]
ProfileName = Annotated[str, Accepts(words.profile_name, type="string", minLength=1, maxLength=128)]
Section = Annotated[str, Accepts(words.section, type="string", minLength=1, maxLength=128)]
Region = Annotated[str, Accepts(words.region, type="string", pattern="^[a-z0-9-]{1,63}$")]
Url = Annotated[str, Accepts(urls.endpoint_url, type="string", pattern="^https?://")]
EngineUrl = Annotated[str, Accepts(urls.url, type="string", pattern="^https?://")]
Segments = Annotated[
    str, Accepts(words.segments, type="string", pattern="^[A-Za-z0-9_-][A-Za-z0-9._/-]*$")
]
RoleArn = Annotated[str, Accepts(arn.role_arn, type="string", pattern=_ARN + "[0-9]{12}:role/")]
PolicyArns = Annotated[
    tuple[str, ...],
    Accepts(
        session.policy_arns,
        type="array",
        maxItems=session.MOST_POLICY_ARNS,
        items={"type": "string", "pattern": _ARN + "([0-9]{12}|aws):policy/"},
    ),
]
SessionName = Annotated[
    str,
    Accepts(session.role_session_name, type="string", minLength=2, maxLength=64, pattern=_WORD),
]
SourceIdentity = Annotated[
    str,
    Accepts(session.source_identity, type="string", minLength=2, maxLength=64, pattern=_WORD),
]
ExternalId = Annotated[
    str,
    Accepts(
        session.external_id,
        type="string",
        minLength=2,
        maxLength=1224,
        pattern="^[A-Za-z0-9_+=,.@:/-]+$",
    ),
]
Policy = Annotated[
    str,
    Accepts(policy_document.session_policy, type=["object", "string"]),
]
SessionTags = Annotated[
    tuple[tuple[str, str], ...],
    Accepts(
        session.session_tags,
        type="object",
        maxProperties=session.MOST_TAGS,
        additionalProperties={"type": "string", "maxLength": 256},
    ),
]
TagKeys = Annotated[
    tuple[str, ...],
    Accepts(
        session.transitive_tag_keys,
        type="array",
        maxItems=session.MOST_TAGS,
        items={"type": "string", "minLength": 1, "maxLength": 128},
    ),
]
Command = Annotated[
    tuple[str, ...],
    Accepts(session.credential_process, type="array", minItems=1, items={"type": "string"}),
]
