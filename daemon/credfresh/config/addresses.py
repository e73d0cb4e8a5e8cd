"""Accepts the places where the daemon serves: a loopback address, a socket, a textfile."""

from __future__ import annotations

import ipaddress
import re

from credfresh.config.places import path, socket_path
from credfresh.config.words import RefusedError, text
from credfresh.settings import Address, TcpAddress, UnixAddress

_TCP_HINT = "write it as 127.0.0.1:9464 or [::1]:9464"
_CONTAINER_HINT = (
    "whoever reaches it can read it; in a container share the network of who asks (a pod does)"
)


def listen(value: object) -> Address:
    """Accept a port of the loopback (`127.0.0.1:9464`, `[::1]:9464`) or `unix:/path`."""
    word = text(value)
    if word.startswith("unix:"):
        return UnixAddress(socket_path(word.removeprefix("unix:")))
    return _tcp(word, also=" or unix:/path", instead=", or use `unix:/path`")


def listen_tcp(value: object) -> TcpAddress:
    """Accept a port of the loopback: what SDKs can be given as http://ADDRESS:PORT."""
    word = text(value)
    if word.startswith("unix:"):
        raise RefusedError("must be ADDRESS:PORT", hint="SDKs reach no unix socket")
    return _tcp(word)


def _tcp(word: str, *, also: str = "", instead: str = "") -> TcpAddress:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/]*):([0-9]{1,5})", word)
    if match is None:
        raise RefusedError(f"must be ADDRESS:PORT{also}", hint=f"{_TCP_HINT}{also}")
    host = match[1].strip("[]")
    if not 1 <= int(match[2]) <= 65535:  # noqa: PLR2004  # said in the reason
        raise RefusedError("must have a port from 1 to 65535")
    host = "127.0.0.1" if host == "localhost" else host
    if not _is_loopback(host):
        hint = f"{_CONTAINER_HINT}{instead}" if host else f"{_TCP_HINT}{also}"
        raise RefusedError("must be an address of the loopback", hint=hint)
    # In one spelling: clients have their own, and send it in the Host header.
    return TcpAddress(str(ipaddress.ip_address(host)), int(match[2]))


def textfile(value: object) -> str:
    """Accept the absolute path of a file for node_exporter, which reads only *.prom."""
    word = path(value)
    if not word.endswith(".prom"):
        raise RefusedError("must end in .prom", hint="node_exporter reads no other files")
    return word


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
