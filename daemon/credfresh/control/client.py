"""The client's side. It imports as little as possible: jobs wait for the commands that use it."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time

from credfresh.control import protocol
from credfresh.control.protocol import Answer, Asked
from credfresh.errors import ControlCode, ControlError

DEFAULT_SOCKET = "/run/credfresh/control.sock"

MOST_ANSWER = 256 * 1024 * 1024
"""Bytes of an answer at most; a status of 10,000 profiles is about 4 MB."""

PATIENCE = 30.0
"""Seconds to wait for an answer that the daemon gives at once."""

_CONNECT = 5
"""Seconds to wait for the connection."""

_NOBODY = {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR, errno.ECONNRESET, errno.EPIPE}
_TIMEVAL = struct.Struct("ll")  # socket(7): SO_SNDTIMEO, SO_RCVTIMEO


def ask(path: str, request: Asked[Answer], *, patience: float = PATIENCE) -> Answer:
    """Ask the daemon that listens at `path`, and return its answer.

    Waits for `patience` seconds for the answer, after at most five for the connection; twice that
    at most if it comes in pieces.

    Raises:
        ControlError: there is no answer, or it is a refusal.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        try:
            # Not settimeout: connecting a non-blocking socket fails while others wait for accept.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(_CONNECT, 0))
            connection.connect(path)
            whole = max(1, int(patience + 0.999))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(whole, 0))
            connection.sendall(protocol.encode_request(request))
        except OSError as error:
            # The daemon may have refused, with an answer, before it had read all of the request.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise _unreached(path, error) from None
        line = _receive(connection, path, time.monotonic() + patience)
    try:
        return protocol.decode_answer(line, request)
    except ControlError as error:
        if error.code is ControlCode.BAD_ANSWER:
            error.message = f"{path}: {error.message}"
        raise


def _receive(connection: socket.socket, path: str, give_up: float) -> bytes:
    received = bytearray()
    try:
        while data := connection.recv(1 << 20):
            received += data
            if len(received) > MOST_ANSWER:
                message = f"{path}: what answers there does not end"
                raise ControlError(ControlCode.BAD_ANSWER, message)
            if time.monotonic() > give_up:  # SO_RCVTIMEO is for one piece, however small
                raise _unreached(path, OSError(errno.EAGAIN, ""))
    except OSError as error:
        raise _unreached(path, error) from None
    if not received:
        raise ControlError(ControlCode.NO_DAEMON, f"{path}: the daemon went away without an answer")
    return bytes(received)


def _unreached(path: str, error: OSError) -> ControlError:
    number = error.errno or 0
    if number in (errno.EACCES, errno.EPERM):
        return ControlError(
            ControlCode.NOT_ALLOWED,
            f"{path}: not allowed to connect",
            hint='join the group that control.mode "0660" lets in, or run it as root',
        )
    if number == errno.EAGAIN:
        return ControlError(ControlCode.NO_DAEMON, f"{path}: no answer in time")
    reason = os.strerror(number).lower() if number else str(error)
    if number in _NOBODY:
        hint = "is it running, and does it listen there? --socket names another place"
        return ControlError(
            ControlCode.NO_DAEMON, f"{path}: no daemon answers ({reason})", hint=hint
        )
    return ControlError(ControlCode.NO_DAEMON, f"{path}: cannot be asked: {reason}")
