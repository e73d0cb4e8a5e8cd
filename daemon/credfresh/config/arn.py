"""ARNs of roles and policies, and which partition a region belongs to."""

from __future__ import annotations

import re
from functools import cache

from credfresh.config.words import RefusedError, length_within, text

# botocore's partitions.json, 2026-11: each partition and how its regions begin.
_REGIONS = {
    "aws-cn": "cn-",
    "aws-us-gov": "us-gov-",
    "aws-iso": "us-iso-",
    "aws-iso-b": "us-isob-",
    "aws-iso-e": "eu-isoe-",
    "aws-iso-f": "us-isof-",
    "aws-eusc": "eusc-",
}
PARTITIONS = ("aws", *_REGIONS)
"""The partitions of AWS."""

_FORM = "arn:aws:iam::ACCOUNT:role/NAME"
# IAM quotas: a role's name is 1 to 64 of [\w+=,.@-], a policy's to 128; a path is up to 512
# printable characters, from its first slash to its last: `/`, or at least one between the two
# (`//` is no path, `/a//` and `///` are; CreateRole, Path: `(/)|(/[!-~]+/)`).
_NAMES = {"role": 64, "policy": 128}
_NAME = {kind: re.compile(rf"[A-Za-z0-9_+=,.@-]{{1,{most}}}") for kind, most in _NAMES.items()}
_OWNER = {"role": re.compile(r"[0-9]{12}"), "policy": re.compile(r"[0-9]{12}|aws")}
_PATH = re.compile(r"(?:[\x21-\x7e]{1,510}/)?")
_USUAL_ROLE = re.compile(r"arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@-]{1,64}")

_INSTEAD = {
    "user": "a user is who assumes roles: put its keys into a source, and name a role here",
    "root": "an account is no role: name the role",
    "instance-profile": "name the role that is in the instance profile",
    "policy": "a policy narrows a role: `policy_arns`",
}


def partition_of_arn(arn: str) -> str:
    """Return the partition of an accepted ARN."""
    return arn.split(":", 2)[1]


def account_of_arn(arn: str) -> str:
    """Return the account of an accepted ARN (`aws` for AWS's own policies)."""
    return arn.split(":", 5)[4]


@cache  # thousands of profiles are in a few regions
def partition_of_region(region: str) -> str:
    """Return the partition whose regions begin like this one."""
    return next((p for p, prefix in _REGIONS.items() if region.startswith(prefix)), "aws")


def role_arn(value: object) -> str:
    """Accept the ARN of a role; the refusal of any other text says which part of it is wrong.

    Bounds: AWS STS API reference, AssumeRole, RoleArn (20 to 2,048 characters).
    """
    if isinstance(value, str) and _USUAL_ROLE.fullmatch(value):  # one of thousands, perhaps
        return value
    return _iam_arn(value, "role")


def policy_arn(value: object) -> str:
    """Accept the ARN of a managed policy, of an account or of AWS."""
    return _iam_arn(value, "policy")


def _iam_arn(value: object, kind: str) -> str:
    word = text(value)
    form = _FORM if kind == "role" else _FORM.replace("role", kind)
    fields = word.split(":", 5)
    if fields[0] != "arn" or len(fields) < 6:  # noqa: PLR2004  # the six fields of an ARN
        raise RefusedError(f"must be the ARN of a {kind}", hint=f"it looks like {form}")
    _, partition, service, region, account, resource = fields
    _judge_head(partition, service, region, resource, form)
    if not _OWNER[kind].fullmatch(account):
        hint = "`$` is not expanded: write it out" if "$" in account else f"it looks like {form}"
        raise RefusedError("has no account of 12 digits", hint=hint)
    _judge_resource(resource, kind, form)
    length_within(word, 20, 2048)
    return word


def _judge_head(partition: str, service: str, region: str, resource: str, form: str) -> None:
    if partition not in PARTITIONS:
        raise RefusedError(
            "is in a partition that AWS does not have", hint=f"one of {', '.join(PARTITIONS)}"
        )
    if service == "sts" and resource.startswith("assumed-role/"):
        raise RefusedError("is a session of a role, not the role", hint=f"write it as {form}")
    if service != "iam":
        raise RefusedError("is not an ARN of the service `iam`", hint=f"it looks like {form}")
    if region:
        raise RefusedError(
            "names a region, which IAM does not have", hint=f"two colons after iam: {form}"
        )


def _judge_resource(resource: str, kind: str, form: str) -> None:
    head, slash, rest = resource.partition("/")
    if head != kind or not slash:
        hint = _INSTEAD.get(head) if kind == "role" else None
        raise RefusedError(f"is not the ARN of a {kind}", hint=hint or f"it looks like {form}")
    cut = rest.rfind("/") + 1
    path, name = rest[:cut], rest[cut:]
    if not _NAME[kind].fullmatch(name):
        most = _NAMES[kind]
        raise RefusedError(
            f"has no valid {kind} name at its end",
            hint=f"1 to {most} letters, digits and any of +=,.@_-",
        )
    if not _PATH.fullmatch(path):
        raise RefusedError(
            f"has a path before the {kind} name that IAM does not have",
            hint="none, or at most 512 printable characters between two slashes, without spaces",
        )
