"""Finds the causes of an error, which libraries wrap, and the frames that it came through.

Texts and local variables are left out of frames: they might hold a secret.
"""

from __future__ import annotations

import ssl
import traceback
from collections.abc import Iterator
from types import TracebackType


def beneath(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, the error that it wraps, and so on, ten at most."""
    at: BaseException | None = error
    for _ in range(10):
        if at is None:
            return
        yield at
        wrapped = getattr(at, "kwargs", {}).get("error"), getattr(at, "reason", None)
        below = (*wrapped, at.__cause__, *at.args, at.__context__)
        at = next((each for each in below if isinstance(each, BaseException)), None)


def certificate_refusal(error: BaseException) -> str | None:
    """Return why a server's certificate was refused, in OpenSSL's words; None if none was."""
    refused = (each for each in beneath(error) if isinstance(each, ssl.SSLCertVerificationError))
    return next((each.verify_message for each in refused), None)


def frames(trace: TracebackType | None) -> list[str]:
    """Return the places that an error came through, innermost last: `FILE:LINE FUNCTION`."""
    return [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)]
