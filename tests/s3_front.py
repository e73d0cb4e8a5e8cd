"""S3 on loopback that checks expiry: moto, behind a front that asks the simulator about each key.

Moto accepts every key. The front lets a session in until it expires at the simulator, and notes
each request by the role whose session signed it.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from credfresh.model import Clock
from credfresh.simulator import Simulator

_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_REFUSALS = {
    "ExpiredToken": "The provided token has expired.",
    "InvalidAccessKeyId": "The AWS Access Key Id you provided does not exist in our records.",
    "InvalidToken": "The provided token is malformed or otherwise invalid.",
    "AccessDenied": "Anonymous access is forbidden.",
}


class S3Front:
    """Judges each request; `refused` counts those turned away, by code."""

    def __init__(
        self, application: Callable[..., Iterable[bytes]], sts: Simulator, clock: Clock
    ) -> None:
        self._application = application
        self._sts = sts
        self._clock = clock
        self._guard = threading.Lock()
        self.url = ""
        self.seen: dict[str, list[str]] = {}
        """The access key ids that were let in, in order, by the name of the role."""
        self.refused: dict[str, int] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        code = self._judge(environ)
        if code is None:
            return self._application(environ, start)
        with self._guard:
            self.refused[code] = self.refused.get(code, 0) + 1
        body = f"<Error><Code>{code}</Code><Message>{_REFUSALS[code]}</Message></Error>".encode()
        status = "400 Bad Request" if code == "ExpiredToken" else "403 Forbidden"
        start(
            status,
            [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))],
        )
        return [body]

    def _judge(self, environ: dict[str, Any]) -> str | None:
        match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if match is None:
            return "AccessDenied"
        session = next((s for s in self._sts.sessions if s.access_key_id == match[1]), None)
        if session is None:
            return "InvalidAccessKeyId"
        if environ.get("HTTP_X_AMZ_SECURITY_TOKEN") != session.session_token:
            return "InvalidToken"
        if self._clock().wall >= session.expires_at:
            return "ExpiredToken"
        with self._guard:
            self.seen.setdefault(session.role.name, []).append(match[1])
        return None


@contextmanager
def s3_front(sts: Simulator, clock: Clock) -> Iterator[S3Front]:
    """Serve moto's S3 behind a front, with one bucket called `bucket`."""
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - slow
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415 - the same
    from werkzeug.test import Client  # noqa: PLC0415 - the same

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    administrator = {"Authorization": "AWS4-HMAC-SHA256 Credential=A/1/us-east-1/s3/aws4_request"}
    assert Client(application).put("/bucket", headers=administrator).status_code == 200
    front = S3Front(application, sts, clock)
    server = make_server("127.0.0.1", 0, front, threaded=True)
    front.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
