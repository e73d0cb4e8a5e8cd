"""Replaces a file by another, whole or not at all: the only rename of the project.

A `Temporary` is written beside its target and has owner, mode, ACL and label before it has
content. It is then put in place by one of three swaps:

- `exchange` (renameat2(2), RENAME_EXCHANGE): what stood there has the temporary name afterwards,
  so that what a writer without a lock did at the last moment is not lost;
- `fill` if nothing stood there: it fails if something stands there by then;
- `replace` if the file system knows no exchange.

A reader finds the old file or the new one, whole, at any moment. What a killed process left of its
temporaries is found again by `leftovers`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import stat
import struct
from collections.abc import Iterator

from credfresh.disk.paths import trusted_owner
from credfresh.values import dataclass

_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
_NOREPLACE, _EXCHANGE = 1, 2  # RENAME_* of linux/fs.h
_UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}

_CHUNK = 1 << 18
_UNCHANGED = -1  # to chown(2)

_ACL = "system.posix_acl_access"
_LABEL = "security.selinux"
# linux/posix_acl_xattr.h: a version, then entries of tag, permissions and id.
_ACL_HEADER = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_BITS = {0x01: 6, 0x10: 3, 0x20: 0}
"""Where the mode says what an entry allows: owner, mask (in the group's place), others."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a file is given before it has content: permission bits, owner, group, ACL, label.

    None leaves what it was created with, which a setgid directory or a default ACL decides.
    """

    mode: int
    owner: int | None = None
    group: int | None = None
    acl: bytes | None = None
    label: bytes | None = None


@dataclass(slots=True)
class Temporary:
    """A file to be put in place: open, and named in its directory until then, or until dropped."""

    directory: int
    name: str
    descriptor: int
    named: bool = True

    def drop(self) -> None:
        """Close it, and take its name away if it still has one."""
        os.close(self.descriptor)
        if self.named:
            with contextlib.suppress(OSError):
                os.unlink(self.name, dir_fd=self.directory)

    def write(self, data: bytes) -> None:
        """Write all of `data` (write(2) may take less at a time)."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]


def temporary_name(name: str) -> str:
    """Return a new name for a temporary of the file `name`."""
    return f".{name}.credfresh-{os.urandom(4).hex()}.tmp"


def is_temporary(entry: str, name: str | None = None) -> bool:
    """Say whether a directory entry has the name of a temporary of ours, for `name` or any file."""
    of = ".+" if name is None else re.escape(name)
    return re.fullmatch(rf"\.{of}\.credfresh-[0-9a-f]{{8}}\.tmp", entry) is not None


def leftovers(
    directory: int, name: str | None = None, *, kind: int = stat.S_IFREG, owner: int | None = None
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the temporaries that a killed process left, for the file `name` or any file.

    Only what is of this kind, and belongs to root, to us or to `owner`, can be one of ours.

    Raises:
        OSError: the directory cannot be read.
    """
    for entry in os.listdir(directory):
        if is_temporary(entry, name):
            with contextlib.suppress(FileNotFoundError):
                info = os.stat(entry, dir_fd=directory, follow_symlinks=False)
                if stat.S_IFMT(info.st_mode) == kind and trusted_owner(info.st_uid, owner):
                    yield entry, info


def sweep(directory: int, name: str | None = None, *, kind: int = stat.S_IFREG) -> None:
    """Remove the temporaries that a killed process left; see `leftovers`.

    Raises:
        OSError: the directory cannot be read.
    """
    for entry, _ in leftovers(directory, name, kind=kind):
        with contextlib.suppress(OSError):  # of a read-only file system: at the next sweep
            os.unlink(entry, dir_fd=directory)


def serial(entry: str) -> str:
    """Return what tells a temporary from others for the same file: 8 hex digits."""
    return entry[-12:-4]


def create(directory: int, name: str) -> Temporary:
    """Create an empty temporary for the file `name`, closed to everybody else."""
    while True:
        entry = temporary_name(name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(FileExistsError):
            return Temporary(directory, entry, os.open(entry, flags, 0o600, dir_fd=directory))


def set_attributes(descriptor: int, wanted: Attributes) -> None:
    """Give an empty file its owner, group, ACL, mode and label, with no wider rights on the way.

    The group bits of the mode are the mask of an ACL: the most that its named readers may do.
    """
    born = os.fstat(descriptor)
    owner = born.st_uid if wanted.owner is None else wanted.owner
    group = born.st_gid if wanted.group is None else wanted.group
    if (owner, group) != (born.st_uid, born.st_gid):
        os.fchown(
            descriptor,
            owner if owner != born.st_uid else _UNCHANGED,
            group if group != born.st_gid else _UNCHANGED,
        )
    if wanted.acl is not None:
        os.setxattr(descriptor, _ACL, _acl_for(wanted.acl, wanted.mode))
    if os.fstat(descriptor).st_mode & 0o7777 != wanted.mode:
        os.fchmod(descriptor, wanted.mode)
    if wanted.label is not None and wanted.label != label_of(descriptor):
        with contextlib.suppress(OSError):  # the policy decides, and its default may well do
            os.setxattr(descriptor, _LABEL, wanted.label)


def narrow(descriptor: int, mode: int) -> None:
    """Take from a file the rights beyond `mode`, unless it has more than one name."""
    info = os.fstat(descriptor)
    if info.st_nlink == 1 and info.st_mode & 0o7777 & ~mode:
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, info.st_mode & mode)


def acl_of(descriptor: int) -> bytes | None:
    """Return a file's ACL as the kernel keeps it; None when it has none beyond the mode."""
    return _attribute(descriptor, _ACL)


def label_of(descriptor: int) -> bytes | None:
    """Return a file's SELinux label, where there is one."""
    return _attribute(descriptor, _LABEL)


def holds(descriptor: int, data: bytes) -> bool:
    """Say whether an open file holds exactly these bytes."""
    if os.fstat(descriptor).st_size != len(data):
        return False
    at, most = 0, min(_CHUNK, len(data) // 16 + 1)  # little beside what is compared
    while chunk := os.pread(descriptor, most, at):
        if not data.startswith(chunk, at):  # compares in place: a slice would be a copy
            return False
        at += len(chunk)
    return at == len(data)


def exchange(directory: int, one: str, other: str) -> bool:
    """Swap two names atomically; False if the file system cannot."""
    return _rename(directory, one, other, _EXCHANGE)


def fill(directory: int, temporary: str, name: str) -> None:
    """Give a temporary its final name, if nothing has that name.

    Raises:
        FileExistsError: something has it by now.
    """
    if not _rename(directory, temporary, name, _NOREPLACE):
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.unlink(temporary, dir_fd=directory)


def replace(directory: int, temporary: str, name: str) -> None:
    """Give a temporary its final name; what had that name is gone."""
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)  # noqa: TID251 - the one


def _rename(directory: int, source: str, target: str, flag: int) -> bool:
    """Call renameat2(2); False if the system or the file system does not know the flag."""
    if _renameat2 is None:
        return False
    names = (directory, os.fsencode(source), directory, os.fsencode(target))
    if _renameat2(*names, flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number))


def _acl_for(acl: bytes, mode: int) -> bytes:
    """Return an ACL with what the mode says for owner, mask and others; the rest stays."""
    entries = []
    for tag, allowed, who in _ACL_ENTRY.iter_unpack(acl[_ACL_HEADER.size :]):
        bits = mode >> _ACL_BITS[tag] & 7 if tag in _ACL_BITS else allowed
        entries.append(_ACL_ENTRY.pack(tag, bits, who))
    return acl[: _ACL_HEADER.size] + b"".join(entries)


def _attribute(descriptor: int, name: str) -> bytes | None:
    try:
        return os.getxattr(descriptor, name)
    except OSError:  # none there, or none known to this file system
        return None
