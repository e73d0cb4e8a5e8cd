"""A simulated AWS to test against, and real boto3 clients for it."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from types_boto3_sts import STSClient

from credfresh.simulator import Session, Simulator, User

USER_ARN = "arn:aws:iam::111111111111:user/ci"
ROLE_ARN = "arn:aws:iam::222222222222:role/teams/deploy"


_SESSION = boto3.session.Session()
"""One for all: it is the costly part of a client."""


def client(
    sts: Simulator, caller: User | Session, *, region: str = "eu-west-1", **config: Any
) -> STSClient:
    """Return a boto3 client that tries once, checks no parameters, and signs as the caller."""
    return _SESSION.client(
        "sts",
        endpoint_url=sts.url,
        region_name=region,
        aws_access_key_id=caller.access_key_id,
        aws_secret_access_key=caller.secret_access_key,
        aws_session_token=caller.session_token if isinstance(caller, Session) else None,
        config=Config(
            parameter_validation=False,
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=5,
        ).merge(Config(**config)),
    )


def refusal(error: ClientError) -> tuple[int, str, str]:
    """Return HTTP status, code and message of an error, as botocore read them."""
    answer = error.response
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status, answer["Error"]["Code"], answer["Error"]["Message"]
