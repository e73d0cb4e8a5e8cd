"""rclone, which contains the SDK for Go 2: one server process that is asked to list a bucket."""

import json
import os
import socket
import subprocess
import time
import urllib.request

from turns import take

made = []


def start() -> str:
    """Start `rclone rcd`; return its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    subprocess.Popen(
        [os.environ["RCLONE"], "rcd", "--rc-no-auth", "--rc-addr", address, "--config", os.devnull],
        env=os.environ | {"RCLONE_LOW_LEVEL_RETRIES": "1", "RCLONE_RETRIES": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 1).close()
        except OSError:
            time.sleep(0.05)  # noqa: TID251 - a program of its own
        else:
            break
    return address


def call() -> None:
    if not made:
        made.append(start())
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    remote = f":s3,provider=Other,env_auth,region=us-east-1,endpoint='{endpoint}':bucket"
    body = json.dumps({"fs": remote, "remote": ""}).encode()
    request = urllib.request.Request(
        f"http://{made[0]}/operations/list", data=body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()[:300]) from None


take(call)
