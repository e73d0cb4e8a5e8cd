"""What a valid configuration names but this host lacks, or has in a form that the daemon refuses.

The configuration may be meant for another host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from credfresh.credentials_file import distrusted
from credfresh.disk.access import Account, number_of
from credfresh.disk.paths import WRITABLE_BY_OTHERS
from credfresh.settings import FileTarget, Settings, UnixAddress
from credfresh.values import dataclass


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that is not as it should be: the key that names it, the reason, what to do."""

    key: str
    reason: str
    hint: str


def lacks(settings: Settings) -> tuple[Lack, ...]:
    """Return what the daemon would miss here, each once; what we may not look at is left out."""
    found: list[Lack] = []
    for target in settings.targets:
        found += _of_place("credentials_file.path", target.path)
        found += _of_account("owner", target.owner, "credentials_file")
        found += _of_account("group", target.group, "credentials_file")
    for key, path in _files(settings):
        found += _of_place(key, path)
    for key, path in _directories(settings):
        found += _of_place(key, path, directory=True)
    if settings.control is not None:
        found += _of_account("group", settings.control.group, "control")
    found += _open_to_others("credentials_file.path", settings.targets)
    found += _open_to_others("process_dir", settings.twin_directories)
    return tuple(dict.fromkeys(found))


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the other files that need an existing directory."""
    if settings.control is not None:
        yield "control.socket", settings.control.socket
    if settings.metrics.textfile is not None:
        yield "metrics.textfile", settings.metrics.textfile
    if isinstance(settings.metrics.listen, UnixAddress):
        yield "metrics.listen", settings.metrics.listen.path


def _directories(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the directories of our own, which need an existing parent."""
    for directory in settings.twin_directories:
        yield "process_dir", directory.path
    if settings.endpoint is not None:
        yield "endpoint.token_dir", settings.endpoint.folder.path


def _of_place(key: str, path: str, *, directory: bool = False) -> Iterator[Lack]:
    try:
        place = Path(path).resolve()
        place.parent.stat()
        if directory and place.exists() and not place.is_dir():
            yield Lack(key, f"{path} is no directory", "name one of its own, or take that away")
        elif place.is_dir() and not directory:
            yield Lack(key, f"{path} is a directory", "name a file, in that directory or elsewhere")
    except (FileNotFoundError, NotADirectoryError):
        hint = "make it, with nobody but root and the daemon allowed to write in it"
        if place.parent == Path("/run/credfresh"):
            hint += "; the service makes it when it starts"
        yield Lack(key, f"the directory {place.parent} is not there on this host", hint)
    except (OSError, RuntimeError):  # it may not be looked at, or its links lead nowhere
        pass


def _open_to_others(key: str, targets: Iterable[FileTarget]) -> Iterator[Lack]:
    """Yield the paths that any daemon refuses; which owners it trusts depends on its user."""
    for error in distrusted(targets):
        if error.code == WRITABLE_BY_OTHERS:
            yield Lack(key, error.message, error.hint or "")


def _of_account(what: Account, name: str | None, mapping: str) -> Iterator[Lack]:
    try:
        number_of(what, name)
    except KeyError:
        hint = f"create it, or correct {mapping}.{what}"
        yield Lack(f"{mapping}.{what}", f"no {what} is called {name} here", hint)
