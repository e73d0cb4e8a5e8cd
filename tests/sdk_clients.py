"""The clients that read our output, at which door, and the outcome that is expected.

This table is the one place for that: `tests/e2e/clients` holds it to what is seen, and the table
of docs/consumers.md is held to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parent.parent
CLIENTS = Path(os.environ.get("CREDFRESH_CLIENTS", ROOT / ".clients"))
"""Where `tests/e2e/clients/setup` put them."""

PROGRAMS = ROOT / "tests" / "e2e" / "clients" / "programs"

BY_ENVIRONMENT = str(PROGRAMS / "by_environment")
"""Runs a command that takes keys from its environment alone with the keys of a door."""

Door = Literal["file", "twin", "endpoint"]
DOORS: tuple[Door, ...] = ("file", "twin", "endpoint")

Outcome = Literal["renews", "reads", "stale", "no"]
"""`renews`: it stays up, and sees new keys by itself. `reads`: each run reads what stands then.
`stale`: it stays up, and keeps the first keys until they expire. `no`: it cannot use the door."""


@dataclass(frozen=True, slots=True)
class Client:
    """One client: a program that makes one call a line, or one that is run for each call."""

    name: str
    what: str
    """Its name in the documentation."""
    argv: tuple[str, ...]
    stays: bool
    expected: Mapping[Door, Outcome]
    environment: Mapping[str, str] = field(default_factory=dict)
    where: Path | None = None
    """A path that must exist for it to run, beside the first of `argv`."""
    file_variable: str = "AWS_SHARED_CREDENTIALS_FILE"
    uses_up: bool = False
    """It uses keys until the second in which they expire, so a call in flight may fail then."""
    token_in_environment: bool = False
    """It is too old for a token file: the token itself is put into the environment."""

    @property
    def missing(self) -> str | None:
        """Return the path that is missing here; None if the client can run."""
        for path in (Path(self.argv[0]), self.where):
            if path is not None and not path.exists():
                return str(path)
        return None


def _python(program: str) -> tuple[str, ...]:
    return (str(CLIENTS / "venv/bin/python"), str(PROGRAMS / program))


def _doors(file: Outcome, twin: Outcome, endpoint: Outcome) -> dict[Door, Outcome]:
    return {"file": file, "twin": twin, "endpoint": endpoint}


_CLI_CALL = ("sts", "get-caller-identity", "--endpoint-url", "{sts}", "--output", "json")
_NODE = {"NODE_MODULES": str(CLIENTS)}
_MODULES = CLIENTS / "node_modules"

ALL = (
    Client(
        "boto3",
        "boto3 1.43",
        (sys.executable, str(PROGRAMS / "boto3_client.py")),
        stays=True,
        expected=_doors("stale", "renews", "renews"),
    ),
    Client(
        "cli1",
        "AWS CLI 1.4x",
        (str(Path(sys.executable).with_name("aws")), *_CLI_CALL),
        stays=False,
        expected=_doors("reads", "reads", "reads"),
    ),
    Client(
        "cli2",
        "AWS CLI 2.9 (Debian 12)",
        ("/usr/bin/aws", *_CLI_CALL),
        stays=False,
        expected=_doors("reads", "reads", "reads"),
        token_in_environment=True,
    ),
    Client(
        "js3",
        "SDK for JavaScript 3",
        ("/usr/bin/node", str(PROGRAMS / "js3_client.mjs")),
        stays=True,
        expected=_doors("stale", "renews", "renews"),
        environment=_NODE,
        where=_MODULES / "@aws-sdk",
    ),
    Client(
        "js2",
        "SDK for JavaScript 2",
        ("/usr/bin/node", str(PROGRAMS / "js2_client.cjs")),
        stays=True,
        expected=_doors("renews", "renews", "renews"),
        environment=_NODE | {"AWS_SDK_LOAD_CONFIG": "1"},
        where=_MODULES / "aws-sdk",
    ),
    Client(
        "cpp",
        "SDK for C++ 1.11 (pyarrow 26)",
        _python("arrow_client.py"),
        stays=True,
        expected=_doors("stale", "renews", "renews"),
    ),
    Client(
        "rust",
        "SDK for Rust (deltalake 1.6)",
        _python("delta_client.py"),
        stays=True,
        uses_up=True,
        expected=_doors("stale", "renews", "renews"),
    ),
    Client(
        "object_store",
        "object_store (obstore 0.12)",
        (BY_ENVIRONMENT, *_python("obstore_client.py")),
        stays=True,
        expected=_doors("no", "stale", "renews"),
        environment={"BY_ENVIRONMENT": "twin"},
        where=CLIENTS / "venv",
    ),
    Client(
        "crt",
        "AWS CRT (awscrt 0.38)",
        _python("crt_client.py"),
        stays=True,
        expected=_doors("stale", "renews", "renews"),
    ),
    Client(
        "go2",
        "SDK for Go 2 (rclone 1.75)",
        _python("rclone_client.py"),
        stays=True,
        uses_up=True,
        expected=_doors("stale", "renews", "renews"),
        environment={"RCLONE": str(CLIENTS / "venv/bin/rclone")},
    ),
    Client(
        "go1",
        "SDK for Go 1 (s5cmd)",
        (str(CLIENTS / "venv/bin/s5cmd"), "--endpoint-url", "{s3}", "-r", "0", "ls"),
        stays=False,
        expected=_doors("reads", "reads", "reads"),
        token_in_environment=True,
    ),
    Client(
        "minio-py",
        "minio-py 7.2",
        _python("minio_client.py"),
        stays=True,
        expected=_doors("renews", "no", "renews"),
    ),
    Client(
        "restic",
        "restic 0.14 (Debian 12, minio-go)",
        ("/usr/bin/restic", "-r", "s3:{s3}/bucket/{cell}-{run}", "--no-cache", "init"),
        stays=False,
        expected=_doors("reads", "no", "reads"),
        environment={"RESTIC_PASSWORD": "x"},
        token_in_environment=True,
    ),
    Client(
        "s3cmd",
        "s3cmd 2.4",
        (
            BY_ENVIRONMENT,
            str(CLIENTS / "venv/bin/s3cmd"),
            "--config=/nonexistent",
            "--host={s3_host}",
            "--host-bucket={s3_host}/%(bucket)",
            "--no-ssl",
            "--region=us-east-1",
            "ls",
        ),
        stays=False,
        expected=_doors("reads", "reads", "reads"),
        environment={"BY_ENVIRONMENT": "twin endpoint"},
        where=CLIENTS / "venv/bin/s3cmd",
        file_variable="AWS_CREDENTIAL_FILE",
    ),
    Client(
        "ruby",
        "SDK for Ruby 3.168 (Debian 12)",
        ("/usr/bin/ruby", str(PROGRAMS / "ruby_client.rb")),
        stays=True,
        expected=_doors("stale", "renews", "no"),
        where=Path("/usr/share/rubygems-integration/all/gems/aws-sdk-core-3.168.1"),
    ),
)
