"""AWS servers on loopback: two that other people wrote, and one that answers what a test scripts.

ministack (AUTH=true) verifies signatures, clock skew, trust policies with ExternalId and expiry;
moto's server judges little but answers in AWS's shapes. Each starts on a free port, is waited for,
and is stopped for certain, with all that it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.config import Config

from programs import free_port

REGION = "eu-west-1"


@dataclass(frozen=True, slots=True)
class AwsServer:
    """A server and the keys of its administrator."""

    url: str
    key_id: str = "test"
    secret: str = field(default="test", repr=False)

    def client(
        self, service: str, keys: Mapping[str, str] | None = None, *, account: str | None = None
    ) -> Any:
        """Return a client of one of its services, with these keys or as an administrator.

        To ministack a key id of twelve digits is the administrator of that account.
        """
        given = keys or {
            "aws_access_key_id": account or self.key_id,
            "aws_secret_access_key": self.secret,
        }
        return boto3.Session().client(
            service,  # type: ignore[call-overload] # only STS has stubs here
            region_name=REGION,
            endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}),
            **given,
        )

    def user(
        self, name: str, policy: object | None = None, *, account: str | None = None
    ) -> tuple[str, str]:
        """Create a user with one inline policy; return the id and secret of a new key."""
        iam = self.client("iam", account=account)
        iam.create_user(UserName=name)
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def role(
        self, name: str, trust: object, policy: object | None = None, *, account: str | None = None
    ) -> str:
        """Create a role with one inline policy; return its ARN."""
        iam = self.client("iam", account=account)
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        if policy is not None:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        return str(made["Role"]["Arn"])


@contextlib.contextmanager
def ministack() -> Iterator[AwsServer]:
    """Run ministack with its checks on."""
    port = free_port()
    environ = {"AUTH": "true", "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1"}
    with _running([_beside_python("ministack")], port, environ):
        yield AwsServer(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def moto_server() -> Iterator[AwsServer]:
    """Run moto's own server, which accepts any key."""
    port = free_port()
    command = [_beside_python("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port, {}):
        yield AwsServer(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def microburst(upstream: str) -> Iterator[str]:
    """Run microburst, a proxy that injects failures, in front of another server; yield its URL."""
    port = free_port()
    command = [_beside_python("microburst"), "-u", upstream, "--host", "127.0.0.1", "-p", str(port)]
    with _running(command, port, {"AWS_EC2_METADATA_DISABLED": "true"}):
        yield f"http://127.0.0.1:{port}"


def _beside_python(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


@contextlib.contextmanager
def _running(command: list[str], port: int, environ: Mapping[str, str]) -> Iterator[None]:
    """Start a server in a group of its own, wait until it listens, kill the group at the end."""
    inherited = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR"}}
    process = subprocess.Popen(
        command,
        env={**inherited, **environ, "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(process, port)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    pause = threading.Event()
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        if process.poll() is not None:
            pytest.fail(f"{process.args!r} ended at once with status {process.returncode}")
        pause.wait(0.02)
    pytest.fail(f"{process.args!r} does not listen after {limit:.0f} s")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a scripted server was sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]

    @property
    def key_id(self) -> str:
        """The access key id that signed it."""
        authorization = self.headers.get("authorization", "")
        return authorization.partition("Credential=")[2].partition("/")[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a scripted server. With None as body it hangs up instead."""

    status: int = 200
    body: str | None = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    date: str | None = None
    """The `Date` header; None for the true date, empty for no header."""
    length: int | None = None
    """A false `Content-Length`."""


Script = Callable[[Request], Answer]


@dataclass(slots=True)
class ScriptedServer:
    """An HTTP server that answers what `script` returns, and keeps the requests."""

    script: Script
    url: str = ""
    requests: list[Request] = field(default_factory=list)


class BusyServer(ThreadingHTTPServer):
    """A server for many connections at once: with the usual backlog of 5, the others are reset."""

    request_queue_size = 128
    daemon_threads = True


@contextlib.contextmanager
def scripted(script: Script, at: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[ScriptedServer]:
    """Serve a script on loopback, with a thread per connection; port 0 is a free port."""
    served = ScriptedServer(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: two would wait for a delayed acknowledgement

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            request = Request(
                self.command,
                self.path,
                {k.lower(): v for k, v in self.headers.items()},
                {k: v[0] for k, v in parse_qs(body).items()},
            )
            served.requests.append(request)
            answer = served.script(request)
            if answer.body is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            payload = answer.body.encode()
            self.send_response_only(answer.status)
            date = formatdate(usegmt=True) if answer.date is None else answer.date
            if date:
                self.send_header("Date", date)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            length = len(payload) if answer.length is None else answer.length
            self.send_header("Content-Length", str(length))
            if answer.length is not None:
                self.close_connection = True
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the base class's spelling

        def log_message(self, *_: object) -> None: ...

    server = BusyServer(at, Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    served.url = f"http://{at[0]}:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def grant_xml(
    *,
    key_id: str = "ASIASTUB000000000001",
    secret: str = "stub-secret",
    token: str = "stub-token",
    expiration: str | None = None,
    lifetime: float = 3600.0,
    operation: str = "AssumeRole",
) -> str:
    """Return an answer of AssumeRole to anybody; an empty `expiration` leaves it out."""
    if expiration is None:
        expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lifetime))  # noqa: TID251 - the server has a clock of its own
    expires = f"<Expiration>{expiration}</Expiration>" if expiration else ""
    return (
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<{operation}Result><AssumedRoleUser>"
        "<AssumedRoleId>AROA:stub</AssumedRoleId></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>{key_id}</AccessKeyId>"
        f"<SecretAccessKey>{secret}</SecretAccessKey>"
        f"<SessionToken>{token}</SessionToken>{expires}</Credentials>"
        f"</{operation}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    )


def error_xml(code: str, message: str = "said so") -> str:
    """Return an error response in the form of STS's."""
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>r</RequestId></ErrorResponse>"
    )
