"""deltalake, which contains the SDK for Rust and is told here to use it."""

import os

from arro3.core import Array, DataType, Table
from deltalake import DeltaTable, write_deltalake
from turns import take

OPTIONS = {
    "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL_S3"],
    "AWS_ALLOW_HTTP": "true",
    "AWS_REGION": "us-east-1",
    "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
    "AWS_FORCE_CREDENTIAL_LOAD": "true",
    "max_retries": "0",
}
made = []


def call() -> None:
    if not made:
        url = f"s3://bucket/delta-{os.getpid()}"
        table = Table.from_pydict({"a": Array([1], type=DataType.int64())})
        write_deltalake(url, table, storage_options=OPTIONS)
        made.append(DeltaTable(url, storage_options=OPTIONS))
    made[0].update_incremental()


take(call)
