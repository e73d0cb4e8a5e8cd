"""The types of the file's values: the function that accepts each, and its JSON Schema."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from credfresh.config import addresses, arn, places, policy_document, session, urls, words
from credfresh.settings import Address, RenewBefore, TcpAddress


def _json(kind: str, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, **more})


_WORD = r"^[A-Za-z0-9_+=,.@-]+$"
_DURATION = _json("string", pattern="^[0-9]+(s|m|h)$", examples=["1h", "90m"])
_LABEL = _json("string", pattern="^[A-Za-z0-9._-]{1,64}$")
_ARN = "^arn:(" + "|".join(arn.PARTITIONS) + "):iam::"

Text = Annotated[str, PlainValidator(words.text), _json("string", minLength=1)]
Flag = Annotated[bool, PlainValidator(words.flag), _json("boolean")]
Present = Annotated[bool, PlainValidator(words.present), WithJsonSchema({"const": True})]
FilePath = Annotated[str, PlainValidator(places.path), _json("string", pattern="^/")]
Directory = Annotated[
    str, PlainValidator(places.directory), _json("string", pattern="^(/[A-Za-z0-9._-]+)+/*$")
]
Textfile = Annotated[
    str, PlainValidator(addresses.textfile), _json("string", pattern="^/.*\\.prom$")
]
Listen = Annotated[
    Address,
    PlainValidator(addresses.listen),
    _json(
        "string",
        pattern="^(127\\.[0-9.]+|\\[::1\\]|localhost):[0-9]{1,5}$|^unix:/",
        examples=["127.0.0.1:9464", "unix:/run/credfresh/metrics.sock"],
    ),
]
Account = Annotated[
    str, PlainValidator(places.account), WithJsonSchema({"type": ["string", "integer"]})
]
Mode = Annotated[
    int,
    PlainValidator(places.mode),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^(0o?)?[0-7]{3}$"},
                {"type": "integer", "minimum": 400, "maximum": 664},
            ],
            "examples": ["0600", "0640"],
        }
    ),
]
SocketPath = Annotated[
    str,
    PlainValidator(places.socket_path),
    _json("string", pattern="^/", maxLength=places.MOST_SOCKET_PATH),
]
SocketMode = Annotated[
    int,
    PlainValidator(places.socket_mode),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^(0o?)?(600|660|666)$"},
                {"enum": [600, 660, 666]},
            ],
            "examples": ["0660"],
        }
    ),
]
Duration = Annotated[int, PlainValidator(words.duration), _DURATION]
ConnectTimeout = Annotated[int, PlainValidator(words.connect_timeout), _DURATION]
ReadTimeout = Annotated[int, PlainValidator(words.read_timeout), _DURATION]
HookTimeout = Annotated[int, PlainValidator(words.hook_timeout), _DURATION]
BeforeExpiry = Annotated[
    RenewBefore,
    PlainValidator(words.renew_before),
    _json("string", pattern="^([0-9]{1,2}%|[0-9]+(s|m|h))$", examples=["50%", "20m"]),
]
Rate = Annotated[
    float, PlainValidator(words.calls_per_second), _json("number", minimum=0.1, maximum=600)
]
Threads = Annotated[
    int, PlainValidator(words.max_concurrency), _json("integer", minimum=1, maximum=64)
]
Label = Annotated[str, PlainValidator(words.label), _LABEL]
FileName = Annotated[str, PlainValidator(words.file_name), _LABEL]
SourceName = Annotated[str, PlainValidator(words.source_name), _LABEL]
ListenTcp = Annotated[
    TcpAddress,
    PlainValidator(addresses.listen_tcp),
    _json(
        "string",
        pattern="^(127\\.[0-9.]+|\\[::1\\]|localhost):[0-9]{1,5}$",
        examples=["127.0.0.1:9465"],
    ),
]
ProfileNames = Annotated[
    tuple[str, ...],
    PlainValidator(words.profile_names),
    _json("array", minItems=1, uniqueItems=True, items={"type": "string"}),
]
ProfileName = Annotated[
    str, PlainValidator(words.profile_name), _json("string", minLength=1, maxLength=128)
]
Section = Annotated[str, PlainValidator(words.section), _json("string", minLength=1, maxLength=128)]
Region = Annotated[str, PlainValidator(words.region), _json("string", pattern="^[a-z0-9-]{1,63}$")]
Url = Annotated[str, PlainValidator(urls.endpoint_url), _json("string", pattern="^https?://")]
EngineUrl = Annotated[str, PlainValidator(urls.url), _json("string", pattern="^https?://")]
Segments = Annotated[
    str, PlainValidator(words.segments), _json("string", pattern="^[A-Za-z0-9_-][A-Za-z0-9._/-]*$")
]
RoleArn = Annotated[
    str, PlainValidator(arn.role_arn), _json("string", pattern=_ARN + "[0-9]{12}:role/")
]
PolicyArns = Annotated[
    tuple[str, ...],
    PlainValidator(session.policy_arns),
    _json(
        "array",
        maxItems=session.MOST_POLICY_ARNS,
        items={"type": "string", "pattern": _ARN + "([0-9]{12}|aws):policy/"},
    ),
]
SessionName = Annotated[
    str,
    PlainValidator(session.role_session_name),
    _json("string", minLength=2, maxLength=64, pattern=_WORD),
]
SourceIdentity = Annotated[
    str,
    PlainValidator(session.source_identity),
    _json("string", minLength=2, maxLength=64, pattern=_WORD),
]
ExternalId = Annotated[
    str,
    PlainValidator(session.external_id),
    _json("string", minLength=2, maxLength=1224, pattern="^[A-Za-z0-9_+=,.@:/-]+$"),
]
Policy = Annotated[
    str,
    PlainValidator(policy_document.session_policy),
    WithJsonSchema({"type": ["object", "string"]}),
]
SessionTags = Annotated[
    tuple[tuple[str, str], ...],
    PlainValidator(session.session_tags),
    _json(
        "object",
        maxProperties=session.MOST_TAGS,
        additionalProperties={"type": "string", "maxLength": 256},
    ),
]
TagKeys = Annotated[
    tuple[str, ...],
    PlainValidator(session.transitive_tag_keys),
    _json(
        "array",
        maxItems=session.MOST_TAGS,
        items={"type": "string", "minLength": 1, "maxLength": 128},
    ),
]
Command = Annotated[
    tuple[str, ...],
    PlainValidator(session.credential_process),
    _json("array", minItems=1, items={"type": "string"}),
]
