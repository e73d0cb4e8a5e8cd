"""A network of loopback alone: what ignores every setting still cannot leave the machine."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of linux/sched.h
_SET_ADDRESS = 0x8916  # SIOCSIFADDR
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """Put this thread, and the threads and processes that it starts, into a network with only `lo`.

    Where even root has no such network, as in most containers, the test is skipped.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            _checked(_LIBC.unshare(_NEW_NETWORK))
        except PermissionError:
            pytest.skip("needs a network of its own (CAP_SYS_ADMIN)")
        try:
            _up("lo")
            yield
        finally:
            enter_network(home)
    finally:
        os.close(home)


def enter_network(namespace: int) -> None:
    """Move this thread to an open network namespace, as os.setns does from Python 3.12 on."""
    _checked(_LIBC.setns(namespace, _NEW_NETWORK))


def also_at(address: str) -> None:
    """Give loopback another IPv4 address, in the network of this thread (netdevice(7))."""
    alias = f"lo:{int.from_bytes(socket.inet_aton(address)):x}".encode()
    family = struct.pack("H2x4s8x", socket.AF_INET, socket.inet_aton(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, _SET_ADDRESS, struct.pack("16s16s8x", alias, family))


def _up(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        name = struct.pack("16sh14x", interface.encode(), 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(probe, _GET_FLAGS, name))[1]
        fcntl.ioctl(probe, _SET_FLAGS, struct.pack("16sh14x", interface.encode(), flags | _UP))


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
