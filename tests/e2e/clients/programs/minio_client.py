"""minio-py, with its providers for AWS's files and for containers."""

import os

import urllib3
from minio import Minio
from minio.credentials import AWSConfigProvider, IamAwsProvider
from turns import take

made = []


def call() -> None:
    if not made:
        container = "AWS_CONTAINER_CREDENTIALS_FULL_URI" in os.environ
        host = os.environ["AWS_ENDPOINT_URL_S3"].removeprefix("http://")
        made.append(
            Minio(
                host,
                secure=False,
                region="us-east-1",
                credentials=IamAwsProvider() if container else AWSConfigProvider(),
                http_client=urllib3.PoolManager(retries=False, timeout=5),
            )
        )
    made[0].list_buckets()


take(call)
