"""boto3: one session for all calls, to STS and to S3."""

import boto3
from turns import take

made = {}


def call() -> None:
    if not made:
        session = boto3.Session()
        made["sts"], made["s3"] = session.client("sts"), session.client("s3")
    made["sts"].get_caller_identity()
    made["s3"].list_buckets()


take(call)
