"""What a valid configuration names and this host has not. It may be meant for another host."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from credfresh.settings import FileTarget, Settings


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that is not here: the key that names it, what is so, and what to do."""

    key: str
    reason: str
    hint: str


def lacks(settings: Settings) -> tuple[Lack, ...]:
    """Return what the daemon would miss here, each once. What may not be seen is not missed."""
    found = [lack for target in settings.targets for lack in _of_file(target)]
    if settings.control is not None:
        found += _of_account("group", settings.control.group, "control")
    return tuple(dict.fromkeys(found))


def _of_file(target: FileTarget) -> Iterator[Lack]:
    try:
        Path(target.path).resolve().parent.stat()
    except (FileNotFoundError, NotADirectoryError):
        yield Lack(
            "credentials_file.path",
            f"there is no directory here for {target.path}",
            "make it, with nobody but root and the daemon allowed to write in it (the unit makes"
            " /run/credfresh when it starts)",
        )
    except (OSError, RuntimeError):  # it may not be looked at, or its links lead nowhere
        pass
    yield from _of_account("owner", target.owner, "credentials_file")
    yield from _of_account("group", target.group, "credentials_file")


def _of_account(what: str, name: str | None, mapping: str) -> Iterator[Lack]:
    known: Callable[[str], object] = pwd.getpwnam if what == "owner" else grp.getgrnam
    if name is None or name.isdecimal():
        return
    try:
        known(name)
    except KeyError:
        hint = f"create it, or correct {mapping}.{what}"
        yield Lack(f"{mapping}.{what}", f"no {what} is called {name} here", hint)
