"""pyarrow, which contains the SDK for C++."""

import os

from pyarrow import fs
from turns import take

made = []


def call() -> None:
    if not made:
        host = os.environ["AWS_ENDPOINT_URL_S3"].removeprefix("http://")
        made.append(fs.S3FileSystem(endpoint_override=host, scheme="http", region="us-east-1"))
    made[0].get_file_info(fs.FileSelector("bucket"))


take(call)
