"""obstore, which contains object_store."""

import os
from datetime import timedelta

import obstore
from obstore.store import S3Store
from turns import take

made = []


def call() -> None:
    if not made:
        made.append(
            S3Store(
                "bucket",
                endpoint=os.environ["AWS_ENDPOINT_URL_S3"],
                region="us-east-1",
                client_options={"allow_http": True},
                retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
            )
        )
    obstore.list(made[0]).collect()


take(call)
