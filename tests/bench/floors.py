"""Floors: the least that each thing can cost, to which our figures are ratios."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import yaml
from botocore.config import Config

LOADS = (
    "import boto3, apscheduler.schedulers.background, yaml, structlog, pydantic, click;"
    " boto3.session.Session"
)
"""The imports that no such daemon can do without."""


class WarmClient:
    """One boto3 client in a bare loop: no schedule, no file, no log, no retry."""

    def __init__(self, url: str, *, connections: int = 10) -> None:
        self._client = boto3.session.Session().client(
            "sts",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id="AKIAFAKE",
            aws_secret_access_key="fake",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=connections,
            ),
        )

    def cpu_per_call(self, calls: int, *, a_second: float = math.inf) -> float:
        """Return the CPU seconds of one AssumeRole, at `a_second` calls a second.

        A loop that never rests finds warm caches, unlike a program that renews now and then:
        compare that with a loop at its own pace.
        """
        self._call()
        began = time.process_time()
        for _ in range(calls):
            self._rest(1 / a_second)
            self._call()
        return (time.process_time() - began) / calls

    def cpu_per_call_at(self, moments: Sequence[float]) -> float:
        """Return the CPU seconds of one AssumeRole, called at `moments`, in seconds from the start.

        If a call ends after the next moment, the next call is made at once.
        """
        self._call()
        started, began = time.perf_counter(), time.process_time()
        for moment in moments:
            self._rest(max(0.0, started + moment - time.perf_counter()))
            self._call()
        return (time.process_time() - began) / len(moments)

    def call_from(self, threads: int, calls: int) -> float:
        """Return the seconds of `calls` calls from `threads` threads."""
        self._call()
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(self._call) for _ in range(calls)]:
                done.result()
        return time.perf_counter() - began

    @staticmethod
    def _rest(seconds: float) -> None:
        if seconds:
            threading.Event().wait(seconds)

    def _call(self) -> None:
        self._client.assume_role(
            RoleArn="arn:aws:iam::111111111111:role/deploy",
            RoleSessionName="credfresh-host-team-00000",
            DurationSeconds=3600,
        )


def crowd(url: str, calls: int, threads: int) -> float:
    """Return the seconds of `calls` AssumeRole calls from `threads` threads of one warm client."""
    return WarmClient(url, connections=threads).call_from(threads, calls)


def imports() -> float:
    """Return the seconds that Python takes to import what a daemon needs."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", LOADS], check=True)
    return time.perf_counter() - began


def compose(path: Path) -> float:
    """Return the seconds that PyYAML's C parser takes to compose a configuration."""
    text = path.read_text()
    began = time.perf_counter()
    yaml.compose(text, Loader=yaml.CBaseLoader)
    return time.perf_counter() - began


def one_read(path: Path) -> float:
    """Return the seconds that reading a file once takes."""
    began = time.perf_counter()
    path.read_bytes()
    return time.perf_counter() - began
