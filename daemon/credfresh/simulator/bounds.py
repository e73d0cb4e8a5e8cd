"""The documented bounds of the parameters of AssumeRole and AssumeRoleWithWebIdentity.

Source: the AWS STS API reference, 2011-06-15. Each request is read into one frozen value, or
refused with all the constraints that it breaks.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import field

from credfresh.simulator import refusals
from credfresh.simulator.query import Query
from credfresh.values import dataclass

DEFAULT_DURATION = 3600
LEAST_DURATION = 900
MOST_DURATION = 43_200
PLAIN_POLICY_LIMIT = 2048
"""Characters of the inline policy and the managed policies' ARNs together, at most."""
PACKED_LIMIT = 2048
"""Bytes of packed policies and tags at most. AWS does not publish its own limit and packing."""

_NAME = re.compile(r"[\w+=,.@-]*", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:\/-]*", re.ASCII)
_TAG = re.compile(r"[\w \u00a0.:/=+\-@]*")
_ROLE_ARN = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/.+")


@dataclass(frozen=True, slots=True)
class RoleRequest:
    """What a caller asks for, within bounds."""

    role_arn: str
    session_name: str
    duration: int
    """Seconds."""
    external_id: str | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None

    @property
    def packed_percent(self) -> int:
        """How much of the space for policies and tags is taken; above 100 is too much."""
        if not (self.policy or self.policy_arns or self.tags):
            return 0
        plain = json.dumps([self.policy, self.policy_arns, dict(self.tags)])
        return -(-100 * len(zlib.compress(plain.encode())) // PACKED_LIMIT)


class _Constraints:
    """Collects the constraints that parameters break, in AWS's words."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self.failures: list[str] = []

    def text(
        self,
        parameter: str,
        *,
        least: int,
        most: int,
        pattern: re.Pattern[str] | None = None,
        required: bool = False,
    ) -> str | None:
        """Return a parameter, and note what is wrong with it."""
        value = self._query.text(parameter)
        if value is None:
            if required:
                self._fail(parameter, "null", "Member must not be null")
            return None
        self.check(parameter, value, least=least, most=most, pattern=pattern)
        return value

    def check(
        self,
        name: str,
        value: str,
        *,
        least: int,
        most: int,
        pattern: re.Pattern[str] | None = None,
    ) -> None:
        """Note what is wrong with one value."""
        shown = f"'{value[:100]}'"
        if len(value) < least:
            self._fail(name, shown, f"Member must have length greater than or equal to {least}")
        if len(value) > most:
            self._fail(name, shown, f"Member must have length less than or equal to {most}")
        if pattern is not None and not pattern.fullmatch(value):
            self._fail(
                name, shown, f"Member must satisfy regular expression pattern: {pattern.pattern}"
            )

    def count(self, name: str, number: int, most: int) -> None:
        """Note a list that has too many members."""
        if number > most:
            self._fail(name, "'[...]'", f"Member must have length less than or equal to {most}")

    def duration(self) -> int:
        """Return the seconds asked for, and note a value that is no number or out of bounds."""
        text = self._query.text("DurationSeconds")
        if text is None:
            return DEFAULT_DURATION
        if not re.fullmatch(r"-?[0-9]{1,9}", text):
            self._fail("DurationSeconds", f"'{text[:100]}'", "Member must be an integer")
            return DEFAULT_DURATION
        seconds = int(text)
        if seconds < LEAST_DURATION:
            self._fail(
                "DurationSeconds",
                f"'{seconds}'",
                f"Member must have value greater than or equal to {LEAST_DURATION}",
            )
        if seconds > MOST_DURATION:
            self._fail(
                "DurationSeconds",
                f"'{seconds}'",
                f"Member must have value less than or equal to {MOST_DURATION}",
            )
        return seconds

    def _fail(self, name: str, shown: str, constraint: str) -> None:
        member = name[0].lower() + name[1:]
        self.failures.append(
            f"Value {shown} at '{member}' failed to satisfy constraint: {constraint}"
        )


def read_role_request(query: Query) -> RoleRequest:
    """Read the parameters of AssumeRole or AssumeRoleWithWebIdentity, which has fewer of them.

    Raises StsError: ValidationError, MalformedPolicyDocument, InvalidParameterValue or
    PackedPolicyTooLarge.
    """
    check = _Constraints(query)
    request = RoleRequest(
        role_arn=check.text("RoleArn", least=20, most=2048, required=True) or "",
        session_name=check.text("RoleSessionName", least=2, most=64, pattern=_NAME, required=True)
        or "",
        duration=check.duration(),
        external_id=check.text("ExternalId", least=2, most=1224, pattern=_EXTERNAL_ID),
        policy=query.text("Policy"),
        policy_arns=tuple(member.get("arn", "") for member in query.members("PolicyArns")),
        tags=_tags(query, check),
        transitive_tag_keys=_transitive(query, check),
        source_identity=check.text("SourceIdentity", least=2, most=64, pattern=_NAME),
    )
    check.count("PolicyArns", len(request.policy_arns), 10)
    for arn in request.policy_arns:
        check.check("PolicyArns", arn, least=20, most=2048)
    if check.failures:
        raise refusals.validation(check.failures)
    _check_together(request)
    return request


def _tags(query: Query, check: _Constraints) -> dict[str, str]:
    members = query.members("Tags")
    check.count("Tags", len(members), 50)
    for member in members:
        # The documented classes are letters, spaces and digits of any script.
        check.check("tags.key", member.get("Key", ""), least=1, most=128, pattern=_TAG)
        check.check("tags.value", member.get("Value", ""), least=0, most=256, pattern=_TAG)
    tags = {member.get("Key", ""): member.get("Value", "") for member in members}
    repeated = Counter(member.get("Key", "").casefold() for member in members)
    if any(number > 1 for number in repeated.values()):
        raise refusals.invalid_tags(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    return tags


def _transitive(query: Query, check: _Constraints) -> tuple[str, ...]:
    keys = tuple(member.get("", "") for member in query.members("TransitiveTagKeys"))
    check.count("TransitiveTagKeys", len(keys), 50)
    return keys


def _check_together(request: RoleRequest) -> None:
    """Refuse parameters that are each valid by themselves but not together."""
    if not _ROLE_ARN.fullmatch(request.role_arn):
        raise refusals.invalid_value("Request ARN is invalid")
    known = {key.casefold() for key in request.tags}
    if any(key.casefold() not in known for key in request.transitive_tag_keys):
        raise refusals.invalid_tags(
            "The specified transitive tag key must be included in the requested tags."
        )
    if len(request.policy or "") + sum(map(len, request.policy_arns)) > PLAIN_POLICY_LIMIT:
        constraint = f"Member must have length less than or equal to {PLAIN_POLICY_LIMIT}"
        raise refusals.validation([f"Value at 'policy' failed to satisfy constraint: {constraint}"])
    if request.policy is not None:
        check_policy(request.policy)
    if request.packed_percent > 100:  # noqa: PLR2004 - a percentage
        raise refusals.packed_policy_too_large(request.packed_percent)


def check_policy(text: str) -> None:
    """Refuse a text that is no session policy in JSON, with MalformedPolicyDocument."""
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        raise refusals.malformed_policy("This policy contains invalid Json") from None
    if not isinstance(policy, dict):
        raise refusals.malformed_policy("Syntax errors in policy.")
    if policy.get("Version", "2012-10-17") not in {"2012-10-17", "2008-10-17"}:
        raise refusals.malformed_policy("The policy must contain a valid version string")
    statements = policy.get("Statement")
    if not statements:
        raise refusals.malformed_policy("Missing required field Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        _check_statement(statement)


def _check_statement(statement: object) -> None:
    if not isinstance(statement, dict):
        raise refusals.malformed_policy("Syntax errors in policy.")
    if statement.get("Effect") not in {"Allow", "Deny"}:
        raise refusals.malformed_policy("Effect must be Allow or Deny")
    for element in ("Action", "Resource"):
        if (element in statement) == (f"Not{element}" in statement):
            raise refusals.malformed_policy(f"Policy statement must contain {element.lower()}s.")
    if "Principal" in statement or "NotPrincipal" in statement:
        raise refusals.malformed_policy("Policy document should not specify a principal.")
